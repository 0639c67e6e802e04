"""NumPy archives: an array of examples (or one for each of the model's inputs) and an array of labels."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from harden.data.sources.base import Examples, Request, digest_file, unreadable
from harden.data.storage import allocate
from harden.errors import DataError

ACCEPTS = ".npz with arrays x and y, or one named after each of the model's inputs"
VALUES = ("x", "images", "data", "inputs", "features")
LABELS = ("y", "labels", "label", "target", "targets")
BLOCK = 1 << 24  # bytes read at a time


def accepts(source: str) -> bool:
    """Whether the source is a file ending in .npz."""
    return source.lower().endswith(".npz") and Path(source).is_file()


def read(source: str, request: Request) -> Examples:
    """Read the arrays, large ones into a temporary file; pickled objects are never loaded.

    Raises:
        DataError: The file is no archive of arrays, an array is missing, or they do not belong together.
    """
    with unreadable(".npz", source), zipfile.ZipFile(source) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        first, *rest = _inputs(names, request.inputs, source)
        values, total = _array(archive, first, request.limit)
        others = []
        for name in rest:
            array, count = _array(archive, name, request.limit, examples=total)
            others.append(array)
            if count != total:
                what = f"{total} examples of '{first}' and {count} of '{name}'"
                raise DataError(what, where=source, fix="The first axis of every array counts the examples")
        labels = None
        if request.labelled:
            labels, labels_total = _array(archive, _pick(names, LABELS, source), request.limit)
            if labels_total != total:
                what = f"{total} examples and {labels_total} labels"
                raise DataError(what, where=source, fix="x and y need the same length")
    return Examples(values, labels, f"{source}, labels", digest_file(Path(source)), others=tuple(others))


def _inputs(names: list[str], inputs: tuple[str, ...], source: str) -> list[str]:
    """The arrays to read: the examples, or an array for each of several inputs."""
    if len(inputs) < 2:
        return [_pick(names, VALUES, source)]
    absent = [name for name in inputs if name not in names]
    if absent:
        what = f"the model takes {', '.join(inputs)}, and the file has no {', '.join(absent)}"
        fix = f"Write it with numpy.savez(file, {', '.join(f'{name}=...' for name in inputs)}), first axis the examples"
        raise DataError(f"{what} (found: {', '.join(names) or 'none'})", where=source, fix=fix)
    return list(inputs)


def _pick(names: list[str], accepted: tuple[str, ...], source: str) -> str:
    name = next((name for name in accepted if name in names), None)
    if name is None:
        what = f"no array called {', '.join(accepted[:-1])} or {accepted[-1]} (found: {', '.join(names) or 'none'})"
        raise DataError(what, where=source, fix="Write it with numpy.savez(file, x=..., y=...)")
    return name


def _array(
    archive: zipfile.ZipFile, name: str, limit: int | None, examples: int | None = None
) -> tuple[np.ndarray, int]:
    """The first ``limit`` items of an array, and how many there are in the file.

    A single value counts for every one of the ``examples``, where it may be one.
    """
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, kind = header(member)
        if kind.hasobject:
            raise ValueError(f"array '{name}' holds Python objects, which could run code")
        if not shape and examples is not None:
            value = np.frombuffer(member.read(kind.itemsize), kind)
            return np.repeat(value, examples if limit is None else min(limit, examples)), examples
        if not shape:
            raise ValueError(f"array '{name}' is a single value; its first axis has to count the examples")
        count = shape[0] if limit is None or by_columns else min(limit, shape[0])
        # Announced sizes are checked against the archive's own before memory is set aside for them.
        if np.dtype(kind).itemsize * int(np.prod(shape, dtype=object)) > archive.getinfo(f"{name}.npy").file_size:
            raise ValueError(f"array '{name}' is shorter than it says")
        values = allocate((count, *shape[1:]) if not by_columns else shape[::-1], kind)
        flat, done = values.reshape(-1).view(np.uint8) if values.size else np.empty(0, np.uint8), 0
        while done < len(flat):
            block = member.read(min(BLOCK, len(flat) - done))
            if not block:
                raise ValueError(f"array '{name}' is shorter than it says")
            flat[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
    return (values.T[:limit] if by_columns else values), shape[0]
