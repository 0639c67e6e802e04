"""Data sets by timm's names: ``timm:torch/cifar10:test``, ``timm:folder:validation:FOLDER``."""

from __future__ import annotations

from harden.data.samples import read_samples
from harden.data.sources.base import CACHE, Examples, Request, unreadable
from harden.errors import DataError

ACCEPTS = "timm:NAME:SPLIT[:FOLDER]"


def accepts(source: str) -> bool:
    """Whether the source begins with ``timm:``."""
    return source.startswith("timm:")


def read(source: str, request: Request) -> Examples:
    """Read what ``timm.data.create_dataset`` makes of the name.

    Raises:
        DataError: timm does not know the name or the split, or cannot read or download it.
    """
    from timm.data.dataset_factory import create_dataset

    name, split, folder = (*source.split(":", 3)[1:], "", "", "")[:3]
    if not name or not split:
        raise DataError("name the data set and the split", where=source, fix="Such as timm:torch/cifar10:test")
    with unreadable("timm data set", source, "Check the name, the split, the folder and the connection"):
        root, download = folder or str(CACHE / "timm"), name.startswith("torch/")
        return read_samples(create_dataset(name, root, split=split, download=download), source, request)
