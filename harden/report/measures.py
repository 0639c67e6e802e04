"""The few statistics that a report draws rather than quotes: curves, bounds along them, and when not to extrapolate.

Everything that is a number of the run itself (means, yields, tolerance bounds) comes from the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# With both at their limit, the Edgeworth expansion puts 4.1% of chips below two standard deviations, a Gaussian
# 2.3%, and the factor grows further out: beyond these limits, a Gaussian tail misleads.
MAX_SKEW = 0.5
MAX_KURTOSIS = 1.0
MIN_CHIPS = 20


def exact_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Clopper-Pearson interval of a proportion.

    Source: Clopper and Pearson, Biometrika 26 (1934).

    Example:
        >>> low, high = exact_interval(100, 100)
        >>> round(low, 4), high
        (0.9638, 1.0)
    """
    alpha = 1.0 - confidence
    low = stats.beta.ppf(alpha / 2, successes, trials - successes + 1) if successes > 0 else 0.0
    high = stats.beta.ppf(1 - alpha / 2, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)


def upper_bound(failures: int, trials: int, confidence: float = 0.95) -> float:
    """The largest failure rate that the chips leave open, one-sided at ``confidence``.

    Example:
        >>> round(upper_bound(0, 100), 4)
        0.0295
    """
    return float(stats.beta.ppf(confidence, failures + 1, trials - failures)) if failures < trials else 1.0


def tolerance_rank(chips: int, coverage: float, confidence: float) -> int | None:
    """Which chip, counted from the worst, bounds ``coverage`` of all chips with ``confidence``.

    The largest r with P(Bin(chips, 1 - coverage) >= r) >= confidence; None where even the worst chip does not.
    Source: Wilks, Ann. Math. Stat. 12 (1941).

    Example:
        >>> tolerance_rank(200, 0.90, 0.95), tolerance_rank(59, 0.95, 0.95), tolerance_rank(298, 0.99, 0.95)
        (13, 1, None)
    """
    rank = int(stats.binom.ppf(1 - confidence, chips, 1 - coverage))
    while rank and stats.binom.sf(rank - 1, chips, 1 - coverage) < confidence:
        rank -= 1
    return rank or None


def tolerance_needs(coverage: float, confidence: float) -> int:
    """The smallest number of chips for which the worst of them is such a bound.

    Example:
        >>> tolerance_needs(0.90, 0.95), tolerance_needs(0.99, 0.95)
        (29, 299)
    """
    return int(np.ceil(np.log(1 - confidence) / np.log(coverage)))


def survival(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The share of chips that reach a threshold, for every threshold that changes it.

    Returns:
        Thresholds (the chips' own values, ascending), the share with at least that much, and its pointwise
        95% Clopper-Pearson bounds.
    """
    x = np.unique(np.asarray(values, float))
    counts = np.array([int(np.sum(np.asarray(values) >= t)) for t in x])
    bounds = np.array([exact_interval(int(k), len(values)) for k in counts])
    return x, counts / len(values), bounds[:, 0], bounds[:, 1]


def normal_scores(count: int) -> np.ndarray:
    """Where the ordered values of a Gaussian sample are expected, in standard deviations (Blom's positions)."""
    return stats.norm.ppf((np.arange(1, count + 1) - 0.375) / (count + 0.25))


@dataclass(frozen=True)
class Shape:
    """How far a sample is from a Gaussian: skew, excess kurtosis and the p-value of D'Agostino and Pearson's test."""

    skew: float
    kurtosis: float
    p_value: float | None
    chips: int

    @property
    def gaussian(self) -> bool:
        """Whether a Gaussian tail may be read off: enough chips, and skew, kurtosis and test all unsuspicious."""
        small = abs(self.skew) <= MAX_SKEW and abs(self.kurtosis) <= MAX_KURTOSIS
        return self.chips >= MIN_CHIPS and small and self.p_value is not None and self.p_value >= 0.05


def shape(values: Sequence[float]) -> Shape | None:
    """Skew, kurtosis and normality of the chips; None where they do not vary.

    Source: D'Agostino and Pearson, Biometrika 60 (1973).
    """
    x = np.asarray(values, float)
    if len(x) < 3 or float(np.ptp(x)) == 0.0:
        return None
    p_value = float(stats.normaltest(x).pvalue) if len(x) >= MIN_CHIPS else None
    return Shape(float(stats.skew(x)), float(stats.kurtosis(x)), p_value, len(x))


def paired_difference(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float] | None:
    """Mean difference over chips and its 95% t-interval, where both networks saw the same number of chips."""
    if len(before) != len(after) or len(after) < 2:
        return None
    difference = np.asarray(after, float) - np.asarray(before, float)
    mean = float(difference.mean())
    half = float(stats.t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference)))
    return mean, mean - half, mean + half
