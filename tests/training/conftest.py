"""A small network as an ONNX graph, and data it can learn in seconds."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from onnx import helper

from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.evaluation.plan import Condition
from harden.noise.profile import Profile
from harden.streams import numpy_generator
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem


@pytest.fixture
def make_model():
    return toy_model


@pytest.fixture
def model():
    return toy_model()


def toy_model(norm=True, seed=0):
    """Gemm, batch norm, Relu, Gemm: 6 inputs, 16 hidden, 3 classes."""
    rng = numpy_generator(seed, "toy")
    tensors = {
        "a": rng.normal(0, 0.4, (16, 6)),
        "b": rng.normal(0, 0.3, (3, 16)),
        "bias": np.zeros(3),
    }
    nodes = [helper.make_node("Gemm", ["x", "a"], ["h"], transB=1, name="first")]
    last = "h"
    if norm:
        tensors |= {"gamma": np.ones(16), "beta": np.zeros(16), "mean": np.zeros(16), "var": np.ones(16)}
        nodes.append(helper.make_node("BatchNormalization", ["h", "gamma", "beta", "mean", "var"], ["n"], name="norm"))
        last = "n"
    nodes += [
        helper.make_node("Relu", [last], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "b", "bias"], ["y"], transB=1, name="last"),
    ]
    return toys.model(nodes, {"x": ["batch", 6]}, {"y": ["batch", 3]}, tensors)


@pytest.fixture
def clouds():
    """Three Gaussian clouds in six dimensions."""

    def make(examples=384, seed=0, labelled=True):
        rng = numpy_generator(seed, "clouds")
        centres = numpy_generator(0, "centres").normal(0, 1.2, (3, 6))
        labels = np.arange(examples) % 3
        values = (centres[labels] + rng.normal(0, 1, (examples, 6))).astype(np.float32)
        plain = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0, channels=1)
        return Dataset.from_arrays(values, labels if labelled else None, plain)

    return make


@pytest.fixture
def problem(model, clouds):
    return Problem(model, clouds(), clouds(99, seed=1))


@pytest.fixture
def plan():
    def make(**values):
        conditions = values.pop("conditions", (Condition(Profile.parse("gaussian:sigma=0.1")),))
        common = {"method": "noise", "steps": 60, "batch_size": 32, "lr": 0.1, "conditions": conditions}
        return TrainingPlan(**common | values)

    return make
