"""No Gaussian tail where the chips are not Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harden.statistics.distribution import normality
from harden.streams import numpy_generator


def test_a_skewed_tail_refuses_the_gaussian_and_counts_instead():
    values = 0.9 - 0.05 * numpy_generator(0, "skew").gamma(1.5, 1, 400)

    found = normality(values, threshold=0.7)

    assert not found["gaussian"]
    assert "skew" in found["reason"]
    assert found["below"]["gaussian"] is None
    assert found["below"]["counted"] == (values < 0.7).mean()
    assert found["skew"] == pytest.approx(stats.skew(values, bias=False))


def test_a_gaussian_is_allowed_and_its_plot_is_a_line():
    values = numpy_generator(0, "normal").normal(0.8, 0.02, 300)

    found = normality(values, threshold=0.75)

    assert found["gaussian"]
    assert found["below"]["gaussian"] == pytest.approx(stats.norm.cdf(0.75, values.mean(), values.std(ddof=1)))
    x, y = np.array(found["quantiles"]).T
    assert np.corrcoef(x, y)[0, 1] > 0.99
    assert np.all(np.diff(y) >= 0)


@pytest.mark.parametrize(("values", "reason"), [([0.5] * 40, "vary"), ([0.5, 0.6, 0.7], "too few")])
def test_too_little_to_tell(values, reason):
    found = normality(np.array(values), threshold=0.55)

    assert not found["gaussian"]
    assert reason in found["reason"]
