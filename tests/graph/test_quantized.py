"""QDQ graphs: weights train in real units, straight through the rounding, and go back as integers."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
import toys
from onnx import TensorProto, helper, numpy_helper

from harden.errors import UnsupportedError
from harden.graph.file import Model
from harden.graph.inspection import unsupported

node = helper.make_node


def qdq_layer(dtype=np.int8, per_channel=True):
    """x -> Q -> DQ -> Conv(DQ(weight), DQ(bias)) -> Q -> DQ."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    stream = np.random.Generator(np.random.SFC64(3))
    weight = stream.integers(low, high, size=(4, 2, 3, 3), endpoint=True).astype(dtype)
    bias = stream.integers(-(2**26), 2**26, size=4).astype(np.int32)
    scale = np.linspace(0.01, 0.02, 4).astype(np.float32) if per_channel else np.float32(0.01)
    zero = np.zeros_like(scale).astype(dtype) if dtype is np.int8 else np.full_like(scale, 128).astype(dtype)
    tensors = {
        "xs": np.float32(0.02), "xz": np.uint8(128), "w": weight, "ws": scale, "wz": zero,
        "b": bias, "bs": scale * np.float32(1e-5), "ys": np.float32(0.5), "yz": np.uint8(120),
    }  # fmt: skip
    axis = {"axis": 0} if per_channel else {}
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        node("DequantizeLinear", ["xq", "xs", "xz"], ["xr"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wr"], **axis),
        node("DequantizeLinear", ["b", "bs"], ["br"], **axis),
        node("Conv", ["xr", "wr", "br"], ["h"], "layer", pads=[1, 1, 1, 1]),
        node("QuantizeLinear", ["h", "ys", "yz"], ["hq"]),
        node("MaxPool", ["hq"], ["pq"], kernel_shape=[2, 2], strides=[2, 2]),
        node("DequantizeLinear", ["pq", "ys", "yz"], ["y"]),
    ]
    return Model.from_proto(toys.proto(nodes, {"x": ["n", 2, 6, 6]}, ["y"], tensors))


def runtime(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.serialize(), options).run(None, {"x": x})[0]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_train_in_real_units_and_return_as_integers(dtype, per_channel):
    model = qdq_layer(dtype, per_channel)
    module = model.module().eval()
    assert [name for name, _ in module.named_parameters()] == ["w", "b"]
    assert model.with_weights(module.export_weights()) is model
    (weight,) = module.analog_weights().values()
    held = model.proto.graph.initializer
    integers, scale, zero = (numpy_helper.to_array(next(t for t in held if t.name == n)) for n in ("w", "ws", "wz"))
    shape = (-1, 1, 1, 1) if per_channel else ()
    real = (integers.astype(np.float32) - zero.reshape(shape)) * scale.reshape(shape)
    np.testing.assert_allclose(weight.tensor.detach().numpy(), real, rtol=1e-6)
    assert (weight.key, weight.output_axis) == ("w", 0)

    x = toys.numbers(2, 2, 6, 6)
    with torch.no_grad():
        ours = module(torch.from_numpy(x)).numpy()
    # One step of the output's grid may differ where a sum lies on an edge.
    difference = np.abs(ours - runtime(model, x))
    assert difference.max() <= 0.5001
    assert (difference > 1e-4).mean() < 0.02

    module(torch.from_numpy(x)).square().sum().backward()
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for parameter in parameters.values():
            assert parameter.grad.abs().sum() > 0
            parameter -= 0.1 * parameter.grad / parameter.grad.abs().max() * parameter.abs().max()
    tuned = model.with_weights(module.export_weights())
    stored = {t.name: numpy_helper.to_array(t) for t in tuned.proto.graph.initializer}
    assert stored["w"].dtype == dtype
    assert stored["b"].dtype == np.int32
    assert (stored["w"] != integers).any()
    with torch.no_grad():
        difference = np.abs(module(torch.from_numpy(x)).numpy() - runtime(tuned, x))
    assert difference.max() <= 0.5001
    assert (difference > 1e-4).mean() < 0.02


def test_gradients_pass_straight_through_the_rounding_and_stop_where_it_saturates():
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    model = Model.from_proto(toys.proto(nodes, {"x": [4]}, ["y"], {"s": np.float32(0.1), "z": np.int8(5)}))
    x = torch.tensor([0.26, -1.04, 100.0, -100.0], requires_grad=True)
    y = model.module()(x)
    torch.testing.assert_close(y, torch.tensor([0.3, -1.0, 12.2, -13.3]), atol=1e-5, rtol=0)
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([1.0, 1.0, 0.0, 0.0]))


def test_integers_that_leave_the_graph_are_integers():
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["y"])]
    model = Model.from_proto(toys.proto(nodes, {"x": [2]}, ["y"], {"s": np.float32(0.1), "z": np.uint8(5)}))
    assert model.module()(torch.tensor([0.26, -9.0])).tolist() == [8, 0]
    assert model.module()(torch.tensor([0.26, -9.0])).dtype == torch.uint8


def test_four_bit_weights_stay_within_four_bits():
    weight = helper.make_tensor("w", TensorProto.INT4, [2, 3], [-8, -3, 0, 1, 5, 7])
    nodes = [node("DequantizeLinear", ["w", "s"], ["wr"]), node("MatMul", ["x", "wr"], ["y"])]
    proto = toys.proto(nodes, {"x": ["n", 2]}, ["y"], {"s": np.float32(0.5)}, opset=21)
    proto.graph.initializer.append(weight)
    model = Model.from_proto(proto)
    module = model.module()
    assert model.with_weights(module.export_weights()) is model
    tuned = model.with_weights({"w": np.full((2, 3), 100.0, np.float32)})
    assert numpy_helper.to_array(tuned.proto.graph.initializer[1]).astype(int).tolist() == [[7] * 3] * 2


def test_a_weight_whose_scale_is_computed_is_refused():
    nodes = [
        node("Exp", ["ls"], ["s"]),
        node("DequantizeLinear", ["w", "s"], ["wr"]),
        node("MatMul", ["x", "wr"], ["y"], "product"),
    ]
    tensors = {"ls": np.float32(-3), "w": np.ones((2, 2), np.int8)}
    with pytest.raises(UnsupportedError, match="MatMul 'product'"):
        Model.from_proto(toys.proto(nodes, {"x": ["n", 2]}, ["y"], tensors)).module()


def test_layers_on_integers_are_named_and_the_way_out_is_told():
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z"], ["i"], "product"),
        node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "s"], ["y"]),
    ]
    model = Model.from_proto(toys.proto(nodes, {"x": ["n", 2]}, ["y"], {"w": np.ones((2, 2), np.int8)}))
    rows = unsupported(model)
    assert [row["op"] for row in rows] == ["DynamicQuantizeLinear", "MatMulInteger"]
    assert all("only QDQ" in row["reason"] for row in rows)
    with pytest.raises(UnsupportedError, match=r"MatMulInteger \(1: product\)") as caught:
        model.module()
    assert "QDQ form" in (caught.value.fix or "")
