"""Transforms: a model in, a model out, found by the registry."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import toys
from onnx import helper

from harden import methods
from harden.noise.profile import Profile
from harden.registry import METHODS
from harden.streams import generator, numpy_generator

TRANSFORMS = [name for name in METHODS.names() if METHODS.module(name).Method.kind == "transform"]


@pytest.fixture(params=TRANSFORMS)
def name(request):
    return request.param


@pytest.fixture
def task():
    """A random wide layer, batch norm, Relu, and a readout that was fitted to clouds; and its inputs."""
    rng = numpy_generator(0, "task")
    centres = rng.normal(0, 1.2, (3, 6))
    labels = np.arange(384) % 3
    x = (centres[labels] + rng.normal(0, 0.8, (384, 6))).astype(np.float32)
    a = rng.normal(0, 0.4, (24, 6)) * rng.lognormal(0, 1.0, (24, 1))
    h = x @ a.T
    mean, var = h.mean(0), h.var(0)
    r = np.maximum((h - mean) / np.sqrt(var + 1e-5), 0)
    b = np.linalg.lstsq(np.c_[r, np.ones(384)], 4 * np.eye(3)[labels], rcond=None)[0].T
    tensors = {"a": a, "g": np.ones(24), "z": np.zeros(24), "m": mean, "v": var, "b": b[:, :-1], "c": b[:, -1]}
    nodes = [
        helper.make_node("Gemm", ["x", "a"], ["h"], transB=1, name="first"),
        helper.make_node("BatchNormalization", ["h", "g", "z", "m", "v"], ["n"], name="norm"),
        helper.make_node("Relu", ["n"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "b", "c"], ["y"], transB=1, name="last"),
    ]
    model = toys.model(nodes, {"x": ["n", 6]}, {"y": ["n", 3]}, tensors)
    batches = [(torch.from_numpy(x[i : i + 64]),) for i in range(0, 384, 64)]
    return model, batches, torch.from_numpy(x), torch.from_numpy(labels)


PROFILE = Profile.parse("gaussian:sigma=0.15")


def accuracy(model, x, labels, chips=40):
    net = model.module().eval()
    weights = net.analog_weights()
    with torch.no_grad():
        return (
            sum(
                (net(x, weights=PROFILE.chip(weights, seed=5, index=i)).argmax(1) == labels).double().mean().item()
                for i in range(chips)
            )
            / chips
        )


def test_it_raises_the_accuracy_of_chips(name, task):
    model, batches, x, labels = task
    result = methods.load(name).apply(model, batches, PROFILE)
    assert accuracy(result.model, x, labels) > accuracy(model, x, labels) + 0.05


def test_graph_and_original_are_as_they_were(name, task):
    model, batches, _, _ = task
    before = model.serialize()
    result = methods.load(name).apply(model, batches, PROFILE)
    assert model.serialize() == before
    assert [n.name for n in result.model.proto.graph.node] == [n.name for n in model.proto.graph.node]
    assert result.record


def test_equal_seeds_give_equal_files(name, task):
    model, batches, _, _ = task
    files = [methods.load(name).apply(model, batches, PROFILE, seed=3).model.serialize() for _ in range(2)]
    assert files[0] == files[1]


def test_the_docstring_has_an_equation_and_a_source(name):
    text = inspect.getdoc(METHODS.module(name).Method) or ""
    assert "Equation:" in text
    assert "Source:" in text
    assert ">>>" in text


def test_rescaling_needs_no_data_and_keeps_the_function(task):
    model, _, x, _ = task
    noise = torch.empty(8, 6).normal_(generator=generator(0, "random inputs"))
    result = methods.load("rescale").apply(model, [(noise,)], PROFILE)
    before, after = (m.module().eval()(x) for m in (model, result.model))
    assert ((before - after).abs().max() / before.abs().max()).item() < 1e-4
    assert result.record["change"] < 1e-4
    assert not METHODS.module("rescale").Method.needs_data


def test_calibration_tells_what_it_tried_and_takes_the_nearest(task):
    model, batches, _, _ = task
    record = methods.load("calibrate", {"clips": "1.5,2.5"}).apply(model, batches, PROFILE).record
    assert [one["clip"] for one in record["tried"]] == [None, 1.5, 2.5, "search"]
    best = min(record["tried"], key=lambda one: one["distance"])
    assert record["clip"] == best["clip"]
    assert best["distance"] < record["distance_before"]
