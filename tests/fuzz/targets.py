"""What is fuzzed: bytes in, and only a HardenError may come out; for the suite (hypothesis) and ``make fuzz``."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harden.data import Dataset, Preprocess
from harden.data.embedded import content
from harden.errors import HardenError
from harden.graph.file import Model
from harden.noise.measurements import read_measurements
from harden.noise.profile import Profile
from harden.registry import DEVICES
from harden.settings import EvalSettings, FitSettings, resolve

SETTINGS = b"""\
model = "digits_cnn.onnx"
data = "train.npz"
profile = ["gaussian:sigma=0.2", "rram1"]
method = "nft"
at = "1h,30d"
epochs = 2.5
clip = "auto"
controls = true
mean = [0.5]
[options]
beta = 0.001
"""


def settings(file: Path) -> None:
    for kind in (FitSettings, EvalSettings):
        with contextlib.suppress(HardenError):
            resolve(kind, {}, file)


def profile(file: Path) -> None:
    found = Profile.load(str(file))
    found.check_time(None)
    _ = found.digest, found.parameters


def model(file: Path) -> None:
    found = Model.load(file)
    _ = found.inputs, found.outputs, found.preprocess, found.batch_norm
    found.module()


def data(file: Path) -> None:
    found = Dataset.open(file, Preprocess((0.5,), (0.5,)))
    found.inputs(slice(0, 2))


def measurements(file: Path) -> None:
    read_measurements(file)


def _parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"x": [[1.0, 2.0], [3.0, 4.0]], "label": ["a", "b"]}), stream)
    return stream.getvalue()


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.arange(12, dtype=np.float32).reshape(3, 4), y=np.array([0, 1, 0]))
    return stream.getvalue()


def _measurements() -> bytes:
    rows = [f"{target},{target + 0.1 * (number % 7 - 3)},0" for target in (1, 5, 9, 13) for number in range(60)]
    return "\n".join(["target_us,measured_us,time_s", *rows, ""]).encode()


# By name: what reads the file, the file's name, and what a good one holds.
TARGETS: dict[str, tuple[Callable[[Path], None], str, bytes]] = {
    "settings": (settings, "harden.toml", SETTINGS),
    "profile": (profile, "mine.toml", DEVICES.text("pcm").encode()),
    "onnx": (model, "a.onnx", content("digits_cnn.onnx")),
    "parquet": (data, "a.parquet", _parquet()),
    "csv": (data, "a.csv", b"a,b,label\n1,2.5,yes\n3,-1,no\n"),
    "npz": (data, "a.npz", _npz()),
    "measurements": (measurements, "a.csv", _measurements()),
}


def attempt(name: str, content: bytes, folder: Path) -> None:
    """Give a target these bytes; whatever but a HardenError comes out is a finding."""
    read, file, _ = TARGETS[name]
    path = folder / file
    path.write_bytes(content)
    with warnings.catch_warnings(), contextlib.suppress(HardenError):
        warnings.simplefilter("ignore")
        read(path)
