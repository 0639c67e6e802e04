"""Intervals against tables, against other derivations, and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harden.statistics import intervals as s
from harden.streams import numpy_generator


@pytest.mark.parametrize(
    ("chips", "content", "rank"),
    [
        (200, 0.90, 13),
        (200, 0.95, 5),
        (200, 0.99, None),
        (299, 0.99, 1),
        (298, 0.99, None),
        (29, 0.90, 1),
        (28, 0.90, None),
    ],
)
def test_ranks_of_published_tolerance_bounds(chips, content, rank):
    assert s.tolerance_rank(chips, content) == rank


@given(st.integers(1, 400), st.floats(0.5, 0.999), st.floats(0.5, 0.999))
def test_a_tolerance_rank_is_the_largest_that_holds(chips, content, confidence):
    rank = s.tolerance_rank(chips, content, confidence)

    def chance(r):
        return float(stats.binom.sf(r - 1, chips, 1 - content))

    assert chance(rank or 0) >= confidence - 1e-9
    assert chance((rank or 0) + 1) < confidence + 1e-9


@pytest.mark.parametrize(("content", "chips"), [(0.9, 29), (0.95, 59), (0.99, 299), (0.9986501, 2218), (0.999, 2995)])
def test_chips_for_the_worst_to_be_a_bound(content, chips):
    assert s.tolerance_trials(content) == chips


@given(st.integers(1, 300), st.data())
def test_clopper_pearson_inverts_the_binomial_tails(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = s.proportion_interval(successes, trials)

    assert low == 0 if successes == 0 else math.isclose(stats.binom.sf(successes - 1, trials, low), 0.025, rel_tol=1e-6)
    assert (
        high == 1
        if successes == trials
        else math.isclose(stats.binom.cdf(successes, trials, high), 0.025, rel_tol=1e-6)
    )


def test_mean_interval_is_students():
    values = np.array([0.71, 0.74, 0.70, 0.78, 0.73])

    assert s.mean_interval(values) == pytest.approx(stats.t.interval(0.95, 4, values.mean(), stats.sem(values)))
    assert s.mean_interval(values[:1]) is None


def test_two_way_interval_equals_the_table_computed_cell_by_cell():
    rng = numpy_generator(0, "table")
    chips, images = rng.normal(0, 0.7, (30, 1)), rng.normal(0, 1.5, (1, 80))
    hit = (chips + images + rng.normal(0, 1, (30, 80)) > -1).astype(int)
    k, n = hit.shape
    mean = hit.mean()
    ms_chips = n * ((hit.mean(1) - mean) ** 2).sum() / (k - 1)
    ms_images = k * ((hit.mean(0) - mean) ** 2).sum() / (n - 1)
    rest = hit - hit.mean(1, keepdims=True) - hit.mean(0, keepdims=True) + mean
    ms_rest = (rest**2).sum() / ((k - 1) * (n - 1))
    variance = (ms_chips + ms_images - ms_rest) / (k * n)
    freedom = (ms_chips + ms_images - ms_rest) ** 2 / (
        ms_chips**2 / (k - 1) + ms_images**2 / (n - 1) + ms_rest**2 / ((k - 1) * (n - 1))
    )
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)

    assert s.mean_interval_images(hit.sum(1), hit.sum(0)) == pytest.approx((mean - half, mean + half))


def test_identical_hits_leave_no_room():
    assert s.mean_interval_images(np.full(5, 10), np.full(10, 5)) == (1.0, 1.0)


def test_describe_uses_ddof_one_and_linear_quantiles():
    found = s.describe([0.1, 0.2, 0.4])

    assert found["std"] == pytest.approx(
        math.sqrt(((0.1 - 7 / 30) ** 2 + (0.2 - 7 / 30) ** 2 + (0.4 - 7 / 30) ** 2) / 2)
    )
    assert found["p05"] == pytest.approx(0.11)
    assert s.describe([0.5])["std"] is None


def test_quantile_interval_sides_are_missing_where_chips_are_too_few():
    low, high = s.quantile_interval(np.linspace(0, 1, 50), 0.05)

    assert low is None
    assert high is not None
    assert s.quantile_interval(np.linspace(0, 1, 51), 0.5) == (pytest.approx(0.36), pytest.approx(0.64))


@pytest.mark.slow
def test_intervals_have_their_coverage_over_chips_and_images():
    """2,000 repetitions of a skewed population of chips on a random sample of images, both resampled."""
    rng = numpy_generator(0, "coverage")
    repetitions, k, n = 2000, 40, 300
    truth = stats.norm.cdf(1.2 / math.sqrt(0.5**2 + 1.0**2 + 0.6**2))
    covered = np.zeros(3)
    for _ in range(repetitions):
        chips, images = 0.5 * rng.normal(0, 1, (k, 1)), 1.0 * rng.normal(0, 1, (1, n))
        hit = (1.2 + chips + images + 0.6 * rng.normal(0, 1, (k, n))) > 0
        given_images = stats.norm.cdf((1.2 + images) / math.hypot(0.5, 0.6)).mean()
        rates = hit.mean(1)
        low, high = s.mean_interval(rates) or (0, 0)
        covered[0] += low <= given_images <= high
        low, high = s.mean_interval_images(hit.sum(1), hit.sum(0)) or (0, 0)
        covered[1] += low <= truth <= high
        q_low, q_high = s.quantile_interval(rng.beta(8, 2, 200), 0.05)
        covered[2] += (q_low or 0) <= stats.beta.ppf(0.05, 8, 2) <= (q_high or 1)
    share = covered / repetitions
    assert 0.93 <= share[0] <= 0.97
    assert 0.93 <= share[1] <= 0.975
    assert share[2] >= 0.94  # order statistics are discrete, so this one is conservative
