"""Concordance: equality is 1, what ignores the examples is 0, and parts make no difference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harden.streams import numpy_generator
from harden.tasks._concordance import Concordance


def concordance(*parts):
    found = Concordance()
    for a, b in parts:
        found.add(a, b)
    return found.value()


def drawn(seed, examples=12, elements=5):
    return torch.from_numpy(numpy_generator(seed, "concordance").normal(1, 2, (examples, elements)))


def test_it_is_lins_coefficient():
    # By hand: means 2 and 3, variances 2/3 and 8/3, covariance 4/3, so 2 * 4/3 / (2/3 + 8/3 + 1).
    a, b = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0], [3.0], [5.0]])
    assert concordance((a, b)) == pytest.approx(8 / 13)


def test_several_elements_are_summed_before_the_quotient():
    a, b = drawn(0).numpy(), drawn(1).numpy()
    covariance = ((a - a.mean(0)) * (b - b.mean(0))).mean(0).sum()
    spread = a.var(0).sum() + b.var(0).sum() + np.square(a.mean(0) - b.mean(0)).sum()
    assert concordance((torch.from_numpy(a), torch.from_numpy(b))) == pytest.approx(2 * covariance / spread)


@given(st.integers(0, 50), st.integers(1, 11))
def test_parts_make_no_difference(seed, cut):
    a, b = drawn(seed), drawn(seed + 100)
    assert concordance((a[:cut], b[:cut]), (a[cut:], b[cut:])) == pytest.approx(concordance((a, b)))


@given(st.integers(0, 50))
def test_equality_is_one_and_an_output_that_ignores_the_examples_is_zero(seed):
    a = drawn(seed)
    assert concordance((a, a)) == pytest.approx(1)
    assert concordance((a, a.mean(0).expand_as(a))) == pytest.approx(0, abs=1e-9)
    assert concordance((a, -a + 2 * a.mean(0))) == pytest.approx(-1)


def test_large_noise_that_follows_the_examples_beats_an_output_that_ignores_them():
    a = drawn(3, examples=200)
    noisy = a + 3 * drawn(4, examples=200)
    silent = a.mean(0).expand_as(a)
    assert (noisy - a).square().mean() > (silent - a).square().mean()
    assert concordance((a, noisy)) > concordance((a, silent)) + 0.1


def test_outputs_that_never_vary_are_right_if_they_are_equal():
    still = torch.ones(4, 3)
    assert concordance((still, still)) == 1
    assert concordance((still, still + 1)) == 0


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_what_is_not_finite_is_the_worst(bad):
    a = drawn(5)
    b = a.clone()
    b[2, 1] = bad
    assert concordance((a, b)) == -1
