"""Mixed precision, channels last and devices, as far as a processor can tell."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from harden.engines.ray import RayEngine
from harden.errors import SettingsError
from harden.graph.module import GraphModule
from harden.graph.precision import Precision
from harden.noise.profile import Profile
from harden.pipeline import machine, placement
from harden.registry import METHODS
from harden.streams import generator
from harden.training.loop import train
from harden.training.problem import Problem

spec = importlib.util.spec_from_file_location("two_processes", Path(__file__).with_name("two_processes.py"))
small = importlib.util.module_from_spec(spec)
spec.loader.exec_module(small)


def images(count=8, seed=0):
    return torch.empty(count, 3, 6, 6).normal_(generator=generator(seed, "images"))


def data():
    return small.model(), small.images(60), small.images(30)


def rounded(x):
    return torch.equal(x.bfloat16().float(), x)


def test_mixed_precision_takes_and_gives_single_precision():
    net = small.model().module()
    exact, taps = net(images(), taps=("c1",))
    assert not rounded(taps["c1"])
    net.precision = Precision("bfloat16")
    found, taps = net(images(), taps=("c1",))
    assert rounded(taps["c1"])
    assert found.dtype == taps["c1"].dtype == torch.float32
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, rtol=0.05, atol=0.05)  # bfloat16 has 8 bits of mantissa
    functional.cross_entropy(found, torch.arange(8) % 3).backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.parameters())


def test_what_was_computed_in_one_precision_is_not_used_in_another():
    net = small.model().module().eval()
    x, given = images(), [None, Precision("bfloat16"), Precision(channels_last=True)]
    outputs = []
    for precision in given * 2:
        net.precision = precision
        outputs.append(net(x))
    assert all(torch.equal(a, b) for a, b in zip(outputs[:3], outputs[3:], strict=True))
    torch.testing.assert_close(outputs[2], outputs[0])


def test_channels_last_lays_images_out_so():
    image, tokens = images(), torch.zeros(2, 3)
    precision = Precision(channels_last=True)
    assert precision.taking(image).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(precision.taking(image), image)
    assert precision.taking(tokens) is tokens


OBJECTIVES = [name for name in METHODS.names() if METHODS.module(name).Method.kind == "objective"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_in_mixed_precision_with_channels_last(name):
    fields = {"method": name, "options": small.OPTIONS.get(name, {})}
    exact = train(Problem(*data()), small.plan(**fields))
    mixed = train(Problem(*data()), small.plan(**fields, amp="bfloat16", channels_last=True))
    assert mixed.levers["amp"] == "bfloat16"
    assert mixed.levers["channels_last"]
    for one, other in zip(exact.history, mixed.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.1, abs=0.05)
    assert mixed.validation[0] == exact.validation[0]  # selections are in single precision
    assert all(tensor.dtype == torch.float32 for tensor in mixed.weights.values())


def test_mixed_precision_and_the_teachers_go_together():
    plan = small.plan(teacher="clean", teacher_match="both", amp="bfloat16")
    assert train(Problem(*data()), plan).history[-1]["loss"] == pytest.approx(
        train(Problem(*data()), small.plan(teacher="clean", teacher_match="both")).history[-1]["loss"], rel=0.1
    )


def test_a_network_that_cannot_be_computed_so_is_told(monkeypatch):
    real = GraphModule.forward

    def fail(self, *args, **named):
        if self.precision is not None:
            raise RuntimeError("expected scalar type Float but found BFloat16")
        return real(self, *args, **named)

    monkeypatch.setattr(GraphModule, "forward", fail)
    with pytest.raises(SettingsError, match=r"--amp: .*mixed precision \(expected scalar type.*Leave it out"):
        train(Problem(*data()), small.plan(amp="bfloat16"))


def test_precisions_and_devices_that_there_are_not():
    with pytest.raises(SettingsError, match=r"amp: must be one of off, bfloat16 \(got 'float8'\)"):
        small.plan(amp="float8")
    with pytest.raises(SettingsError, match="column_scaling: is done on processors only"):
        small.plan(device="cuda", column_scaling="on")


def test_the_device_that_is_trained_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.trained_on("cpu") == machine.trained_on("auto") == "cpu"
    with pytest.raises(SettingsError, match="--device cuda: torch finds no GPU here"):
        machine.trained_on("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.trained_on("cpu") == "cpu"
    assert machine.trained_on("auto") == machine.trained_on("cuda") == "cuda"


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor:UserWarning")
@pytest.mark.parametrize("name", ["gaussian", "rram4", "sonos", "bitflip"])
def test_devices_are_not_mixed_up_in_a_noisy_pass_on_a_gpu(name):
    """torch's fake tensors know their device and refuse to meet those of another, without any GPU."""
    net, mode, profile = small.model().module(), FakeTensorMode(allow_non_fake_inputs=True), Profile.parse(name)
    with mode:
        for kept in (net._parameters, net._buffers):
            for key, tensor in kept.items():
                moved = mode.from_tensor(tensor.detach()).to("cuda")
                kept[key] = torch.nn.Parameter(moved) if kept is net._parameters else moved
        x = mode.from_tensor(images()).to("cuda")
        with torch.no_grad():
            chip = profile.perturb(net.analog_weights(), seed=0, path=("chip", 0))
            found = net.train()(x, weights=chip, update_statistics=True)
            net.precision = Precision(channels_last=True)
            mixed = net(x, weights=chip)
        with pytest.raises(RuntimeError, match=r"device"):
            net(x, weights={"conv1": mode.from_tensor(torch.zeros(6, 3, 3, 3))})
    assert {tensor.device.type for tensor in (*chip.values(), found, mixed)} == {"cuda"}


@contextlib.contextmanager
def cluster(monkeypatch, **resources):
    """A cluster of two machines, as far as ``placement`` asks."""
    engine = RayEngine.__new__(RayEngine)
    nodes = [{"Alive": True, "Resources": {"CPU": resources["CPU"] / 2}}] * 2
    ray = SimpleNamespace(cluster_resources=lambda: resources, nodes=lambda: nodes)
    engine.__dict__.update(_ray=ray, _cpus=1, processors=int(resources["CPU"]))
    monkeypatch.setattr(placement, "opened", lambda *_: contextlib.nullcontext(engine))
    yield


def test_how_many_workers_of_a_cluster_train_and_on_what(monkeypatch):
    def found(device, workers=None, batch=128):
        with placement.placement("ray", workers, batch, device) as where:
            return where.processes, where.machines, where.device

    with cluster(monkeypatch, CPU=8):
        assert found("cpu") == found("auto") == (2, 2, "cpu")
        assert found("cpu", workers=4) == (4, 2, "cpu")
        assert found("cpu", batch=63) == (1, 1, "cpu")
        with pytest.raises(SettingsError, match="the cluster has no GPU"):
            found("cuda")
        with pytest.raises(SettingsError, match="8 processors, too few for 16"):
            found("cpu", workers=16)
        with pytest.raises(SettingsError, match="128 examples cannot be divided equally among 3"):
            found("cpu", workers=3)
    with cluster(monkeypatch, CPU=8, GPU=4):
        assert found("cpu") == (2, 2, "cpu")
        assert found("auto") == found("cuda") == (4, 2, "cuda")
        assert found("cuda", workers=1) == (1, 1, "cuda")
