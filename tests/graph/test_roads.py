"""A stored weight that reaches its product by any road is analog there, or is named with its reason; never silent.

The right value is that of the file with the weight's own numbers replaced, in ONNX Runtime alone.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import toys
from onnx import TensorProto, helper, numpy_helper

from harden.graph.file import Model
from harden.runtime.canary import canary
from harden.runtime.copy import RuntimeCopy
from harden.store import scratch

node = helper.make_node
X = toys.numbers(3, 4, seed=1)


def info(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def stored(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def plain(proto, **inputs):
    """ONNX Runtime's answer, without harden."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, inputs)[0]


def with_tensor(proto, name, array):
    """The file with other numbers in one tensor, wherever it is kept."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    graphs = [copy.graph]
    while graphs:
        graph = graphs.pop()
        for tensor in graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(stored(name, array))
        graphs += [a.g for n in graph.node for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]
    return copy


def arrives(proto, name, feeds, *, axis=None, per="tensor"):
    """Other numbers for one crossbar do in both runtimes what they do in the file's own tensor."""
    model = Model.from_proto(proto).with_crossbars(per)
    weights = model.analog_weights()
    (key,) = (key for key, weight in weights.items() if weight.name == name)
    weight = weights[key]
    if axis is not None:
        assert weight.output_axis == axis
    own = next(slot.array() for slot in model.program.stored.values() if slot.name == name)
    other = (own + 0.5 * toys.numbers(*own.shape, seed=7)).astype(own.dtype)
    want = plain(with_tensor(proto, name, other), **feeds)
    assert not toys.agrees(plain(proto, **feeds), want)
    values = {key: torch.from_numpy(other)}
    inputs = tuple(feeds.values())
    with scratch() as folder, torch.no_grad():
        copy = RuntimeCopy.build(model, folder)
        copy.check(*inputs)
        assert toys.agrees(copy.session(values).run(*inputs)[0], want)
        module = model.module().eval()
        for _ in range(2):  # traced, then planned
            assert toys.agrees(module(*map(torch.from_numpy, inputs), weights=values).numpy(), want)
    assert canary(model, inputs).tensors == len(weights)
    return weight


# Loops


def recurrent(op):
    """h' = tanh(x_t w + h r), written as Keras' converter writes it: weights in the state, or sliced beside x."""
    w, r = toys.numbers(4, 5, seed=2) / 2, toys.numbers(5, 5, seed=3) / 2
    cell = [
        node("MatMul", ["x_t", "w_in"], ["a"]),
        node("MatMul", ["h_in", "r_in"], ["b"]),
        node("Add", ["a", "b"], ["s"]),
        node("Tanh", ["s"], ["h_out"]),
        node("Identity", ["w_in"], ["w_out"]),
        node("Identity", ["r_in"], ["r_mid"]),
        node("Identity", ["r_mid"], ["r_out"]),
    ]
    begins = [
        node("Shape", ["x"], ["n"], start=1, end=2),
        node("Concat", ["n", "five"], ["to"], axis=0),
        node("ConstantOfShape", ["to"], ["h0"]),
    ]
    tensors = {"w": w, "r": r, "five": np.array([5])}
    if op == "Loop":
        body = helper.make_graph(
            [node("Gather", ["x", "i"], ["x_t"]), *cell, node("Identity", ["c"], ["c_out"])],
            "body",
            [
                info("i", [], TensorProto.INT64),
                info("c", [], TensorProto.BOOL),
                info("h_in"),
                info("w_in"),
                info("r_in"),
            ],
            [info("c_out", [], TensorProto.BOOL), info("h_out"), info("w_out"), info("r_out")],
        )
        loop = node("Loop", ["steps", "", "h0", "w", "r"], ["y", "w_end", "r_end"], body=body)
        begins += [node("Shape", ["x"], ["t"], start=0, end=1), node("Squeeze", ["t"], ["steps"])]
    else:
        body = helper.make_graph(
            cell,
            "body",
            [info("h_in"), info("w_in"), info("r_in"), info("x_t")],
            [info("h_out"), info("w_out"), info("r_out")],
        )
        loop = node("Scan", ["h0", "w", "r", "x"], ["y", "w_end", "r_end"], body=body, num_scan_inputs=1)
    return toys.proto([*begins, loop], {"x": ["t", "n", 4]}, {"y": ["n", 5]}, tensors)


