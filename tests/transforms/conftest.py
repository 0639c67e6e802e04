"""Small graphs whose batch norms and weights the levers change."""

from __future__ import annotations

import pytest
import toys
from onnx import helper

from harden.streams import numpy_generator


@pytest.fixture
def convolution():
    """Conv, batch norm, Relu, Conv, batch norm, GlobalAveragePool, Flatten, Gemm on 3x8x8 images."""

    def make(momentum=0.9, seed=0):
        rng = numpy_generator(seed, "convolution")
        tensors = {
            "c1": rng.normal(0, 0.3, (8, 3, 3, 3)) * rng.uniform(0.2, 2, (8, 1, 1, 1)),
            "c2": rng.normal(0, 0.2, (6, 8, 3, 3)) * rng.uniform(0.2, 2, (6, 1, 1, 1)),
            "fc": rng.normal(0, 0.4, (4, 6)),
            "bias": rng.normal(0, 0.1, 4),
        }
        for norm, width in (("n1", 8), ("n2", 6)):
            tensors |= {
                f"{norm}.gamma": rng.uniform(0.5, 1.5, width),
                f"{norm}.beta": rng.normal(0, 0.2, width),
                f"{norm}.mean": rng.normal(0, 0.2, width),
                f"{norm}.var": rng.uniform(0.5, 2, width),
            }
        stat = {n: [f"{n}.{part}" for part in ("gamma", "beta", "mean", "var")] for n in ("n1", "n2")}
        nodes = [
            helper.make_node("Conv", ["x", "c1"], ["h1"], pads=[1] * 4, name="conv1"),
            helper.make_node("BatchNormalization", ["h1", *stat["n1"]], ["b1"], momentum=momentum, name="norm1"),
            helper.make_node("Relu", ["b1"], ["r1"], name="relu1"),
            helper.make_node("Conv", ["r1", "c2"], ["h2"], pads=[1] * 4, name="conv2"),
            helper.make_node("BatchNormalization", ["h2", *stat["n2"]], ["b2"], momentum=momentum, name="norm2"),
            helper.make_node("Relu", ["b2"], ["r2"], name="relu2"),
            helper.make_node("GlobalAveragePool", ["r2"], ["p"], name="pool"),
            helper.make_node("Flatten", ["p"], ["f"], name="flat"),
            helper.make_node("Gemm", ["f", "fc", "bias"], ["y"], transB=1, name="classify"),
        ]
        return toys.model(nodes, {"x": ["batch", 3, 8, 8]}, {"y": ["batch", 4]}, tensors)

    return make
