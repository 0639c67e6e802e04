"""The few statistics that a report draws rather than quotes: the yield curve, and what no failure leaves open.

Everything that is a number of the run itself comes from the document, all other statistics from
:mod:`harden.evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harden.statistics.intervals import proportion_interval, proportion_lower


def upper_bound(failures: int, trials: int) -> float:
    """The largest failure rate that the chips leave open, one-sided at 95%.

    Example:
        >>> round(upper_bound(0, 100), 4)
        0.0295
    """
    return 1.0 - proportion_lower(trials - failures, trials)


def kept(count: int, most: int = 500) -> np.ndarray:
    """Which of ``count`` ordered points a drawing shows: all, or the lowest 50 and the rest evenly thinned.

    Example:
        >>> len(kept(100)), len(kept(10_000)), int(kept(10_000)[49]), int(kept(10_000)[-1])
        (100, 500, 49, 9999)
    """
    if count <= most:
        return np.arange(count)
    return np.concatenate([np.arange(50), np.linspace(50, count - 1, most - 50).round().astype(int)])


def survival(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The share of chips that reach a threshold, for the thresholds that change it (thinned where they are many).

    Returns:
        Thresholds (the chips' own values, ascending), the share with at least that much, and its pointwise
        95% Clopper-Pearson bounds.
    """
    x = np.unique(np.asarray(values, float))
    x = x[kept(len(x))]
    counts = len(values) - np.searchsorted(np.sort(values), x)
    bounds = np.array([proportion_interval(int(k), len(values)) for k in counts])
    return x, counts / len(values), bounds[:, 0], bounds[:, 1]
