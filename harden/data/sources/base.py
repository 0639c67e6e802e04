"""What every form of data is asked for, and what it hands over."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harden.data.images import Progress
from harden.data.preprocess import Preprocess
from harden.errors import DataError, HardenError

CACHE = Path.home() / ".cache" / "harden"  # what other libraries download, where no folder is named


@dataclass(frozen=True)
class Request:
    """How to read: for which preprocessing, at most how many examples, with labels or without, reporting to whom.

    ``inputs`` are the names of the model's inputs where it has several.
    """

    preprocess: Preprocess
    limit: int | None = None
    labelled: bool = True
    progress: Progress | None = None
    inputs: tuple[str, ...] = ()

    def count(self, available: int) -> int:
        """How many of the available examples to read."""
        return available if self.limit is None else min(self.limit, available)


@dataclass(frozen=True)
class Examples:
    """What was read.

    Args:
        values: uint8 [N, H, W, C] for images; any number type and shape [N, ...] for arrays, as found.
        labels: One per example as found (numbers or names), or ``None``.
        labels_where: What messages call the labels.
        sha256: Digest of the bytes read.
        class_names: The source's own list of names, in the order that numbers them.
        images: Whether ``values`` are images [N, H, W, C], of pixels or floats.
        others: For models with several inputs, those after the first: arrays [N, ...] in the model's order.
    """

    values: np.ndarray
    labels: Sequence[object] | np.ndarray | None
    labels_where: str
    sha256: str
    class_names: tuple[str, ...] | None = None
    images: bool = False
    others: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Where examples came from, for what reads them a second time (:mod:`harden.evaluation.reread`).

    Attributes:
        values: What the form of data handed over, before anything was made of it.
        labels: The same for labels.
        names: The source's own order of class names.
        others: What it handed over for a model's further inputs.
        opened: Whether ``Dataset.source`` can be opened again.
        limit: How many examples were asked for.
        inputs: Names of the model's inputs, where it has several.
        labelled: Whether the data set's labels are those of the source.
    """

    values: np.ndarray
    labels: Sequence[object] | np.ndarray | None = None
    names: tuple[str, ...] | None = None
    others: tuple[np.ndarray, ...] = ()
    opened: bool = False
    limit: int | None = None
    inputs: tuple[str, ...] = ()
    labelled: bool = True


def digest_file(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_files(digests: Iterable[tuple[str, str]]) -> str:
    """sha256 over (name, sha256) pairs in the given order, one line each as ``sha256sum`` writes them."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def digest_values(values: np.ndarray, labels: Sequence[object] | np.ndarray | None) -> str:
    """sha256 of examples and labels in memory, for sources that are no files."""
    digest = hashlib.sha256(f"{values.dtype.str} {values.shape}".encode())
    for start in range(0, len(values) if values.ndim else 0, 1024):
        digest.update(np.ascontiguousarray(values[start : start + 1024]).tobytes())
    digest.update(repr(labels.tolist() if isinstance(labels, np.ndarray) else labels).encode())
    return digest.hexdigest()


def digest_shards(paths: Sequence[Path]) -> str:
    """sha256 of one file, or over the names and digests of several."""
    if len(paths) == 1:
        return digest_file(paths[0])
    return digest_files((path.name, digest_file(path)) for path in paths)


@contextlib.contextmanager
def unreadable(form: str, where: str, fix: str = "Check that it is complete, or write it again") -> Iterator[None]:
    """Turn whatever a decoder raises on broken bytes into a ``DataError`` that names the source."""
    try:
        yield
    except HardenError:
        raise
    except Exception as error:  # numpy, pyarrow, zipfile and the rest raise whatever the bytes lead them to
        said = " ".join(str(error).split()) or type(error).__name__
        said = said if len(said) <= 200 else said[:197] + "..."
        raise DataError(f"unreadable {form}: {said}", where=where, fix=fix) from error


def one_split(source: str, paths: Sequence[Path]) -> None:
    """Refuse files of several splits, so that nobody trains on the test set by naming a folder.

    Raises:
        DataError: Names begin with different splits, such as train-00000.parquet and test-00000.parquet.
    """
    splits = {path: match[0] for path in paths if (match := re.match("train|test|valid|dev", path.name.lower()))}
    if len(set(splits.values())) > 1:
        first = min(splits, key=lambda path: path.name)
        what = f"files of several splits: {', '.join(sorted(path.name for path in splits)[:4])}"
        pattern = first.with_name(f"{splits[first]}*{first.suffix}")
        raise DataError(what, where=source, fix=f"Name those of one: '{pattern}'")
