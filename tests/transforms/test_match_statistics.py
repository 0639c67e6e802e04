"""Weights and biases that give a disturbed network the clean one's statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from onnx import helper

from harden.streams import generator, numpy_generator
from harden.transforms.match_statistics import match_statistics


def model_of(nodes, tensors, output, width):
    """From ``x`` [n, 8] to an output [n, width]."""
    return toys.model(nodes, {"x": ["n", 8]}, {output: ["n", width]}, tensors)


@pytest.fixture
def chain():
    rng = numpy_generator(0, "chain")
    tensors = {f"w{i}": rng.normal(0, 0.4, (8, 8)) for i in range(3)} | {
        f"b{i}": rng.normal(0, 0.3, 8) for i in range(3)
    }
    nodes, last = [], "x"
    for i in range(3):
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"h{i}"], transB=1, name=f"g{i}"))
        nodes.append(helper.make_node("Relu", [f"h{i}"], [f"r{i}"], name=f"a{i}"))
        last = f"r{i}"
    return model_of(nodes[:-1], tensors, "h2", 8)


def test_every_layer_of_the_disturbed_network_gets_the_clean_statistics(chain):
    clean = chain.module().eval()
    source = generator(0, "disturbed")
    disturbed = {f"w{i}": dict(clean.named_parameters())[f"w{i}"].detach() for i in range(3)}
    disturbed = {k: w + 0.15 * torch.empty_like(w).normal_(generator=source) for k, w in disturbed.items()}
    model = chain.with_weights(disturbed)
    net = model.module().eval()
    x = torch.empty(256, 8).normal_(generator=source)
    corrected = match_statistics(net, clean, [(x,)], lambda i: {})
    after = model.with_weights(corrected).module().eval()
    names = ("h0", "h1", "h2")
    with torch.no_grad():
        right, before, now = (m(x, taps=names)[1] for m in (clean, net, after))
    for name in names:
        torch.testing.assert_close(now[name].mean(0), right[name].mean(0), atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(now[name].std(0), right[name].std(0), atol=1e-4, rtol=1e-3)
        assert (before[name].mean(0) - right[name].mean(0)).abs().max() > 0.02
    assert all(torch.equal(dict(net.named_parameters())[k], w) for k, w in disturbed.items())


def test_layers_before_batch_norms_are_left_to_them(convolution):
    model = convolution()
    net = model.module().eval()
    x = torch.empty(32, 3, 8, 8).normal_(generator=generator(0, "images"))
    assert match_statistics(net, net, [(x,)], lambda i: {}).keys() == {"fc", "bias"}


def test_noise_reaches_weights_that_the_graph_turns_before_it_multiplies():
    """The key of such a use is the tensor's name, and its shape on the crossbar another."""
    rng = numpy_generator(0, "turned")
    tensors = {"w": rng.normal(0, 0.4, (6, 8)), "v": rng.normal(0, 0.4, (3, 6)), "b": np.zeros(3)}
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0], name="turn"),
        helper.make_node("MatMul", ["x", "t"], ["h"], name="mul"),
        helper.make_node("Gemm", ["h", "v", "b"], ["y"], transB=1, name="last"),
    ]
    model = model_of(nodes, tensors, "y", 3)
    net = model.module().eval()
    noisy = {key: 1.1 * use.tensor.detach() for key, use in net.analog_weights(()).items()}
    assert noisy["w"].shape != dict(net.named_parameters())["w"].shape
    x = torch.empty(64, 8).normal_(generator=generator(0, "inputs"))
    changed = match_statistics(net, net, [(x,)], lambda i: noisy)
    with torch.no_grad():
        outputs = model.with_weights(changed).module().eval()(x, weights={"w": noisy["w"]})
        expected = net(x)
    # Both weights are a tenth too large, so the last one is divided by 1.1 twice to have the clean outputs' spread;
    # the noise of the first one alone leaves a tenth too little.
    torch.testing.assert_close(outputs.std(0) * 1.1, expected.std(0), rtol=1e-4, atol=1e-4)
