"""What every form of data is asked for, and what it hands over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harden.data.images import Progress
from harden.data.preprocess import Preprocess


@dataclass(frozen=True)
class Request:
    """How to read: for which preprocessing, at most how many examples, with labels or without, reporting to whom."""

    preprocess: Preprocess
    limit: int | None = None
    labelled: bool = True
    progress: Progress | None = None

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
    """

    values: np.ndarray
    labels: Sequence[object] | np.ndarray | None
    labels_where: str
    sha256: str
    class_names: tuple[str, ...] | None = None
    images: bool = False


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
