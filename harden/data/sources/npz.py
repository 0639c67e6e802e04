"""NumPy archives: an array of examples and an array of labels."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from harden.data.sources.base import Examples, Request, digest_file
from harden.errors import DataError

ACCEPTS = ".npz with arrays x and y"
VALUES = ("x", "images", "data", "inputs", "features")
LABELS = ("y", "labels", "label", "target", "targets")


def accepts(source: str) -> bool:
    """Whether the source is a file ending in .npz."""
    return source.lower().endswith(".npz") and Path(source).is_file()


def read(source: str, request: Request) -> Examples:
    """Read the arrays; pickled objects are never loaded.

    Raises:
        DataError: The file is no archive of arrays, an array is missing, or they do not belong together.
    """
    try:
        with Path(source).open("rb") as file, zipfile.ZipFile(file):
            file.seek(0)
            archive = np.load(file, allow_pickle=False)
            names = list(archive.files)
            values = _pick(archive, names, VALUES, source)
            labels = _pick(archive, names, LABELS, source) if request.labelled else None
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise whatever the broken bytes lead them to
        what = f"unreadable .npz: {' '.join(str(error).split()) or type(error).__name__}"
        raise DataError(what, where=source, fix="Write it with numpy.savez(file, x=..., y=...)") from error
    if labels is not None and len(labels) != len(values):
        what = f"{len(values)} examples and {len(labels)} labels"
        raise DataError(what, where=source, fix="x and y need the same length")
    count = request.count(len(values))
    return Examples(
        values=values[:count],
        labels=None if labels is None else labels[:count],
        labels_where=f"{source}, labels",
        sha256=digest_file(Path(source)),
    )


def _pick(archive: np.lib.npyio.NpzFile, names: list[str], accepted: tuple[str, ...], source: str) -> np.ndarray:
    name = next((name for name in accepted if name in names), None)
    if name is None:
        what = f"no array called {', '.join(accepted[:-1])} or {accepted[-1]} (found: {', '.join(names) or 'none'})"
        raise DataError(what, where=source, fix="Write it with numpy.savez(file, x=..., y=...)")
    found = archive[name]
    if found.ndim == 0:
        raise DataError(f"array '{name}' is a single value", where=source, fix="Its first axis counts the examples")
    return found
