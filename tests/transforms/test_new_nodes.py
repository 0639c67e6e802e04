"""Rescaling with a Mul per channel: more gain on folded graphs, the same function, no node without a use."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from harden import methods
from harden.graph.folding import fold_batch_norms
from harden.noise.profile import Profile
from harden.runtime.canary import canary
from harden.runtime.parity import parity
from harden.streams import generator

PROFILE = Profile.parse("gaussian:sigma=0.1")


def images(name, count=32):
    return torch.empty(count, 3, 8, 8).normal_(generator=generator(0, name))


def noise(model, x):
    """Mean squared error of the outputs over chips, relative to the outputs' size."""
    net = model.module().eval()
    weights = net.analog_weights()
    with torch.no_grad():
        right = net(x)
        chips = [net(x, weights=PROFILE.chip(weights, seed=3, index=i)) for i in range(30)]
    return sum(float((chip - right).square().mean()) for chip in chips) / 30 / float(right.square().mean())


@pytest.fixture
def folded(convolution):
    return fold_batch_norms(convolution())


@pytest.mark.parametrize("name", ["rescale", "calibrate"])
def test_a_folded_graph_gains_more_with_new_nodes(folded, name):
    batches, x = [(images(f"batch {i}"),) for i in range(4)], images("test")
    results = [methods.load(name).apply(folded, batches, PROFILE, allow_new_nodes=allowed) for allowed in (False, True)]
    before, plain, grown = (noise(model, x) for model in (folded, *(r.model for r in results)))
    assert grown < 0.9 * plain < before
    assert results[1].record["new_nodes"] == sum(n.op_type == "Mul" for n in results[1].model.proto.graph.node) > 0
    assert [n.op_type for n in results[0].model.proto.graph.node] == [n.op_type for n in folded.proto.graph.node]


def test_the_function_stays_and_the_file_is_valid(folded):
    x = images("other")
    result = methods.load("rescale").apply(folded, [(images("some"),)], PROFILE, allow_new_nodes=True).model
    before, after = (m.module().eval()(x).detach() for m in (folded, result))
    assert float((after - before).abs().max() / before.abs().max()) < 1e-4
    onnx.checker.check_model(result.proto, full_check=True)
    assert result.analog_weights().keys() == folded.analog_weights().keys()
    assert parity(result, (x.numpy(),)).passed
    assert canary(result, (x.numpy(),)).inert == ()


def test_layers_with_a_batch_norm_get_no_node(convolution):
    result = methods.load("rescale").apply(convolution(), [(images("some"),)], PROFILE, allow_new_nodes=True)
    muls = [node for node in result.model.proto.graph.node if node.op_type == "Mul"]
    assert [node.output[0] for node in muls] == ["y"]


def test_the_weights_of_each_output_fill_the_range(folded):
    """Before the outputs nothing else asks for a scale, so each row's largest weight becomes the tensor's."""
    result = methods.load("rescale").apply(folded, [(images("some"),)], PROFILE, allow_new_nodes=True).model
    rows = result.analog_weights()["fc"].tensor.detach().abs().amax(1)
    assert np.allclose(rows / rows.max(), 1, atol=0.02)
