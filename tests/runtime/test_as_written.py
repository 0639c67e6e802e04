"""ONNX Runtime computes what a file says: quantisation as it is written, initializers as constants, or the reason."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
import toys
from onnx import TensorProto, helper

from harden.errors import ModelError
from harden.evaluation.document import model_part
from harden.graph.file import Model
from harden.runtime.canary import canary
from harden.runtime.copy import RuntimeCopy
from harden.runtime.parity import parity, run_torch
from harden.runtime.sessions import Session, first_line

node = helper.make_node


def test_sums_of_eight_bit_products_do_not_saturate():
    """255 x 127 twice is more than 16 bits hold; kernels without VNNI add two such products in 16 bits."""
    x, w = np.full((1, 8), 255, np.float32), np.full((8, 4), 127, np.int8)
    one, nothing = np.float32(1), np.uint8(0)
    nodes = [
        node("QuantizeLinear", ["x", "one", "nothing"], ["xq"]),
        node("DequantizeLinear", ["xq", "one", "nothing"], ["xr"]),
        node("DequantizeLinear", ["w", "one"], ["wr"]),
        node("MatMul", ["xr", "wr"], ["h"]),
        node("QuantizeLinear", ["h", "coarse", "nothing"], ["hq"]),
        node("DequantizeLinear", ["hq", "coarse", "nothing"], ["y"]),
    ]
    tensors = {"w": w, "one": one, "nothing": nothing, "coarse": np.float32(2000)}
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 8]}, ["y"], tensors))
    right = 2000 * np.round(8 * 255 * 127 / 2000)
    assert Session(model.runnable).run(x)[0].tolist() == [[right] * 4]
    assert parity(model, (x,)).passed
    assert canary(model, (x,)).tensors == 1


def test_two_roundings_in_a_row_are_two():
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        node("QuantizeLinear", ["b", "t", "z"], ["c"]),
        node("DequantizeLinear", ["c", "t", "z"], ["y"]),
    ]
    tensors = {"s": np.float32(0.1), "t": np.float32(0.13), "z": np.uint8(128)}
    proto = toys.proto(nodes, {"x": ["n"]}, ["y"], tensors)
    x = np.linspace(-3, 3, 101, dtype=np.float32)
    first = np.round(x / np.float32(0.1)) * np.float32(0.1)
    right = np.round(first / np.float32(0.13)) * np.float32(0.13)
    np.testing.assert_allclose(Session(proto.SerializeToString()).run(x)[0], right, atol=1e-6)


@pytest.mark.parametrize("op", ["MatMul", "Gemm"])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [0, 32])
def test_activations_beside_weights_of_few_bits_are_not_rounded(op, bits, block):
    """By default the product of activations with such weights is taken in int8: off by one part in a hundred."""
    stream = np.random.Generator(np.random.SFC64(0))
    most = 2 ** (bits - 1) - 1
    w = stream.integers(-most, most, (64, 16), endpoint=True)
    scale = stream.uniform(0.5, 1, (2, 16) if block else (16,)).astype(np.float32) / most
    settings = {"axis": 0, "block_size": block} if block else {"axis": 1}
    nodes = [node("DequantizeLinear", ["w", "s"], ["wr"], **settings), node(op, ["x", "wr"], ["y"])]
    proto = toys.proto(nodes, {"x": ["n", 64]}, ["y"], {"s": scale}, opset=21, ir_version=10)
    kind = TensorProto.INT4 if bits == 4 else TensorProto.INT8
    proto.graph.initializer.append(helper.make_tensor("w", kind, w.shape, w.flatten().tolist()))
    model, x = Model.from_proto(proto), toys.numbers(5, 64)
    right = x.astype(np.float64) @ (w * (np.repeat(scale, 32, axis=0) if block else scale))
    np.testing.assert_allclose(Session(model.runnable).run(x)[0], right, atol=1e-4)
    assert parity(model, (x,)).max_rel_error < 1e-5
    assert canary(model, (x,)).max_abs_error < 1e-3


def normalised(ir_version, listed):
    """Conv -> BatchNormalization -> Relu -> Conv -> BatchNormalization; which tensors are inputs, too."""
    names = ("g", "b", "m", "v")
    nodes = [
        node("Conv", ["x", "w1", "c1"], ["h1"], "first", pads=[1] * 4),
        node("BatchNormalization", ["h1", *names], ["h2"]),
        node("Relu", ["h2"], ["h3"]),
        node("Conv", ["h3", "w2", "c2"], ["h4"], "second", pads=[1] * 4),
        node("BatchNormalization", ["h4", *names], ["y"]),
    ]
    tensors = {name: toys.numbers(16, seed=at) for at, name in enumerate((*names, "c1", "c2"))}
    tensors |= {"w1": toys.numbers(16, 3, 3, 3, seed=7), "w2": toys.numbers(16, 16, 3, 3, seed=8)}
    tensors["v"] = np.abs(tensors["v"]) + np.float32(0.5)
    proto = toys.proto(nodes, {"x": ["n", 3, 8, 8]}, ["y"], tensors, opset=8, ir_version=ir_version)
    chosen = [name for name in tensors if listed(name)]
    proto.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, tensors[name].shape) for name in chosen
    )
    return proto


@pytest.mark.parametrize(("ir_version", "listed"), [(3, "all"), (4, "all"), (8, "biases")])
def test_initializers_among_the_inputs_are_constants_to_the_bit(tmp_path, ir_version, listed):
    proto = normalised(ir_version, lambda name: listed == "all" or not name.startswith("w"))
    x = toys.numbers(4, 3, 8, 8)
    constants = normalised(8, lambda name: False)
    right = onnxruntime.InferenceSession(constants.SerializeToString()).run(None, {"x": x})[0]
    model = Model.from_proto(proto)
    assert [spec.name for spec in model.inputs] == ["x"]
    copy = RuntimeCopy.build(model, tmp_path)
    copy.check(x)
    assert copy.exact
    assert np.array_equal(Session(model.runnable).run(x)[0], right)
    assert np.array_equal(copy.session().run(x)[0], right)
    assert len(model.proto.graph.input) == len(proto.graph.input)  # the file itself stays as it is


def test_a_file_that_overrides_nothing_is_given_as_it_is():
    model = Model.from_proto(normalised(8, lambda name: False))
    assert model.runnable == model.serialize()


@pytest.mark.parametrize(
    ("opset", "ir_version", "said"),
    [
        (17, 99, f"newer than ONNX Runtime {onnxruntime.__version__}: it has IR version 99, and "),
        (99, 8, f"newer than ONNX Runtime {onnxruntime.__version__}: it has opset 99 of ai.onnx, and "),
    ],
)
def test_a_file_newer_than_onnx_runtime_is_answered_with_both_versions_and_the_way(opset, ir_version, said):
    proto = toys.proto([node("Relu", ["x"], ["y"])], {"x": ["n"]}, ["y"], opset=opset, ir_version=ir_version)
    with pytest.raises(ModelError) as caught:
        Session(proto.SerializeToString())
    assert said in caught.value.what
    assert "onnxruntime_src" not in str(caught.value)
    assert all(word in (caught.value.fix or "") for word in ("Update onnxruntime", "version_converter", "ir_version"))


def test_what_onnx_runtime_says_is_shown_without_the_place_in_its_sources():
    text = (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running MatMul node. Name:'m' Status "
        "Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/matmul_helper.h:73 onnxruntime::common::Status "
        "onnxruntime::MatMulComputeHelper::Compute(const onnxruntime::TensorShape&, bool) left_num_dims > 2 was false"
    )
    shown = "running MatMul node. Name:'m' Status Message: left_num_dims > 2 was false"
    assert first_line(RuntimeError(text)) == f"Non-zero status code returned while {shown}"


@pytest.mark.parametrize("turned", [0, 1])
def test_fused_matmul_moves_batch_axes_as_onnx_runtime_does(turned):
    """``transBatchB`` moves the first axis of B behind its batch axes: B [2, 3, 5, 4] becomes [3, 5, 2, 4]."""
    x, w = toys.numbers(3, 5, 7, 4 if turned else 2), toys.numbers(2, 3, 5, 4, seed=1)
    settings = {"transBatchB": 1, "transB": turned}
    nodes = [node("FusedMatMul", ["x", "w"], ["y"], "product", domain="com.microsoft", **settings)]
    proto = toys.proto(nodes, {"x": x.shape}, ["y"], {"w": w})
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model = Model.from_proto(proto)
    right = np.einsum("abij,kabj->abik" if turned else "abik,kabj->abij", x, w)
    np.testing.assert_allclose(run_torch(model.module(), (x,))[0], right, rtol=1e-4, atol=1e-5)
    assert parity(model, (x,)).passed
    (weight,) = model.analog_weights().values()
    assert w.shape[weight.output_axis] == right.shape[-1]


def test_weights_rounded_clipped_and_taken_back_are_weights():
    """Brevitas' form: the file holds floats, and rounds them to seven bits on their way."""
    w = toys.numbers(4, 16, seed=2)
    scale = np.float32(np.abs(w).max() / 90)  # so that the Clip at 63 takes the largest
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        node("Clip", ["q", "low", "high"], ["c"]),
        node("DequantizeLinear", ["c", "s", "z"], ["d"]),
        node("Gemm", ["x", "d"], ["y"], "layer", transB=1),
    ]
    tensors = {"w": w, "s": scale, "z": np.int8(0), "low": np.int8(-63), "high": np.int8(63)}
    model, x = Model.from_proto(toys.proto(nodes, {"x": ["n", 16]}, ["y"], tensors)), toys.numbers(3, 16)
    real = np.clip(np.round(w / scale), -63, 63) * scale
    (weight,) = model.analog_weights().values()
    assert weight.name == "w"
    np.testing.assert_allclose(weight.tensor.detach().numpy(), real, rtol=1e-6)
    np.testing.assert_allclose(Session(model.runnable).run(x)[0], x @ real.T, rtol=1e-4, atol=1e-5)
    assert canary(model, (x,)).tensors == 1
    module = model.module()
    module(torch.from_numpy(x)).square().sum().backward()
    inside = np.abs(np.round(w / scale)) <= 63
    gradient = dict(module.named_parameters())["w"].grad.numpy()
    assert (gradient[inside] != 0).all()
    assert (gradient[~inside] == 0).all()


def test_the_record_of_a_quantised_file_tells_how_it_was_opened():
    plain = Model.from_proto(normalised(8, lambda name: False))
    assert "session" not in model_part(plain).to_json()
    nodes = [node("DequantizeLinear", ["w", "s"], ["d"]), node("MatMul", ["x", "d"], ["y"])]
    tensors = {"w": np.ones((4, 2), np.int8), "s": np.float32(1)}
    part = model_part(Model.from_proto(toys.proto(nodes, {"x": ["n", 4]}, ["y"], tensors))).to_json()
    assert part["session"]["session.disable_quant_qdq"] == "1"
