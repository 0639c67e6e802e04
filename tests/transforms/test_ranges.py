"""Ranges of converters: percentiles of known data, signs, and what cannot have converters."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
import torch
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from harden.errors import UnsupportedError
from harden.graph.file import Model
from harden.transforms import ranges


def scaled(op="Gemm"):
    """One input, one output: y = -3 x (Gemm), through a Relu with ``op`` MatMul."""
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], name="only")]
    if op == "MatMul":
        nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("MatMul", ["r", "w"], ["y"], name="only")]
    return toys.model(nodes, {"x": ["n", 1]}, {"y": ["n", 1]}, {"w": [[-3.0]]})


def calibrated(model, batches, percentile):
    module = model.module()
    return ranges.calibrate(module, model.analog_weights(), [(batch,) for batch in batches], percentile)["w"]


def test_known_data_by_hand():
    # 1 to 1000: 99% by nearest rank is 990, and the outputs are three times as large, and negative.
    x = torch.arange(1.0, 1001.0)[:, None]
    assert calibrated(scaled(), [x], 99.0) == ((0.0, 990.0), (-2970.0, 2970.0))
    assert calibrated(scaled(), [x], 100.0) == ((0.0, 1000.0), (-3000.0, 3000.0))
    assert calibrated(scaled("MatMul"), [-x], 100.0) == ((0.0, 0.0), (0.0, 0.0))


def test_one_negative_value_makes_a_range_symmetric():
    x = torch.tensor([[5.0], [-0.1], [2.0]])
    assert calibrated(scaled(), [x], 100.0)[0] == (-5.0, 5.0)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 300), st.integers(5, 40), st.sampled_from([90.0, 95.5, 99.0, 99.99, 100.0]), st.booleans())
def test_batches_do_not_matter(count, size, percentile, rising):
    x = torch.arange(1.0, count + 1.0)[:, None]
    x = x if rising else x.flip(0)
    wanted = math.ceil(count * round(percentile * 100) / 10_000)
    assert calibrated(scaled(), list(x.split(size)), percentile)[0] == (0.0, float(wanted))


def test_the_same_examples_always():
    assert np.array_equal(ranges.examples(5000), ranges.examples(5000))
    assert len(ranges.examples(5000)) == ranges.EXAMPLES
    assert ranges.examples(3).tolist() == [0, 1, 2]


def test_recurrent_nodes_are_named():
    shapes = {"w": (1, 8, 3), "r": (1, 8, 2)}
    nodes = [helper.make_node("LSTM", ["x", "w", "r"], ["y"], name="memory", hidden_size=2)]
    tensors = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    proto = toys.proto(nodes, {"x": [4, 1, 3]}, ["y"], tensors)
    model = Model.from_proto(onnx.ModelProto.FromString(proto.SerializeToString()))
    with pytest.raises(UnsupportedError, match="LSTM 'memory'"):
        ranges.calibrate(model.module(), model.analog_weights(), [])


def test_the_network_stays_in_its_mode():
    module = scaled().module().train()
    ranges.calibrate(module, scaled().analog_weights(), [(torch.ones(2, 1),)])
    assert module.training
