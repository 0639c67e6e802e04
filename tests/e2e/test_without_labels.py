"""``--objective match`` on files from elsewhere: the outputs under noise come nearer to the clean network's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harden.streams import numpy_generator

SIZES = {"train": 96, "test": 24}


def voices(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Hums that come and go in noise, in overlapping frames, with states of zeros."""
    frames, states = [], np.zeros((count, 1, 1, 128), np.float32)
    for _ in range(count):
        t = np.arange(512 * 12 + 64) / 16000
        sound = 0.01 * rng.standard_normal(len(t))
        begin, end = np.sort(rng.uniform(0, t[-1], 2))
        phase = 2 * np.pi * rng.uniform(90, 250) * t
        tones = sum(np.sin(k * phase) / k * np.exp(-(((k - rng.uniform(3, 15)) / 5) ** 2)) for k in range(1, 20))
        sound = sound + 0.3 * tones * ((t > begin) & (t < end))
        frames.append(np.stack([sound[i * 512 : i * 512 + 576] for i in range(12)]))
    return {"input": np.stack(frames).astype(np.float32), "h": states, "c": states}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "flags"),
    [
        ("silero_vad_v6", voices, "--mean 0 --std 1 --profile gaussian:sigma=0.05 --epochs 3"),
    ],
)
def test_outputs_under_noise_come_nearer(
    name: str,
    make: Callable[[np.random.Generator, int], dict[str, np.ndarray]],
    flags: str,
    shared_data: Path,
    tmp_path: Path,
    command: Callable[..., Any],
) -> None:
    for part, count in SIZES.items():
        np.savez(tmp_path / f"{part}.npz", **make(numpy_generator(0, "rendered", name, part), count))
    done = command(
        tmp_path, "fit", str(shared_data / "onnx" / f"{name}.onnx"), "--data", "train.npz", "--test", "test.npz",
        "--objective", "match", "--method", "noise", "--optimizer", "adamw", "--batch-size", "8", "--chips", "6",
        "--threads", "1", "--out", "run", "--json", "-q", *flags.split(),
    )  # fmt: skip
    assert done.code == 0, done.err
    before, after = (done.document[part]["profiles"][0]["fidelity"] for part in ("before", "after"))
    assert done.document["after"]["profiles"][0]["accuracy"] is None
    assert after["nrmse"]["mean"] < before["nrmse"]["mean"]
    assert after["cosine"]["mean"] > before["cosine"]["mean"]