@pytest.mark.parametrize("op", ["Loop", "Scan"])
@pytest.mark.parametrize("name", ["w", "r"])
def test_weights_that_a_loop_carries_unchanged_are_analog(op, name):
    proto = recurrent(op)
    arrives(proto, name, {"x": toys.numbers(6, 2, 4, seed=4)}, axis=1)
    assert set(Model.from_proto(proto).analog_weights()) == {"w", "r"}


@pytest.mark.parametrize(("along", "axis"), [(0, 2), (1, 2), (2, 1)])
def test_a_scan_over_stored_weights_has_the_whole_stack_on_a_crossbar(along, axis):
    stack = np.moveaxis(toys.numbers(3, 4, 4, seed=5) / 2, 0, along)
    cell = [node("MatMul", ["h", "w_t"], ["p"]), node("Tanh", ["p"], ["h_out"])]
    body = helper.make_graph(cell, "body", [info("h"), info("w_t")], [info("h_out")])
    scan = node("Scan", ["x", "w"], ["y"], body=body, num_scan_inputs=1, scan_input_axes=[along])
    weight = arrives(toys.proto([scan], {"x": ["n", 4]}, ["y"], {"w": stack}), "w", {"x": X}, axis=axis)
    assert tuple(weight.tensor.shape) == stack.shape


# Chosen and scaled by what is fed


def experts(slices):
    nodes = [
        node("ReduceMax", ["x"], ["m"], axes=[1], keepdims=0),
        node("Greater", ["m", "zero"], ["b"]),
        node("Cast", ["b"], ["e"], to=TensorProto.INT64),
        node("Gather", ["w", "e"], ["chosen"]),
        node("Unsqueeze", ["x", "one"], ["row"]),
        node("MatMul", ["row", *(["turned"] if slices == "out-in" else ["chosen"])], ["p"], name="product"),
        node("Squeeze", ["p", "one"], ["y"]),
    ]
    if slices == "out-in":
        nodes.insert(4, node("Transpose", ["chosen"], ["turned"], perm=[0, 2, 1]))
    shape = (2, 4, 5) if slices == "in-out" else (2, 5, 4)
    tensors = {"w": toys.numbers(*shape, seed=6), "zero": np.float32(0.8), "one": np.array([1])}
    return toys.proto(nodes, {"x": ["n", 4]}, ["y"], tensors)


@pytest.mark.parametrize(("slices", "axis"), [("in-out", 2), ("out-in", 1)])
def test_experts_are_on_a_crossbar_as_the_whole_stack(slices, axis):
    weight = arrives(experts(slices), "w", {"x": X}, axis=axis)
    assert weight.tensor.dim() == 3


def conditional(how):
    """One of two matrices, chosen by the sum of the inputs."""
    tensors = {"u": toys.numbers(4, 5, seed=8), "v": toys.numbers(4, 5, seed=9), "zero": np.float32(0)}
    nodes = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Greater", ["s", "zero"], ["c"])]
    if how == "Where":
        nodes.append(node("Where", ["c", "u", "v"], ["w"]))
    else:
        then, other = [], []
        ends = ("u", "v")
        if how == "If through Identity":
            then, other, ends = [node("Identity", ["u"], ["a"])], [node("Identity", ["v"], ["b"])], ("a", "b")
        inner = {}
        if how == "If with tensors of its own":
            inner = {name: [stored(name, tensors.pop(name))] for name in ("u", "v")}
        branches = {
            "then_branch": helper.make_graph(then, "t", [], [info(ends[0])], inner.get("u", [])),
            "else_branch": helper.make_graph(other, "e", [], [info(ends[1])], inner.get("v", [])),
        }
        nodes.append(node("If", ["c"], ["w"], name="if", **branches))
    nodes.append(node("MatMul", ["x", "w"], ["y"], name="product"))
    return toys.proto(nodes, {"x": ["n", 4]}, {"y": ["n", 5]}, tensors)


@pytest.mark.parametrize("how", ["Where", "If through Identity", "If with tensors of its own"])
def test_weights_that_a_condition_chooses_are_crossbars_of_their_own(how):
    proto = conditional(how)
    assert len(Model.from_proto(proto).analog_weights()) == 2
    arrives(proto, "u", {"x": np.abs(X)}, axis=1)
    arrives(proto, "v", {"x": -np.abs(X)}, axis=1)
