"""Files that mean harm, or are merely broken: whatever they hold, nothing but a HardenError comes out."""

from __future__ import annotations

import contextlib
import random
from functools import cache

import numpy as np
import onnx
import pytest
import torch
import toys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from strategies import damaged

from harden.errors import HardenError, ModelError
from harden.graph import plan
from harden.graph.file import Model
from harden.graph.inspection import weights_table

node = helper.make_node


@cache
def originals():
    """Real files in small: convolutions with batch norms, a recurrent layer, shape arithmetic, a branch, QDQ."""
    bn = {f"bn{i}": np.abs(toys.numbers(4, seed=i)) for i in range(4)}
    convolution = toys.proto(
        [
            node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("BatchNormalization", ["c", *bn], ["n"], epsilon=1e-3),
            node("Relu", ["n"], ["r"]),
            node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], ceil_mode=1),
            node("Shape", ["p"], ["s"]),
            node("Gather", ["s", "zero"], ["batch"]),
            node("Concat", ["batch", "minus"], ["t"], axis=0),
            node("Reshape", ["p", "t"], ["f"]),
            node("Gemm", ["f", "head"], ["y"], "head", transB=1, alpha=0.5),
        ],
        {"x": ["n", 3, 8, 8]},
        ["y"],
        {"w": toys.numbers(4, 3, 3, 3), "b": toys.numbers(4), **bn, "zero": np.array([0]),
         "minus": np.array([-1]), "head": toys.numbers(5, 16)},
    )  # fmt: skip
    recurrent = toys.proto(
        [
            node("LSTM", ["x", "w", "r", "b"], ["s", "h"], "cell", hidden_size=4, direction="bidirectional"),
            node("Constant", [], ["ends"], value=numpy_helper.from_array(np.array([2]))),
            node("Constant", [], ["starts"], value_ints=[0]),
            node("Slice", ["s", "starts", "ends"], ["y"]),
        ],
        {"x": [3, 2, 5]},
        ["y", "h"],
        {"w": toys.numbers(2, 16, 5), "r": toys.numbers(2, 16, 4), "b": toys.numbers(2, 32)},
    )
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    then = helper.make_graph(
        [node("MatMul", ["x", "v"], ["o"])], "t", [], [out], [numpy_helper.from_array(toys.numbers(6, 2), "v")]
    )
    other = helper.make_graph([node("Tile", ["k", "two"], ["o"])], "e", [], [out])
    branch = toys.proto(
        [
            node("QuantizeLinear", ["w", "scale", "z"], ["q"]),
            node("DequantizeLinear", ["q", "scale", "z"], ["d"]),
            node("MatMul", ["x", "d"], ["m"]),
            node("ReduceMax", ["m"], ["top"], keepdims=0),
            node("Greater", ["top", "limit"], ["c"]),
            node("If", ["c"], ["y"], "if", then_branch=then, else_branch=other),
            node("ConstantOfShape", ["two"], ["z2"]),
        ],
        {"x": [2, 6]},
        ["y"],
        {"w": toys.numbers(6, 6), "scale": np.float32(0.1), "z": np.int8(0), "limit": np.float32(0),
         "k": toys.numbers(1, 2), "two": np.array([2, 1])},
    )  # fmt: skip
    return tuple(proto.SerializeToString() for proto in (convolution, recurrent, branch))


def exercise(data, folder):
    """Everything a command does with a model, on data of our own."""
    path = folder / "m.onnx"
    path.write_bytes(data)
    model = Model.load(path)
    assert model.serialize() == data
    _ = model.inputs, model.outputs, model.parameters, model.batch_norm, model.preprocess, weights_table(model)
    module = model.module()
    assert model.with_weights(module.export_weights()).serialize() == data
    inputs = []
    for spec in model.inputs:
        if spec.dtype.kind not in "fiub" or spec.dtype.name.startswith(("float8", "float6", "float4", "bfloat")):
            return  # numpy itself cannot hand such an input over
        shape = [size if isinstance(size, int) and 0 <= size <= 16 else 2 for size in spec.shape]
        inputs.append(torch.from_numpy(np.zeros(shape, spec.dtype)))
    with torch.no_grad():
        module.eval()(*inputs)
        module.eval()(*inputs)
    module.analog_weights()


NUMBERS = [-(2**63), -(2**31), -7, -1, 0, 1, 2, 3, 100, 2**20, 2**31, 2**40, 2**63 - 1]


