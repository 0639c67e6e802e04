"""``--draw device``: a family of random streams of its own, recorded wherever chips are told apart."""

from __future__ import annotations

import math

import pytest
import torch

from harden.analyses.replay import replay, worst_chips
from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.errors import RunFolderError, SettingsError
from harden.evaluation.evaluate import evaluate
from harden.noise.profile import Profile
from harden.pipeline.doctor import _toy_model
from harden.runtime.sessions import choose_device, providers
from harden.store import read_lines
from harden.streams import device_generator, generator, numpy_generator

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
WEIGHTS = {"a": torch.linspace(-1, 1, 4096).reshape(64, 64), "b": torch.ones(3, 5)}


@pytest.mark.parametrize("name", ["gaussian", "rram1", "pcm", "bitflip", "gaussian:stuck_at=0.01"])
def test_chips_of_the_family_repeat_and_are_others_than_the_usual_ones(name):
    usual, device = Profile.parse(name), Profile.parse(name).on_device("cpu")
    one, again = (device.chip(WEIGHTS, seed=0, index=3) for _ in range(2))
    other = usual.chip(WEIGHTS, seed=0, index=3)
    assert all(torch.equal(one[key], again[key]) for key in WEIGHTS)
    assert not torch.equal(one["a"], other["a"])


def test_the_family_has_the_law_s_distribution():
    weights = {"w": torch.ones(300, 300)}
    noise = Profile.parse("gaussian:sigma=0.1").on_device("cpu").chip(weights, seed=0, index=0)["w"] - 1
    assert noise.mean().abs() < 5 * 0.1 / 300
    assert noise.std().item() == pytest.approx(0.1, rel=5 / math.sqrt(2 * 90000))


def test_the_family_is_part_of_the_digest_and_of_what_is_shown():
    usual = Profile.load("rram1")
    device = usual.on_device("cpu")
    assert len({usual.digest, device.digest, usual.on_device("cuda").digest}) == 3
    assert device.on_device(None).digest == usual.digest
    assert device.parameters["draw"] == "cpu"
    assert "draw" not in usual.parameters
    assert device.scaled(0).chip(WEIGHTS, seed=0, index=0)["a"].equal(WEIGHTS["a"])


def data():
    rng = numpy_generator(0, "few")
    images = rng.integers(0, 256, (40, 8, 8, 3)).astype("uint8")
    return Dataset.from_arrays(images, rng.integers(0, 5, 40), Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3))


def test_trials_of_two_families_never_mix_and_a_chip_can_be_replayed(tmp_path):
    model, profile = _toy_model(), Profile.parse("gaussian:sigma=0.3")
    log = tmp_path / "trials.jsonl"
    found = evaluate(model, profile.on_device("cpu"), data(), chips=3, trials=log)
    assert found.document["conditions"][0]["parameters"]["draw"] == "cpu"
    with pytest.raises(RunFolderError, match="another run"):
        evaluate(model, profile, data(), chips=3, trials=log)
    usual = evaluate(model, profile, data(), chips=3, trials=tmp_path / "usual.jsonl")
    digests = {line["digest"] for path in (log, tmp_path / "usual.jsonl") for line in read_lines(path)}
    assert len(digests) == 2
    assert usual.accuracies().tolist() != found.accuracies().tolist()
    (worst,) = worst_chips(found, count=1)
    assert replay(worst, model, data()).equal


def test_the_cpu_s_streams_are_filled_as_always():
    a, b = (torch.empty(9).normal_(generator=g) for g in (device_generator("cpu", 0, "x"), generator(0, "x")))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("wanted", "available", "found"),
    [("cpu", [CUDA, CPU], "cpu"), ("auto", [CPU], "cpu"), ("auto", [CUDA, CPU], "cuda"), ("cuda", [CUDA, CPU], "cuda")],
)
def test_the_device_is_what_was_asked_for_and_is_there(wanted, available, found):
    assert choose_device(wanted, available) == found
    assert providers(found)[0] == (CUDA if found == "cuda" else CPU)
    assert providers(found)[-1] == CPU


def test_a_gpu_that_is_not_there_is_an_error_with_the_way_out():
    with pytest.raises(SettingsError, match=r"--device cuda.*pip install onnxruntime-gpu"):
        choose_device("cuda", [CPU])


@pytest.mark.gpu
def test_a_gpu_draws_a_family_of_its_own_that_repeats():
    profile = Profile.load("pcm")
    one, again = (profile.on_device("cuda").chip(WEIGHTS, seed=0, index=3) for _ in range(2))
    other = profile.on_device("cpu").chip(WEIGHTS, seed=0, index=3)
    assert one["a"].device == WEIGHTS["a"].device
    assert torch.equal(one["a"], again["a"])
    assert not torch.equal(one["a"], other["a"])
    assert (one["a"] - WEIGHTS["a"]).std().item() == pytest.approx((other["a"] - WEIGHTS["a"]).std().item(), rel=0.2)
