"""A small network with a batch norm, and data it can learn in seconds."""

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


@pytest.fixture(scope="session")
def problem():
    """Gemm, batch norm, Relu, Gemm, Relu, Gemm on three clouds: 6 inputs, 3 classes; columns of unequal size."""
    rng = numpy_generator(0, "toy")
    tensors = {
        "a": rng.normal(0, 0.4, (16, 6)) * np.geomspace(0.5, 2, 16)[:, None],
        "b": rng.normal(0, 0.3, (8, 16)),
        "c": rng.normal(0, 0.3, (3, 8)),
        "gamma": np.ones(16),
        "beta": np.zeros(16),
        "mean": np.zeros(16),
        "var": np.ones(16),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "a"], ["h"], transB=1),
        helper.make_node("BatchNormalization", ["h", "gamma", "beta", "mean", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Gemm", ["r", "b"], ["g"], transB=1),
        helper.make_node("Relu", ["g"], ["s"]),
        helper.make_node("Gemm", ["s", "c"], ["y"], transB=1),
    ]
    model = toys.model(nodes, {"x": ["batch", 6]}, {"y": ["batch", 3]}, tensors)
    return Problem(model, _clouds(96, 0), _clouds(48, 1))


def _clouds(examples, seed):
    centres = numpy_generator(0, "centres").normal(0, 1.2, (3, 6))
    labels = np.arange(examples) % 3
    values = centres[labels] + numpy_generator(seed, "clouds").normal(0, 1, (examples, 6))
    plain = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0, channels=1)
    return Dataset.from_arrays(values.astype(np.float32), labels, plain)


@pytest.fixture
def plan():
    """A plan of a few steps whose levers are as the caller wants them."""
    common = {
        "method": "noise",
        "conditions": (Condition(Profile.parse("gaussian:sigma=0.1")),),
        "steps": 4,
        "batch_size": 24,
        "lr": 0.05,
        "selections": 1,
        "selection_chips": 1,
        "batch_norm_reestimation": "on",
    }
    return lambda **values: TrainingPlan(**common | values)
