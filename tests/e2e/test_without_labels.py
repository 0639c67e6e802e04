"""``--objective match`` on files from elsewhere: the outputs under noise come nearer to the clean network's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from harden.streams import numpy_generator

SIZES = {"train": 96, "test": 24}


def voices(rng, count):
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


LETTERS = list("abcdefghkmnoprstuvwxyzABDEFGHKMNPRST0123456789 ")


def drawn(rng, height, width, sizes):
    """Lines of text, dark on light, down to the bottom."""
    picture = Image.new("L", (width, height), int(rng.integers(170, 256)))
    pen, y = ImageDraw.Draw(picture), int(rng.integers(0, 6))
    while y < height - sizes[0]:
        size, text = int(rng.integers(*sizes)), "".join(rng.choice(LETTERS, rng.integers(6, 14)))
        font = ImageFont.load_default(size=size)
        pen.text((int(rng.integers(2, 12)), y), text, fill=int(rng.integers(0, 90)), font=font)
        y += int(size * rng.uniform(1.2, 2.5))
    return picture


def lines(rng, count):
    """Single lines, every other one upside down."""
    made = [drawn(rng, 48, 192, (24, 38)).rotate(180 * (i % 2)) for i in range(count)]
    return {"x": np.stack([np.repeat((np.asarray(one, np.float32) / 127.5 - 1)[None], 3, 0) for one in made])}


def pages(rng, count):
    """Pages of several lines."""
    made = [drawn(rng, 96, 160, (10, 22)) for _ in range(count)]
    return {"x": np.stack([np.repeat((np.asarray(one, np.float32) / 255 - 0.45)[None] / 0.225, 3, 0) for one in made])}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "flags"),
    [
        ("silero_vad_v6", voices, "--mean 0 --std 1 --profile gaussian:sigma=0.05 --epochs 3"),
        (
            "ch_ppocr_mobile_v2.0_cls_infer",
            lines,
            "--mean 0,0,0 --std 1,1,1 --profile gaussian:sigma=0.03 --epochs 3 --lr 2e-4 --clip none",
        ),
        (
            "ch_PP-OCRv4_det_infer",
            pages,
            "--mean 0,0,0 --std 1,1,1 --profile gaussian:sigma=0.01 --epochs 3 --lr 2e-4 --clip none",
        ),
    ],
)
def test_outputs_under_noise_come_nearer(name, make, flags, shared_data, tmp_path, command):
    for part, count in SIZES.items():
        np.savez(tmp_path / f"{part}.npz", **make(numpy_generator(0, "rendered", name, part), count))
    done = command(
        tmp_path, "fit", str(shared_data / "onnx" / f"{name}.onnx"), "--data", "train.npz", "--test", "test.npz",
        "--objective", "match", "--method", "noise", "--optimizer", "adamw", "--batch-size", "8", "--chips", "6",
        "--threads", "1", "--out", "run", "--json", "-q", *flags.split(),
    )  # fmt: skip
    assert done.code == 0, done.err
    before, after = (done.document[part]["conditions"][0]["fidelity"] for part in ("before", "after"))
    assert done.document["after"]["conditions"][0]["accuracy"] is None
    assert after["nrmse"]["mean"] < before["nrmse"]["mean"]
    assert after["cosine"]["mean"] > before["cosine"]["mean"]
