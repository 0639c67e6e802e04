"""The rule by which two computations agree, and the gate before a file is called model.onnx."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from harden.graph.file import Model
from harden.runtime.parity import difference, parity


def test_torch_and_onnx_runtime_agree_on_a_sound_model(convolutions, images):
    found = parity(Model.from_proto(convolutions(batch_norm=True)), (images,))

    assert found.passed
    assert found.max_rel_error < 1e-4
    assert found.inputs == ((4, 3, 8, 8),)


@given(st.floats(-1e3, 1e3), st.floats(0, 1e-2))
def test_the_bound_is_absolute_plus_relative(b, error):
    expected = np.array([1e3, b])
    got = np.array([1e3, b + error])
    gap = float(got[1] - expected[1])  # what is left of the error after rounding

    assert difference(expected, got).passed == (abs(gap) <= 1e-4 * 1e3 + 1e-3 * abs(b))


@pytest.mark.parametrize(
    ("expected", "got", "passed"),
    [
        ([1.4e-6, 0.0], [0.5e-6, 0.0], True),
        ([1.4e-6, 0.0], [1.4e-6, 1.1e-6], False),
        ([1e-2, 0.0], [1e-2, 1.1e-6], False),
    ],
)
def test_tiny_outputs_may_differ_by_an_absolute_floor(expected, got, passed):
    assert difference(np.array(expected), np.array(got)).passed is passed
    assert not difference(np.array(expected), np.array(got), floor=0.0).passed


def test_the_sigmoid_of_onnx_runtime_passes_where_it_is_nearly_zero():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Sigmoid", ["h"], ["y"])]
    model = toys.model(nodes, {"x": ["n", 1]}, {"y": ["n", 1]}, {"w": np.ones((1, 1))})
    assert parity(model, (np.linspace(-40, -13, 200, dtype=np.float32)[:, None],)).passed


@pytest.mark.parametrize(
    ("expected", "got", "passed"),
    [
        (np.array([1.0, np.inf]), np.array([1.0, np.inf]), True),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1.0, np.inf]), np.array([1.0, 5.0]), False),
        (np.array([1.0, np.inf]), np.array([1.0, -np.inf]), False),
        (np.array([1, 2]), np.array([1, 2]), True),
        (np.array([1, 2]), np.array([1, 3]), False),
        (np.zeros(2), np.zeros(3), False),
        (np.zeros(0), np.zeros(0), True),
    ],
)
def test_odd_values(expected, got, passed):
    assert difference(expected, got).passed is passed