def tamper(message, choice, names):
    """Change one field somewhere below a message; False where there was none."""
    fields = [(field, value) for field, value in message.ListFields()]
    choice.shuffle(fields)
    for field, value in fields:
        repeated = not isinstance(value, (int, float, str, bytes)) and not hasattr(value, "ListFields")
        if field.type == field.TYPE_MESSAGE:
            items = list(value) if repeated else [value]
            if repeated and choice.random() < 0.2:
                del value[choice.randrange(len(value))]
                return True
            if repeated and choice.random() < 0.1:
                value.append(items[choice.randrange(len(items))])
                return True
            if tamper(items[choice.randrange(len(items))], choice, names):
                return True
            continue
        new = choice.choice(NUMBERS)
        if field.type == field.TYPE_STRING or field.type == field.TYPE_BYTES:
            text = choice.choice([*names, "", "Conv", "LSTM", "Loop", "Resize", "../x", "group"])
            new = text if field.type == field.TYPE_STRING else choice.choice([text.encode(), b"", b"\xff" * 64])
        elif field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
            new = choice.choice([float("nan"), float("inf"), 0.0, -1e30])
        elif field.type in (field.TYPE_INT32, field.TYPE_ENUM, field.TYPE_UINT32):
            new = choice.choice([0, 1, 2, 5, 7, 10, 16, 23, 2**31 - 1])
        try:
            if repeated:
                value[choice.randrange(len(value))] = new
            else:
                setattr(message, field.name, new)
        except (ValueError, TypeError, OverflowError):
            continue
        return True
    return False


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.deferred(lambda: st.sampled_from(originals())).flatmap(damaged))
def test_damaged_bytes(tmp_path_factory, data):
    with contextlib.suppress(HardenError):
        exercise(data, tmp_path_factory.getbasetemp())


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_tampered_fields(tmp_path_factory, seed, count):
    choice = random.Random(seed)
    proto = onnx.load_from_string(choice.choice(originals()))
    names = [name for item in proto.graph.node for name in (*item.input, *item.output)]
    for _ in range(count):
        tamper(proto, choice, names)
    with contextlib.suppress(HardenError):
        exercise(proto.SerializeToString(), tmp_path_factory.getbasetemp())


def small(change):
    proto = onnx.load_from_string(originals()[0])
    change(proto.graph)
    return Model.from_proto(proto)


def test_nothing_is_allocated_because_a_constant_says_so(monkeypatch):
    def run(nodes, tensors):
        Model.from_proto(toys.proto(nodes, {"x": [1]}, ["y"], tensors)).module()(torch.zeros(1))

    huge = np.array([2**20, 2**20])
    with pytest.raises(ModelError, match="beyond any sensible size"):
        run([node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])], {"s": huge})
    with pytest.raises(ModelError, match="beyond any sensible size"):
        run([node("Expand", ["x", "s"], ["e"]), node("Exp", ["e"], ["y"])], {"s": huge})
    with pytest.raises(ModelError, match="beyond any sensible size"):
        run([node("Pad", ["x", "s"], ["y"])], {"s": huge << 20})
    monkeypatch.setattr(plan, "MOST_CONSTANT", 1 << 30)
    many = [node("ConstantOfShape", ["s"], [f"c{i}"]) for i in range(40)]
    many += [node("Sum", ["x", *(f"c{i}" for i in range(40))], ["y"])]
    with pytest.raises(ModelError, match="more than 1 GiB"):
        run(many, {"s": np.array([2**23])})


def test_graphs_nested_without_end_are_refused():
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node("Identity", ["x"], ["y"])], "deepest", [], [out])
    for level in range(30):
        deeper = node("If", ["c"], ["y"], f"if{level}", then_branch=graph, else_branch=graph)
        graph = helper.make_graph([deeper], "g", [], [out]) if level < 8 else graph
    deep = helper.make_graph([node("Identity", ["x"], ["y"])], "deepest", [], [out])
    for _ in range(25):
        deep = helper.make_graph([node("If", ["c"], ["y"], then_branch=deep)], "g", [], [out])
    proto = toys.proto([node("If", ["c"], ["y"], then_branch=deep)], {"x": [1], "c": []}, ["y"])
    with pytest.raises(ModelError, match="nested more than 16 deep"):
        Model.from_proto(proto)


def test_a_function_that_calls_itself_is_refused():
    body = [helper.make_node("Self", ["a"], ["b"], domain="my")]
    function = helper.make_function("my", "Self", ["a"], ["b"], body, [helper.make_opsetid("my", 1)])
    proto = toys.proto([helper.make_node("Self", ["x"], ["y"], domain="my")], {"x": [1]}, ["y"])
    proto.functions.append(function)
    proto.opset_import.append(helper.make_opsetid("my", 1))
    with pytest.raises(ModelError, match="call each other more than 16 deep"):
        Model.from_proto(proto).module()


def test_attributes_are_held_to_their_schema():
    def wrong_type(graph):
        attribute = graph.node[0].attribute[0]
        attribute.CopyFrom(helper.make_attribute(attribute.name, "text"))

    def missing(graph):
        del graph.node[6].attribute[:]

    def inputs(graph):
        del graph.node[0].input[1:]

    for change, message in (
        (wrong_type, "is not of the type INTS"),
        (missing, "lacks the attribute 'axis'"),
        (inputs, "1 inputs"),
    ):
        with pytest.raises(ModelError, match=message):
            small(change).module()
