"""The few statistics that a report draws rather than quotes: the yield curve, and what no failure leaves open.

Everything that is a number of the run itself comes from the document, all other statistics from
:mod:`harden.evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harden.evaluation.statistics import proportion_interval, proportion_lower


def upper_bound(failures: int, trials: int) -> float:
    """The largest failure rate that the chips leave open, one-sided at 95%.

    Example:
        >>> round(upper_bound(0, 100), 4)
        0.0295
    """
    return 1.0 - proportion_lower(trials - failures, trials)


def survival(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The share of chips that reach a threshold, for every threshold that changes it.

    Returns:
        Thresholds (the chips' own values, ascending), the share with at least that much, and its pointwise
        95% Clopper-Pearson bounds.
    """
    x = np.unique(np.asarray(values, float))
    counts = np.array([int(np.sum(np.asarray(values) >= t)) for t in x])
    bounds = np.array([proportion_interval(int(k), len(values)) for k in counts])
    return x, counts / len(values), bounds[:, 0], bounds[:, 1]
