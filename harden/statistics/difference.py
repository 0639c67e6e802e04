"""Two samples of chips: the mean difference, how sure it is, and the chance of it by luck."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from harden.statistics import intervals


class MeanDifference(TypedDict):
    """The mean difference of two samples, its 95% interval, and the two-sided p-value."""

    paired: bool
    mean: float
    ci95: list[float] | None
    p_value: float | None


class PairedDifference(MeanDifference):
    """With the chips on which the second sample is better or worse, and the correlation of the two."""

    better: int
    worse: int
    correlation: float | None


def paired_difference(x: np.ndarray, y: np.ndarray) -> PairedDifference:
    """y - x chip by chip: Student's interval of the mean difference, and the exact two-sided sign test.

    Args:
        x: [K] accuracies of a.
        y: [K] accuracies of b on the same chips.

    Source: the sign test drops ties (Dixon and Mood, JASA 41 (1946)).

    Example:
        >>> difference = paired_difference(np.array([0.5, 0.6, 0.7]), np.array([0.6, 0.7, 0.9]))
        >>> round(difference["mean"], 4), difference["better"], difference["worse"], difference["p_value"]
        (0.1333, 3, 0, 0.25)
    """
    from scipy import stats

    d = y - x
    better, worse = int((d > 0).sum()), int((d < 0).sum())
    p = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    varied = len(d) > 1 and x.std() > 0 and y.std() > 0
    return {
        "paired": True,
        "mean": float(d.mean()),
        "ci95": _listed(intervals.mean_interval(d)),
        "better": better,
        "worse": worse,
        "p_value": float(p),
        "correlation": _correlation(x, y) if varied else None,
    }


def unpaired_difference(x: np.ndarray, y: np.ndarray) -> MeanDifference:
    """Mean of y minus mean of x as independent samples: Welch's interval and test.

    Source: Welch, Biometrika 34 (1947).
    """
    from scipy import stats

    mean = float(y.mean() - x.mean())
    if min(len(x), len(y)) < 2 or (x.std() == 0 and y.std() == 0):
        return {"paired": False, "mean": mean, "ci95": None, "p_value": None}
    test = stats.ttest_ind(y, x, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return {"paired": False, "mean": mean, "ci95": [float(low), float(high)], "p_value": float(test.pvalue)}


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])  # pyright: ignore[reportUnknownMemberType]


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
