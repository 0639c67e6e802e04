"""Random bit-error training (RandBET): ``noise`` with a profile of bit errors, on the digits network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harden.data.dataset import Dataset
from harden.data.embedded import content
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.levers.clip import AUTO, resolve
from harden.noise.profile import Profile
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    for name in ("digits_cnn.onnx", "train.npz", "test.npz"):
        (folder / name).write_bytes(content(name))
    model = Model.load(folder / "digits_cnn.onnx")
    assert model.preprocess is not None
    return model, *(Dataset.open(str(folder / f"{part}.npz"), model.preprocess) for part in ("train", "test"))


def accuracy(model, data, profile, chips=10):
    net = model.module().eval()
    weights = net.analog_weights()
    x, labels = torch.from_numpy(data.inputs(slice(0, 300))), torch.from_numpy(np.asarray(data.labels[:300]))
    with torch.no_grad():
        outputs = [net(x, weights=profile.chip(weights, seed=9, index=i)) for i in range(chips)]
    return sum((o.argmax(1) == labels).double().mean().item() for o in outputs) / chips


@pytest.mark.parametrize("text", ["stutz_sram:rate=0.02", "bitflip:rate=0.02"])
def test_training_under_bit_errors_helps_and_clipping_helps_more(digits, text):
    model, data, test = digits
    profile = Profile.parse(text)
    training, validation = data.split(0.1, np.random.default_rng(0))

    def trained(method, clip):
        values = {"steps": 40, "batch_size": 32, "lr": 0.05, "selections": 1, "conditions": (Condition(profile),)}
        values |= {"column_scaling": "off", "freeze_batch_norms": 0.0}
        values |= {"batch_norm_reestimation": "off"}  # clipping and training alone
        run = train(Problem(model, training, validation), TrainingPlan(method=method, clip=clip, **values))
        return accuracy(run.model, test, profile)

    before, without = accuracy(model, test, profile), trained("none", None)
    randbet, clipped = trained("noise", None), trained("noise", "auto")
    assert randbet > max(before, without) + 0.08
    assert clipped > randbet + 0.03


@pytest.mark.parametrize("name", ["stutz_sram", "bitflip"])
def test_the_clip_is_on_by_itself_and_the_gradient_goes_straight_through(name):
    profile = Profile.load(name, rate=0.05)
    assert resolve("auto", [profile]) == AUTO
    w = torch.linspace(-1, 1, 64).reshape(8, 8).requires_grad_()
    upstream = torch.arange(64.0).reshape(8, 8)
    noisy = profile.perturb({"w": w}, seed=0, path=("step",))["w"]
    assert not torch.equal(noisy, w)
    (noisy * upstream).sum().backward()
    assert w.grad is not None
    assert torch.equal(w.grad, upstream)
