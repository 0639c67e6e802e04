"""Data sets of torchvision by name: ``torchvision:CIFAR10:test``, ``torchvision:GTSRB:train:FOLDER``."""

from __future__ import annotations

import inspect
from pathlib import Path

from harden.data.samples import read_samples
from harden.data.sources.base import CACHE, Examples, Request, unreadable
from harden.errors import DataError, UnknownNameError

ACCEPTS = "torchvision:NAME:SPLIT[:FOLDER]"


def accepts(source: str) -> bool:
    """Whether the source begins with ``torchvision:``."""
    return source.startswith("torchvision:")


def read(source: str, request: Request) -> Examples:
    """Read a data set, which torchvision downloads into the folder if it can.

    Raises:
        UnknownNameError: torchvision has no such data set.
        DataError: It has no such split, or cannot be read or downloaded.
    """
    from torchvision import datasets

    name, split, folder = (*source.split(":", 3)[1:], "", "", "")[:3]
    members = {name: getattr(datasets, name) for name in datasets.__all__ if name != "VisionDataset"}
    names = {name.lower(): name for name, kind in members.items() if isinstance(kind, type)}
    if name.lower() not in names:
        raise UnknownNameError("torchvision data set", name, names.values())
    kind = members[names[name.lower()]]
    options = _options(source, set(inspect.signature(kind).parameters), split)
    if "root" in options:
        options["root"] = root = folder or str(CACHE / "torchvision")
        Path(root).mkdir(parents=True, exist_ok=True)
    with unreadable("torchvision data set", source, "Check the split, the folder and the connection"):
        return read_samples(kind(**options), source, request)


def _options(source: str, parameters: set[str], split: str) -> dict[str, bool | str]:
    """The arguments that name the split; torchvision's classes disagree on how."""
    options: dict[str, bool | str] = {name: True for name in ("root", "download") if name in parameters}
    if "train" in parameters:
        if split not in ("train", "test"):
            raise DataError(f"no split '{split}'", where=source, fix="Give train or test: torchvision:NAME:test")
        return options | {"train": split == "train"}
    if "split" in parameters:
        if not split:
            raise DataError("name the split", where=source, fix="Such as torchvision:NAME:test")
        return options | {"split": split}
    if split:
        raise DataError("this data set has no splits", where=source, fix="Leave the split empty: torchvision:NAME")
    return options
