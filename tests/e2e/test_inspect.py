"""``harden inspect``: what it says of a file is what ``eval`` and ``fit`` do with it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import toys
from onnx import TensorProto, helper

from harden.pipeline.inspect import inspect

node = helper.make_node


@pytest.fixture
def look(tmp_path):
    """Saves a graph and inspects it."""

    def inspected(*arguments, domains=(), kinds=(), **options):
        proto = toys.proto(*arguments, **options)
        proto.opset_import.extend(helper.make_opsetid(domain, 1) for domain in domains)
        for name, kind in kinds:
            item = next(item for item in proto.graph.input if item.name == name)
            item.type.tensor_type.elem_type = kind
        onnx.save(proto, tmp_path / "model.onnx")
        return inspect(str(tmp_path / "model.onnx"))

    return inspected


def test_weights_stored_as_integers_are_in_the_table(look):
    """The file of ``noise on 640 values``: inspect named none of them."""
    nodes = [node("DequantizeLinear", ["w", "s"], ["d"]), node("Gemm", ["x", "d"], ["y"], "fc", transB=1)]
    tensors = {"w": np.full((10, 64), 3, np.int8), "s": np.float32(0.01)}
    found = look(nodes, {"x": ["n", 64]}, ["y"], tensors)
    analog = [row for row in found.weights if row["analog"]]
    assert [(row["name"], row["shape"], row["key"], row["op"]) for row in analog] == [("w", [10, 64], "w", "Gemm")]
    assert [row["name"] for row in analog] == list(found.model.analog_weights())
    assert found.trainable


def test_a_layer_without_a_stored_weight_is_named_with_that_reason(look):
    nodes = [
        node("Exp", ["e"], ["s"]),
        node("DequantizeLinear", ["w", "s"], ["d"]),
        node("Gemm", ["x", "d"], ["y"], "fc", transB=1),
    ]
    found = look(nodes, {"x": ["n", 4]}, ["y"], {"w": np.ones((2, 4), np.int8), "e": np.float32(-3)})
    assert found.obstacles == ["Gemm (1: fc): its weight is not stored in the file as floating-point or QDQ numbers"]


def test_an_operator_of_another_domain_is_named_with_it(look):
    nodes = [node("Frobnicate", ["x"], ["y"], "n0", domain="com.acme")]
    found = look(nodes, {"x": ["n", 4]}, ["y"], domains=["com.acme"])
    assert found.obstacles == ["com.acme.Frobnicate (1: n0): the operator is not supported"]


def test_a_layer_on_integers_says_which_form_is_supported(look):
    nodes = [node("MatMulInteger", ["x", "w"], ["y"], "product")]
    found = look(nodes, {"x": ["n", 4]}, ["y"], {"w": np.ones((4, 2), np.int8)}, kinds=[("x", TensorProto.INT8)])
    assert found.obstacles == [
        "MatMulInteger (1: product): the layer works on integers; only QDQ quantisation is supported"
    ]


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT])
def test_inputs_without_axes_are_run(look, kind):
    nodes = [
        node("Cast", ["k"], ["c"], to=TensorProto.FLOAT),
        node("MatMul", ["x", "w"], ["h"]),
        node("Mul", ["h", "c"], ["y"]),
    ]
    ends = {"x": ["n", 8], "k": []}
    found = look(nodes, ends, {"y": ["n", 3]}, {"w": toys.numbers(8, 3)}, kinds=[("k", kind)])
    assert found.obstacles == []
    assert found.parity is not None
    assert found.parity.inputs == ((2, 8), ())
    assert found.parity.max_abs_error < 1e-5


def test_nothing_on_a_crossbar_is_an_obstacle(look):
    found = look([node("Mul", ["x", "w"], ["y"])], {"x": ["n", 8]}, ["y"], {"w": toys.numbers(8)})
    assert not found.trainable
    assert ["no weight of the model is on a crossbar" in text for text in found.obstacles] == [True]


def test_a_weight_that_is_an_output_too_is_inspected(look):
    nodes = [node("MatMul", ["x", "w"], ["y"]), node("Identity", ["w"], ["copy"])]
    found = look(nodes, {"x": ["n", 4]}, ["y", "copy"], {"w": toys.numbers(4, 3)})
    assert found.obstacles == []


def test_layers_in_local_functions_are_followed(tmp_path):
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("pkg", 1)]
    linear = helper.make_function(
        "pkg", "Linear", ["a", "w", "b"], ["o"],
        [node("MatMul", ["a", "w"], ["m"], "mm"), node("Add", ["m", "b"], ["o"], "add")], versions[:1],
    )  # fmt: skip
    calls = [
        node("Linear", ["x", "w1", "b1"], ["h"], "fc1", domain="pkg"),
        node("Relu", ["h"], ["r"]),
        node("Linear", ["r", "w2", "b2"], ["y"], "fc2", domain="pkg"),
    ]
    tensors = {"w1": toys.numbers(8, 6), "b1": toys.numbers(6), "w2": toys.numbers(6, 3), "b2": toys.numbers(3)}
    proto = toys.proto(calls, {"x": ["n", 8]}, ["y"], tensors, opset=18)
    proto.opset_import.append(versions[1])
    proto.functions.append(linear)
    onnx.save(proto, tmp_path / "functions.onnx")
    found = inspect(str(tmp_path / "functions.onnx"))
    assert found.obstacles == []
    assert [row["name"] for row in found.weights if row["analog"]] == ["w1", "w2"]
