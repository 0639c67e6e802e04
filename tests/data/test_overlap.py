"""Examples that two data sets share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.data.dataset import Dataset
from harden.data.overlap import shared_examples
from harden.data.preprocess import Preprocess

PLAIN = Preprocess(mean=(0.0,), std=(1.0,))


def data(rows):
    return Dataset.from_arrays(rows, None, PLAIN)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_examples_are_counted_as_often_as_they_are_tested_on(ours, theirs):
    rows = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    assert shared_examples(data(rows[ours]), data(rows[theirs])) == sum(one in theirs for one in ours)


def test_examples_alike_in_the_middle_only_are_not_the_same():
    a = np.zeros((3, 1000), np.float32)
    b = a.copy()
    b[:, 0] = 1
    assert shared_examples(data(a), data(b)) == 0
    assert shared_examples(data(a), data(b), data(a[:1])) == 3


@pytest.mark.parametrize("other", [np.zeros((2, 4), np.float32), np.zeros((2, 2, 2, 1), np.uint8)])
def test_examples_of_other_shapes_or_types_are_not_the_same(other):
    preprocess = Preprocess(mean=(0.5,), std=(1.0,))
    assert shared_examples(data(np.zeros((2, 3), np.float32)), Dataset.from_arrays(other, None, preprocess)) == 0


def test_parts_of_one_data_set_share_nothing():
    whole = data(np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32))
    rest, held_out = whole.split(0.25, np.random.default_rng(1))
    assert shared_examples(held_out, rest) == 0
    assert shared_examples(held_out, whole) == 10
