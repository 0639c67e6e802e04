"""The data sets of the benchmark: training and test examples by name, opened once a process."""

from __future__ import annotations

import functools
import gzip
import os
from pathlib import Path

import numpy as np

from harden.data import embedded
from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.errors import DataError

SHARED = Path(os.environ.get("HARDEN_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
FASHION = Path(os.environ.get("HARDEN_FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
EMBEDDED = Path(str(embedded.__file__)).parent

_PARQUET = {
    "cifar10": Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "mnist": Preprocess(mean=(0.1307,), std=(0.3081,), input_size=(32, 32), resize="squash"),
    "mitbih_pvc": Preprocess(mean=(0.0,), std=(500.0,)),
}


@functools.cache
def open_data(name: str) -> tuple[Dataset, Dataset]:
    """Training and test examples.

    Args:
        name: ``digits`` (embedded), ``fashion`` (Debian's dataset-fashion-mnist), or ``cifar10``, ``mnist``,
            ``mitbih_pvc``, ``pictures224`` of the shared data.
    """
    if name == "digits":
        preprocess = Preprocess(mean=(0.306,), std=(0.375,), input_size=(8, 8), scale=16)
        train, test = (Dataset.open(EMBEDDED / f"{part}.npz", preprocess) for part in ("train", "test"))
        return train, test
    if name == "fashion":
        preprocess = Preprocess(mean=(0.2860,), std=(0.3530,), input_size=(28, 28))
        train, test = (
            Dataset.from_arrays(_idx(f"{part}-images-idx3"), _idx(f"{part}-labels-idx1"), preprocess, source=part)
            for part in ("train", "t10k")
        )
        return train, test
    if name == "pictures224":  # CIFAR-10's pictures at 224 x 224, as unlabelled pictures for ImageNet networks
        preprocess = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), input_size=(224, 224), resize="squash")
        train, test = (
            Dataset.open(SHARED / "cifar10" / f"{part}.parquet", preprocess, limit=limit, labelled=False)
            for part, limit in (("train", 512), ("test", 200))
        )
        return train, test
    folder = SHARED / name
    train, test = (Dataset.open(folder / f"{part}.parquet", _PARQUET[name]) for part in ("train", "test"))
    return train, test


def model_file(name: str) -> Path:
    """A model of the shared data."""
    return SHARED / "models" / name


def _idx(name: str) -> np.ndarray:
    path = FASHION / f"{name}-ubyte.gz"
    if not path.exists():
        raise DataError("Fashion-MNIST is absent", where=str(path), fix="apt-get install dataset-fashion-mnist")
    with gzip.open(path) as file:
        raw = file.read()
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
