"""Small graphs whose weights the runtime must be able to replace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import toys
from onnx import helper, numpy_helper

from harden.streams import numpy_generator

Build = Callable[..., onnx.ModelProto]


def weight(name, shape, scale=0.3):
    values = numpy_generator(0, "toy", name).standard_normal(shape, dtype=np.float32) * scale
    return numpy_helper.from_array(values.astype(np.float32), name)


def vector(name, values):
    return numpy_helper.from_array(np.array(values, np.float32), name)


def proto(nodes, initializers, shape, outputs):
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in initializers}
    model = toys.proto(nodes, {"x": shape}, {"y": ["batch", outputs]}, tensors)
    onnx.checker.check_model(model)
    return model


@pytest.fixture(scope="session")
def convolutions():
    """Conv -> [BatchNormalization] -> Relu -> Conv -> GlobalAveragePool -> Gemm; ``dead`` kills the first Relu."""

    def build(*, batch_norm=False, dead=False):
        nodes = [helper.make_node("Conv", ["x", "a.weight", "a.bias"], ["h0"], name="a", pads=[1, 1, 1, 1])]
        tensors = [weight("a.weight", (16, 3, 3, 3)), vector("a.bias", [-1e4 if dead else 0.1] * 16)]
        hidden = "h0"
        if batch_norm:
            names = ["n.weight", "n.bias", "n.mean", "n.var"]
            nodes.append(helper.make_node("BatchNormalization", [hidden, *names], ["h1"], name="n"))
            tensors += [vector(n, [v] * 16) for n, v in zip(names, (0.8, 0.1, 0.05, 0.6), strict=True)]
            hidden = "h1"
        nodes += [
            helper.make_node("Relu", [hidden], ["h2"], name="r"),
            helper.make_node("Conv", ["h2", "b.weight"], ["h3"], name="b", pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["h3"], ["h4"], name="p"),
            helper.make_node("Flatten", ["h4"], ["h5"], name="f"),
            helper.make_node("Gemm", ["h5", "c.weight", "c.bias"], ["y"], name="c", transB=1),
        ]
        tensors += [weight("b.weight", (16, 16, 3, 3)), weight("c.weight", (5, 16)), vector("c.bias", [0.1] * 5)]
        return proto(nodes, tensors, ["batch", 3, 8, 8], 5)

    return build


@pytest.fixture(scope="session")
def shared_weights():
    """One tensor used by two MatMuls, once through a Transpose; and a weight that is a Constant node."""
    constant = helper.make_node("Constant", [], ["k"], name="k_value", value=weight("k_tensor", (6, 4)))
    nodes = [
        constant,
        helper.make_node("Transpose", ["w"], ["wt"], name="t", perm=[1, 0]),
        helper.make_node("MatMul", ["x", "w"], ["h0"], name="one"),
        helper.make_node("Relu", ["h0"], ["h1"], name="r"),
        helper.make_node("MatMul", ["h1", "wt"], ["h2"], name="two"),
        helper.make_node("MatMul", ["h2", "k"], ["y"], name="three"),
    ]
    return proto(nodes, [weight("w", (6, 6))], ["batch", 6], 4)


@pytest.fixture(scope="session")
def quantised():
    """A Gemm whose weight is computed from integers by DequantizeLinear and a learned scale."""
    values = numpy_generator(0, "toy", "q").integers(-100, 100, (5, 6)).astype(np.float32)
    nodes = [
        helper.make_node("Mul", ["w", "s"], ["scaled"], name="scale"),
        helper.make_node("Gemm", ["x", "scaled"], ["y"], name="g", transB=1),
    ]
    tensors = [numpy_helper.from_array(values, "w"), numpy_helper.from_array(np.full((5, 1), 0.013, np.float32), "s")]
    return proto(nodes, tensors, ["batch", 6], 5)


@pytest.fixture(scope="session")
def images():
    """A batch of four."""
    return numpy_generator(0, "toy", "images").standard_normal((4, 3, 8, 8), dtype=np.float32)
