"""Rescaling: whatever the scales, the function stays; the scales that are chosen help."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.streams import generator, numpy_generator
from harden.transforms._walk import find_channels
from harden.transforms.rescale import apply, bounded, rescale


def build(nodes, tensors, shape, output="y"):
    graph = helper.make_graph(
        [
            helper.make_node(op, inputs, outputs, name=f"n{i}", **more)
            for i, (op, inputs, outputs, more) in enumerate(nodes)
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "m", "n"][: 3 if len(shape) == 2 else 2])],
        [
            numpy_helper.from_array(np.asarray(v, np.int64 if np.asarray(v).dtype.kind == "i" else np.float32), k)
            for k, v in tensors.items()
        ],
    )
    return Model.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def spread(rng, *shape):
    """Weights whose rows and columns have very different sizes."""
    w = rng.normal(0, 0.3, shape)
    for axis in range(min(2, len(shape))):
        w = w * rng.uniform(0.1, 3, [n if a == axis else 1 for a, n in enumerate(shape)])
    return w


def folded():
    """Conv with bias, Relu, MaxPool, depthwise Conv, Relu, Flatten, Gemm: no batch norm."""
    rng = numpy_generator(0, "folded")
    tensors = {"c": spread(rng, 6, 3, 3, 3), "cb": rng.normal(0, 0.2, 6), "d": spread(rng, 6, 1, 3, 3),
               "db": rng.normal(0, 0.2, 6), "f": spread(rng, 4, 96), "fb": rng.normal(0, 0.1, 4)}  # fmt: skip
    nodes = [
        ("Conv", ["x", "c", "cb"], ["h"], {"pads": [1] * 4}),
        ("Relu", ["h"], ["r"], {}),
        ("MaxPool", ["r"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Conv", ["p", "d", "db"], ["e"], {"pads": [1] * 4, "group": 6}),
        ("LeakyRelu", ["e"], ["s"], {"alpha": 0.1}),
        ("Flatten", ["s"], ["t"], {}),
        ("Gemm", ["t", "f", "fb"], ["y"], {"transB": 1}),
    ]
    return build(nodes, tensors, (3, 8, 8)), (3, 8, 8)


def residual():
    """Two branches that meet in a sum, channels padded with zeros, and a readout."""
    rng = numpy_generator(0, "residual")
    tensors = {"c": spread(rng, 4, 3, 3, 3), "u": spread(rng, 6, 4, 3, 3), "ub": rng.normal(0, 0.1, 6),
               "f": spread(rng, 6, 5), "pads": np.array([0, 1, 0, 0, 0, 1, 0, 0])}  # fmt: skip
    nodes = [
        ("Conv", ["x", "c"], ["h"], {"pads": [1] * 4}),
        ("Relu", ["h"], ["r"], {}),
        ("Conv", ["r", "u", "ub"], ["v"], {"pads": [1] * 4}),
        ("Pad", ["r", "pads"], ["w"], {}),
        ("Add", ["v", "w"], ["s"], {}),
        ("Relu", ["s"], ["t"], {}),
        ("ReduceMean", ["t"], ["m"], {"axes": [2, 3], "keepdims": 0}),
        ("MatMul", ["m", "f"], ["y"], {}),
    ]
    return build(nodes, tensors, (3, 8, 8)), (3, 8, 8)


def attention():
    """LayerNorm into three projections; values pass fixed probabilities, heads are merged and projected."""
    rng = numpy_generator(0, "attention")
    tensors = {"g": rng.uniform(0.2, 3, 8), "b": rng.normal(0, 0.3, 8), "q": spread(rng, 8, 8), "k": spread(rng, 8, 8),
               "v": spread(rng, 8, 8), "vb": rng.normal(0, 0.2, 8), "o": spread(rng, 8, 8), "ob": rng.normal(0, 0.2, 8),
               "split": np.array([0, 0, 2, 4]), "merge": np.array([0, 0, 8])}  # fmt: skip
    nodes = [("LayerNormalization", ["x", "g", "b"], ["n"], {"axis": -1})]
    for name, bias in (("q", None), ("k", None), ("v", "vb")):
        nodes.append(("MatMul", ["n", name], [f"{name}1"], {}))
        source = f"{name}1"
        if bias:
            nodes.append(("Add", [source, bias], [f"{name}2"], {}))
            source = f"{name}2"
        nodes.append(("Reshape", [source, "split"], [f"{name}3"], {}))
        nodes.append(("Transpose", [f"{name}3"], [f"{name}4"], {"perm": [0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]}))
    nodes += [
        ("MatMul", ["q4", "k4"], ["a"], {}),
        ("Softmax", ["a"], ["p"], {"axis": -1}),
        ("MatMul", ["p", "v4"], ["c"], {}),
        ("Transpose", ["c"], ["c1"], {"perm": [0, 2, 1, 3]}),
        ("Reshape", ["c1", "merge"], ["c2"], {}),
        ("Transpose", ["o"], ["ot"], {"perm": [1, 0]}),
        ("MatMul", ["c2", "ot"], ["o1"], {}),
        ("Add", ["o1", "ob"], ["o2"], {}),
        ("Add", ["o2", "x"], ["y"], {}),
    ]
    return build(nodes, tensors, (5, 8)), (5, 8)


def with_batch_norms(convolution):
    return convolution(), (3, 8, 8)


GRAPHS = {"folded": folded, "residual": residual, "attention": attention}


@pytest.fixture(params=[*GRAPHS, "batch norms"])
def graph(request, convolution):
    model, shape = with_batch_norms(convolution) if request.param == "batch norms" else GRAPHS[request.param]()
    return model, torch.empty(16, *shape).normal_(generator=generator(0, "rescale", request.param))


def change(model, changed, x):
    before, after = (m.module().eval()(x) for m in (model, model.with_weights(changed)))
    return ((before - after).abs().max() / before.abs().max()).item()


@pytest.mark.parametrize("seed", range(5))
def test_any_scales_leave_the_function_as_it_is(graph, seed):
    model, x = graph
    net = model.module().eval()
    channels = find_channels(net, (x,))
    roots = channels.roots()
    random = torch.empty(len(roots), dtype=torch.float64).uniform_(-2, 2, generator=generator(seed, "scales"))
    random[:2] = 0
    values = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    changed = apply(channels, roots, bounded(channels, roots, random, values), values)
    assert len(changed) >= 3
    assert change(model, changed, x) < 2e-5


def test_the_chosen_scales_lower_the_noise_of_the_outputs(graph):
    model, x = graph
    net = model.module().eval()
    changed, record = rescale(net, (x,))
    assert change(model, changed, x) < 2e-5
    assert record["noise_after"] < record["noise_before"]
    profile = Profile.parse("gaussian:sigma=0.05")

    def error(candidate):
        with torch.no_grad():
            right = candidate(x)
            weights = candidate.analog_weights()
            return sum(
                (candidate(x, weights=profile.chip(weights, seed=0, index=i)) - right).square().mean().item()
                for i in range(20)
            )

    assert error(model.with_weights(changed).module().eval()) < 0.8 * error(net)


def test_rows_before_a_batch_norm_all_get_the_tensors_largest_weight(convolution):
    model = convolution()
    net = model.module().eval()
    changed, _ = rescale(net, (torch.empty(16, 3, 8, 8).normal_(generator=generator(0, "rows")),))
    largest = changed["c1"].abs().amax((1, 2, 3))
    torch.testing.assert_close(largest, largest.max().expand_as(largest))


def test_the_variance_is_corrected_for_epsilon(convolution):
    model = convolution()
    net = model.module().eval()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    changed, _ = rescale(net, (torch.empty(16, 3, 8, 8).normal_(generator=generator(0, "rows")),))
    c1 = dict(net.named_parameters())["c1"].detach()
    scale = (changed["c1"].abs().amax((1, 2, 3)) / c1.abs().amax((1, 2, 3))).double()
    torch.testing.assert_close(changed["n1.mean"].double(), before["n1.mean"].double() * scale)
    torch.testing.assert_close(changed["n1.var"].double(), scale**2 * (before["n1.var"].double() + 1e-5) - 1e-5)


def test_values_of_attention_are_scaled_into_the_projection():
    model, shape = attention()
    x = torch.empty(4, *shape).normal_(generator=generator(0, "attention"))
    changed, _ = rescale(model.module().eval(), (x,))
    assert {"g", "b", "v", "vb", "o"} <= changed.keys()
    assert "ob" not in changed


def test_a_dead_channel_is_left_alone(convolution):
    model = convolution()
    c1 = model.tensors()["c1"].copy()
    c1[0] = 0
    model = model.with_weights({"c1": c1})
    x = torch.empty(16, 3, 8, 8).normal_(generator=generator(0, "dead"))
    changed, _ = rescale(model.module().eval(), (x,))
    assert all(value.isfinite().all() for value in changed.values())
    assert change(model, changed, x) < 2e-5


def test_a_shared_weight_is_not_scaled():
    rng = numpy_generator(0, "shared")
    tensors = {"a": spread(rng, 6, 6), "b": spread(rng, 3, 6)}
    nodes = [
        ("Gemm", ["x", "a"], ["h"], {"transB": 1}),
        ("Relu", ["h"], ["r"], {}),
        ("Gemm", ["r", "a"], ["i"], {"transB": 1}),
        ("Relu", ["i"], ["s"], {}),
        ("Gemm", ["s", "b"], ["y"], {"transB": 1}),
    ]
    model = build(nodes, tensors, (6,))
    x = torch.empty(8, 6).normal_(generator=generator(0, "shared"))
    changed, _ = rescale(model.module().eval(), (x,))
    assert changed == {}


def test_onnx_accepts_the_rescaled_file(graph):
    model, x = graph
    changed, _ = rescale(model.module().eval(), (x,))
    rescaled = model.with_weights(changed)
    onnx.checker.check_model(rescaled.proto)
    assert [n.op_type for n in rescaled.proto.graph.node] == [n.op_type for n in model.proto.graph.node]
