"""Plans agree with the intervals they plan for."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from harden.errors import SettingsError
from harden.statistics.intervals import proportion_interval
from harden.statistics.sample_size import chips_for_mean, chips_for_yield, required_chips


@pytest.mark.parametrize(("std", "margin"), [(0.05, 0.01), (0.05, 0.05), (0.1, 0.005), (0.0, 0.01)])
def test_the_mean_needs_exactly_so_many(std, margin):
    n = chips_for_mean(std, margin, 0.95)

    def half(k):
        return float(stats.t.ppf(0.975, k - 1)) * std / math.sqrt(k)

    assert half(n) <= margin
    assert n == 2 or half(n - 1) > margin


def test_the_yield_needs_the_worst_case_of_clopper_pearson():
    n = chips_for_yield(0.05, 0.95)

    low, high = proportion_interval(n // 2, n)
    assert (high - low) / 2 <= 0.05
    low, high = proportion_interval(n // 2 - 1, n - 2)
    assert (high - low) / 2 > 0.05
    assert n == pytest.approx(385, rel=0.06)  # the textbook's normal approximation


def test_minutes_and_claims():
    found = required_chips(
        margin=0.02, std=0.05, yield_at_least=0.99, chips=200, examples=10_000, images_per_second=4000
    )

    assert found["chips"]["yield_bound"] == 299
    assert found["planned"] == 200
    assert found["minutes"] == pytest.approx(200 * 10_000 / 4000 / 60)
    assert any("99.0%" in line and "299" in line for line in found["cannot"])
    assert any("95.0%" in line for line in found["can"])
    assert not any("certif" in line.lower() for line in found["can"] + found["cannot"])


def test_nonsense_all_at_once():
    with pytest.raises(SettingsError) as caught:
        required_chips(margin=0, confidence=2, std=-1, yield_at_least=1, chips=0)
    assert len(caught.value.problems) == 5
