"""The walk of a new user: a folder of images of one's own, a timm model with one's own weights, and the report."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from harden.streams import numpy_generator

COLOURS = {"brick": (180, 60, 50), "grass": (60, 160, 60), "sea": (50, 80, 190)}
SIZE = 32


def _photos(folder, split, count):
    rng = numpy_generator(0, "photos", split)
    for name, colour in COLOURS.items():
        (folder / split / name).mkdir(parents=True)
        for number in range(count):
            noise = rng.normal(0, 45, (SIZE, SIZE, 3)) + rng.normal(0, 25, 3)
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / split / name / f"{number}.jpg")


def _train(folder, weights):
    """A few steps of plain training, as a user would have done long ago."""
    import timm

    from harden.data import Dataset, Preprocess

    record = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), input_size=(SIZE, SIZE))
    data = Dataset.open(folder, record)
    assert data.labels is not None
    model = timm.create_model("resnet10t", num_classes=len(COLOURS))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for step in range(12):
        rows = numpy_generator(0, "rows", step).permutation(len(data))[:48]
        loss = torch.nn.functional.cross_entropy(
            model(torch.from_numpy(data.inputs(rows))), torch.from_numpy(data.labels[rows])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, weights)


@pytest.mark.slow
def test_own_photos_with_a_timm_model(tmp_path, command):
    _photos(tmp_path / "photos", "train", 60)
    _photos(tmp_path / "photos", "test", 20)
    _train(tmp_path / "photos" / "train", tmp_path / "mine.safetensors")
    model = ["timm:resnet10t", "--weights", "mine.safetensors"]
    flags = [*model, "--profile", "gaussian:sigma=0.05", "--input-size", str(SIZE)]
    run = [*flags, "--method", "noise", "--data", "photos/train", "--test", "photos/test", "--chips", "5"]

    wrong = command(tmp_path, "fit", *flags, "--data", "photos")
    assert wrong.code == 3
    assert "photos/test" in wrong.err or "photos/train" in wrong.err

    done = command(tmp_path, "fit", *run, "--epochs", "2", "--out", "run", "--json")
    assert done.code == 0, done.err
    assert done.document["after"]["conditions"][0]["accuracy"]["mean"] > 1 / len(COLOURS)
    for name in ("model.onnx", "model.safetensors", "report.html", "README.md"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    assert "What this does not prove" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")

    # The hardened file carries its preprocessing: no flag is needed any more.
    words = ["--profile", "gaussian:sigma=0.05", "--data", "photos/test", "--chips", "5", "--json"]
    again = command(tmp_path, "eval", "run/model.onnx", *words)
    assert again.code == 0, again.err
    assert again.document["conditions"][0]["accuracy"] == done.document["after"]["conditions"][0]["accuracy"]
