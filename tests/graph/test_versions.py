"""Operators as older opsets meant them, and modes that node tests leave out, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import toys
from onnx import helper

from harden.graph.file import Model

X = toys.numbers(2, 3, 4, 5)
I64 = np.int64
# op, opset, inputs (the first is fed, the others are initializers), attributes, outputs
CASES = [
    ("Softmax", 11, [X], {}, 1),
    ("Softmax", 11, [X], {"axis": 2}, 1),
    ("Softmax", 11, [X], {"axis": 0}, 1),
    ("Softmax", 11, [X], {"axis": -1}, 1),
    ("Softmax", 13, [X], {"axis": 1}, 1),
    ("LogSoftmax", 11, [X], {"axis": 2}, 1),
    ("Hardmax", 11, [X], {"axis": 2}, 1),
    ("Clip", 7, [X], {"min": -0.5, "max": 0.5}, 1),
    ("Clip", 7, [X], {"max": 0.5}, 1),
    ("Clip", 11, [X, np.float32(0)], {}, 1),
    ("Clip", 13, [X, np.float32(1), np.float32(-1)], {}, 1),
    ("Pad", 7, [X], {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 1.5}, 1),
    ("Pad", 7, [X], {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "mode": "reflect"}, 1),
    ("Pad", 11, [X, np.array([0, 0, 1, 2, 0, 0, 0, 1])], {"mode": "edge"}, 1),
    ("Pad", 18, [X, np.array([1, 2]), np.float32(3), np.array([-1])], {}, 1),
    ("Pad", 13, [X, np.array([0, 0, -1, 0, 0, 0, 2, -2])], {}, 1),
    ("Slice", 7, [X], {"starts": [1, -2], "ends": [3, 100], "axes": [2, 3]}, 1),
    ("Slice", 10, [X, np.array([-1]), np.array([-100]), np.array([3]), np.array([-2])], {}, 1),
    ("Squeeze", 11, [X[:, :1]], {"axes": [1]}, 1),
    ("Squeeze", 13, [X[:, :1], np.array([-3])], {}, 1),
    ("Squeeze", 13, [X[:1, :1]], {}, 1),
    ("Unsqueeze", 11, [X], {"axes": [0, -1]}, 1),
    ("Unsqueeze", 13, [X, np.array([0, -1])], {}, 1),
    ("ReduceSum", 11, [X], {"axes": [1, -1], "keepdims": 0}, 1),
    ("ReduceMean", 11, [X], {"axes": [2, 3]}, 1),
    ("ReduceMean", 18, [X, np.array([2, 3])], {}, 1),
    ("ReduceMean", 11, [X], {}, 1),
    ("ReduceMean", 18, [X], {"noop_with_empty_axes": 1}, 1),
    ("ReduceMax", 11, [X], {"axes": [1]}, 1),
    ("ReduceL2", 13, [X], {"axes": [1]}, 1),
    ("ReduceLogSumExp", 13, [X], {"axes": [1]}, 1),
    ("Split", 11, [X], {"axis": 3, "split": [2, 3]}, 2),
    ("Split", 11, [X], {"axis": 2}, 2),
    ("Split", 13, [X, np.array([1, 2])], {"axis": 1}, 2),
    ("Split", 18, [X], {"axis": 3, "num_outputs": 2}, 2),
    ("TopK", 9, [X], {"k": 2}, 2),
    ("TopK", 11, [X, np.array([2])], {"axis": 1, "largest": 0}, 2),
    ("Upsample", 7, [X], {"scales": [1.0, 1.0, 2.0, 3.0]}, 1),
    ("Upsample", 9, [X, np.float32([1, 1, 2, 3])], {}, 1),
    ("Upsample", 9, [X, np.float32([1, 1, 2, 3])], {"mode": "linear"}, 1),
    ("Resize", 10, [X, np.float32([1, 1, 2, 0.6])], {}, 1),
    ("Resize", 10, [X, np.float32([1, 1, 2, 0.6])], {"mode": "linear"}, 1),
    ("Dropout", 7, [X], {"ratio": 0.5}, 1),
    ("Dropout", 11, [X], {"ratio": 0.5}, 1),
    ("BatchNormalization", 7, [X, *np.abs(toys.numbers(4, 3))], {"epsilon": 1e-3}, 1),
    ("BatchNormalization", 9, [X, *np.abs(toys.numbers(4, 3))], {"momentum": 0.5}, 1),
    ("BatchNormalization", 15, [X, *np.abs(toys.numbers(4, 3))], {}, 1),
    ("GroupNormalization", 21, [toys.numbers(2, 6, 4), *toys.numbers(2, 6)], {"num_groups": 2}, 1),
    ("AveragePool", 7, [X], {"kernel_shape": [2, 2], "pads": [1, 0, 0, 1]}, 1),
    ("AveragePool", 10, [X], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, 1),
    ("AveragePool", 19, [X], {"kernel_shape": [2, 2], "dilations": [2, 2]}, 1),
    ("AveragePool", 11, [X], {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "count_include_pad": 1}, 1),
    ("MaxPool", 7, [X], {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, 1),
    ("MaxPool", 12, [X], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 1, 0, 0]}, 1),
    ("MaxPool", 12, [X], {"kernel_shape": [2, 2], "dilations": [2, 1]}, 1),
    ("Conv", 11, [X, toys.numbers(6, 1, 3, 3)], {"group": 3, "auto_pad": "SAME_LOWER", "strides": [2, 2]}, 1),
    ("Conv", 11, [X, toys.numbers(6, 3, 3, 3)], {"pads": [0, 1, 2, 1], "dilations": [1, 2]}, 1),
    ("ConvTranspose", 11, [X, toys.numbers(3, 2, 3, 3)], {"strides": [2, 3], "output_padding": [1, 2]}, 1),
    ("ConvTranspose", 11, [X, toys.numbers(3, 2, 3, 3)], {"strides": [2, 2], "pads": [1, 0, 0, 1]}, 1),
    ("ConvTranspose", 11, [X, toys.numbers(3, 2, 3, 3)], {"strides": [2, 2], "output_shape": [8, 10]}, 1),
    ("ConvTranspose", 11, [X, toys.numbers(3, 2, 3, 3)], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, 1),
    ("Gemm", 7, [X[0, 0], toys.numbers(2, 5), toys.numbers(4, 1)], {"transB": 1, "alpha": 0.5, "beta": 2.0}, 1),
    ("Gemm", 13, [X[0, 0], toys.numbers(4, 3)], {"transA": 1}, 1),
    ("PRelu", 9, [X, toys.numbers(3, 1, 1)], {}, 1),
    ("InstanceNormalization", 6, [X, toys.numbers(3), toys.numbers(3)], {"epsilon": 1e-2}, 1),
    ("LayerNormalization", 17, [X, toys.numbers(4, 5), toys.numbers(4, 5)], {"axis": 2}, 1),
    ("LRN", 13, [X], {"size": 3, "alpha": 0.1, "beta": 0.6, "bias": 2.0}, 1),
    ("Flatten", 9, [X], {"axis": 0}, 1),
    ("Flatten", 11, [X], {"axis": -1}, 1),
    ("Mod", 13, [X, np.float32([0.3])], {"fmod": 1}, 1),
    ("Gather", 11, [X, np.array([[0, -1]])], {"axis": 3}, 1),
    ("DepthToSpace", 11, [toys.numbers(1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}, 1),
    ("GridSample", 16, [X, toys.numbers(2, 3, 3, 2)], {"mode": "bicubic", "padding_mode": "reflection"}, 1),
    ("GridSample", 16, [X, toys.numbers(2, 3, 3, 2)], {"mode": "nearest", "align_corners": 1}, 1),
]  # fmt: skip
MODES = [
    ("linear", {}), ("cubic", {}), ("cubic", {"exclude_outside": 1}), ("nearest", {"nearest_mode": "floor"}),
]  # fmt: skip
SYSTEMS = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
CASES += [
    ("Resize", 18, [X, np.float32([]), np.float32([1, 1, *scales])],
     {"mode": mode, "coordinate_transformation_mode": system, **more}, 1)
    for mode, more in MODES
    for system in SYSTEMS for scales in ((2, 2), (0.5, 1.6))
    if not (system == "align_corners" and scales[0] < 1)
]  # fmt: skip
CASES += [
    ("Resize", 13, [X, np.float32([]), np.float32([]), np.array([2, 3, 7, 3])],
     {"mode": mode, "nearest_mode": rounding}, 1)
    for mode, rounding in (("linear", "floor"), ("nearest", "round_prefer_ceil"), ("nearest", "ceil"))
]  # fmt: skip


# ONNX Runtime 1.23, the last for Python 3.10, fails at what this attribute asks for.
OLD_RUNTIME = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) <= (1, 23)


def label(case):
    return f"{case[0]}-{case[1]}"


@pytest.mark.parametrize("case", CASES, ids=label)
def test_agrees_with_onnx_runtime(case):
    op, opset, inputs, attributes, outputs = case
    if OLD_RUNTIME and "noop_with_empty_axes" in attributes:
        pytest.skip("ONNX Runtime 1.23 cannot run it")
    names = [f"i{n}" for n in range(len(inputs))]
    results = [f"o{n}" for n in range(outputs)]
    proto = toys.proto(
        [helper.make_node(op, names, results, **attributes)],
        {"i0": inputs[0].shape},
        results,
        dict(zip(names[1:], inputs[1:], strict=True)),
        opset=opset,
    )
    if op == "TopK":
        proto.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    expected = session.run(None, {"i0": np.ascontiguousarray(inputs[0])})
    with torch.no_grad():
        ours = Model.from_proto(proto).module().eval()(torch.from_numpy(np.ascontiguousarray(inputs[0])))
    for a, b in zip(ours if isinstance(ours, tuple) else (ours,), expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent_layers_agree_and_train(op, direction):
    both = 2 if direction == "bidirectional" else 1
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    tensors = {
        "w": toys.numbers(both, gates * 6, 5),
        "r": toys.numbers(both, gates * 6, 6, seed=1),
        "b": toys.numbers(both, 2 * gates * 6, seed=2),
        "lengths": np.int32([4, 2, 3]),
        "h0": toys.numbers(both, 3, 6, seed=3),
    }
    extra = {"linear_before_reset": 1} if op == "GRU" else {}
    nodes = [helper.make_node(op, ["x", *tensors], ["y", "h"], "cell", hidden_size=6, direction=direction, **extra)]
    model = Model.from_proto(toys.proto(nodes, {"x": [4, 3, 5]}, ["y", "h"], tensors))
    x = toys.numbers(4, 3, 5, seed=4)
    module = model.module().eval()
    ours = module(torch.from_numpy(x))
    theirs = onnxruntime.InferenceSession(model.serialize()).run(None, {"x": x})
    assert all(toys.agrees(a.detach().numpy(), b) for a, b in zip(ours, theirs, strict=True))
    weights = module.analog_weights()
    assert [(key, weight.output_axis) for key, weight in weights.items()] == [("w", 1), ("r", 1)]
    ours[0].square().sum().backward()
    grads = {name: parameter.grad for name, parameter in module.named_parameters()}
    assert {"w", "r", "b"} <= set(grads)
    assert all(grads[name].abs().sum() > 0 for name in ("w", "r", "b"))
