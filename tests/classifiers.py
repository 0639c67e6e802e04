"""Fixtures: a linear classifier whose accuracy under noise is known, a small convolution network, and their data."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from onnx import helper

from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.streams import numpy_generator

FEATURES = 12
PLAIN = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0)


def linear(weight, *, batch="batch", ending=None):
    classes = len(weight)
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["z" if ending else "y"], name="fc", transB=1)]
    if ending:
        nodes.append(helper.make_node(ending, ["z"], ["y"], name="end"))
    tensors = {"w": weight, "b": np.zeros(classes)}
    return toys.model(nodes, {"x": [batch, weight.shape[1]]}, {"y": [batch, classes]}, tensors)


def draw(classes, examples, noise=1.0):
    """Weights, inputs and labels; the labels are the clean classifier's, with some of them wrong."""
    rng = numpy_generator(0, "linear", classes, examples)
    weight = rng.standard_normal((classes, FEATURES), dtype=np.float32)
    x = rng.standard_normal((examples, FEATURES), dtype=np.float32)
    y = (x @ weight.T + noise * rng.standard_normal((examples, classes), dtype=np.float32)).argmax(axis=1)
    return weight, x, y.astype(np.int64)


@pytest.fixture(scope="session")
def make_linear():
    def make(classes=4, examples=200, **options):
        weight, x, y = draw(classes, examples)
        return linear(weight, **options), Dataset.from_arrays(x, y, PLAIN)

    return make


@pytest.fixture(scope="session")
def problem(make_linear):
    """Four classes, 200 examples."""
    return make_linear()


@pytest.fixture(scope="session")
def unlabelled():
    _, x, _ = draw(4, 200)
    return Dataset.from_arrays(x, None, PLAIN)


@pytest.fixture(scope="session")
def deep():
    """A convolution, batch norm and a Gemm on 8 x 8 images of ten classes."""
    rng = numpy_generator(0, "deep")

    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["h0"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["h0", "g", "b", "m", "v"], ["h1"], name="bn"),
        helper.make_node("Relu", ["h1"], ["h2"], name="relu"),
        helper.make_node("GlobalAveragePool", ["h2"], ["h3"], name="pool"),
        helper.make_node("Flatten", ["h3"], ["h4"], name="flat"),
        helper.make_node("Gemm", ["h4", "fc.weight"], ["y"], name="fc", transB=1),
    ]
    tensors = {
        "conv.weight": rng.standard_normal((16, 1, 3, 3)) * 0.3,
        "fc.weight": rng.standard_normal((10, 16)) * 2.0,
        **{name: np.full(16, value) for name, value in (("g", 1.0), ("b", 0.1), ("m", 0.0), ("v", 0.5))},
    }
    return toys.model(nodes, {"x": ["batch", 1, 8, 8]}, {"y": ["batch", 10]}, tensors)


@pytest.fixture(scope="session")
def digits():
    """300 random 8 x 8 images with ten labels; accuracy does not matter, equality does."""
    rng = numpy_generator(0, "digits")
    images = rng.integers(0, 256, (300, 8, 8, 1)).astype(np.uint8)
    return Dataset.from_arrays(images, rng.integers(0, 10, 300), Preprocess(mean=(0.5,), std=(0.25,), channels=1))
