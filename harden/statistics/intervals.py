"""Intervals for accuracies over chips. All pure functions of arrays of rates.

Two sources of variance are kept apart: the chips (another chip draws other noise) and the images (another test set
holds other images). Every interval says in its name which of them it covers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

Interval = tuple[float, float]


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Interval | None:
    """Student's t interval of the mean over chips, given these images.

    mean ± t(n - 1) s / sqrt(n), with s of ddof 1.

    Args:
        values: [K] one rate a chip.
        confidence: In (0, 1).

    Returns:
        Lower and upper bound; None for fewer than two chips.

    Example:
        >>> low, high = mean_interval(np.array([0.5, 0.6, 0.7]))
        >>> f"{low:.4f} {high:.4f}"
        '0.3516 0.8484'
    """
    n = len(values)
    if n < 2:
        return None
    half = float(special.stdtrit(n - 1, 0.5 + confidence / 2)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    mean = float(np.mean(values))
    return mean - half, mean + half


def mean_interval_images(
    chip_correct: np.ndarray, image_correct: np.ndarray, confidence: float = 0.95
) -> Interval | None:
    """Interval of the mean accuracy over chips and over images.

    The K x N table of hits is a two-way layout with one observation per cell and both factors random. The variance of
    its mean is estimated without bias by (MS_chips + MS_images - MS_residual) / (K N); degrees of freedom by
    Satterthwaite. Hits are 0 or 1, so the total sum of squares follows from the two margins alone.

    Args:
        chip_correct: [K] hits of each chip, integers up to N.
        image_correct: [N] hits of each image, integers up to K.
        confidence: In (0, 1).

    Returns:
        Lower and upper bound, within [0, 1]; None for fewer than two chips or images.

    Source: the analysis of variance of crossed random effects, Searle, Casella and McCulloch, Variance Components
    (1992), chapter 4; Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    k, n = len(chip_correct), len(image_correct)
    if k < 2 or n < 2:
        return None
    mean = float(chip_correct.sum()) / (k * n)
    chips = n * float(np.var(chip_correct / n, ddof=1))
    images = k * float(np.var(image_correct / k, ddof=1))
    total = k * n * mean * (1 - mean)
    residual = max(0.0, total - (k - 1) * chips - (n - 1) * images) / ((k - 1) * (n - 1))
    # A residual above both terms would give a negative estimate; the larger single source is then the floor.
    combined = max(chips + images - residual, chips, images)
    if combined <= 0:
        return mean, mean
    spread = chips**2 / (k - 1) + images**2 / (n - 1) + residual**2 / ((k - 1) * (n - 1))
    freedom = combined**2 / spread
    half = float(special.stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(combined / (k * n))
    return max(0.0, mean - half), min(1.0, mean + half)


def proportion_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The two-sided Clopper-Pearson interval of a proportion.

    Args:
        successes: 0 to ``trials``.
        trials: At least 1.
        confidence: In (0, 1).

    Returns:
        Lower and upper bound.

    Source: Clopper and Pearson, Biometrika 26 (1934).

    Example:
        >>> low, high = proportion_interval(95, 100)
        >>> f"{low:.4f} {high:.4f}"
        '0.8872 0.9836'
    """
    tail = (1 - confidence) / 2
    return proportion_lower(successes, trials, 1 - tail), 1 - proportion_lower(trials - successes, trials, 1 - tail)


def proportion_lower(successes: int, trials: int, confidence: float = 0.95) -> float:
    """The one-sided Clopper-Pearson lower bound of a proportion.

    Example:
        >>> round(proportion_lower(299, 299), 4)
        0.99
    """
    if successes == 0:
        return 0.0
    return float(special.betaincinv(successes, trials - successes + 1, 1 - confidence))


def tolerance_rank(trials: int, content: float, confidence: float = 0.95) -> int | None:
    """Which of the sorted values is a lower tolerance bound.

    The r-th smallest of n values lies below all but a share ``1 - content`` of the population with probability
    P(Binomial(n, 1 - content) >= r), whatever the distribution; the largest r that reaches the confidence is taken.

    Args:
        trials: n.
        content: The share of chips that shall lie at or above the bound.
        confidence: In (0, 1).

    Returns:
        r, from 1 (the worst); None if n values are too few.

    Source: Wilks, Annals of Mathematical Statistics 12 (1941).

    Example:
        >>> tolerance_rank(200, 0.90), tolerance_rank(200, 0.95), tolerance_rank(200, 0.99), tolerance_rank(299, 0.99)
        (13, 5, None, 1)
    """
    at_most = special.bdtr(np.arange(trials), trials, 1 - content)
    return int(np.count_nonzero(at_most <= 1 - confidence)) or None


def tolerance_bound(values: np.ndarray, content: float, confidence: float = 0.95) -> float | None:
    """What a share ``content`` of all chips has at least, with this confidence; None if the chips are too few."""
    rank = tolerance_rank(len(values), content, confidence)
    return None if rank is None else float(np.sort(values)[rank - 1])


def tolerance_trials(content: float, confidence: float = 0.95) -> int:
    """How many chips the worst of them needs to be a tolerance bound: the least n with content^n <= 1 - confidence.

    Example:
        >>> [tolerance_trials(c) for c in (0.90, 0.95, 0.99)]
        [29, 59, 299]
    """
    return math.ceil(math.log(1 - confidence) / math.log(content) - 1e-12)


def quantile_interval(values: np.ndarray, q: float, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Interval of a quantile between two order statistics, for any distribution.

    Each side is the tightest order statistic whose own error is at most (1 - confidence) / 2.

    Args:
        values: [K] one rate a chip.
        q: In (0, 1).
        confidence: In (0, 1).

    Returns:
        Lower and upper bound; None on a side that these chips are too few for.

    Source: David and Nagaraja, Order Statistics (2003), section 7.1.
    """
    tail, ordered = (1 - confidence) / 2, np.sort(values)
    low = tolerance_rank(len(values), 1 - q, 1 - tail)
    high = tolerance_rank(len(values), q, 1 - tail)
    return (
        None if low is None else float(ordered[low - 1]),
        None if high is None else float(ordered[len(values) - high]),
    )


def describe(values: Sequence[float] | np.ndarray) -> dict[str, float | None]:
    """Mean, std (ddof 1; None for a single chip), extremes and numpy's 'linear' quantiles."""
    array = np.asarray(values, dtype=np.float64)
    p05, median, p95 = np.quantile(array, [0.05, 0.5, 0.95], method="linear")
    return {
        "mean": float(array.mean()),
        "std": float(array.std(ddof=1)) if len(array) > 1 else None,
        "min": float(array.min()),
        "p05": float(p05),
        "median": float(median),
        "p95": float(p95),
        "max": float(array.max()),
    }
