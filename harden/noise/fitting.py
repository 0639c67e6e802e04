"""Fits a mean and a standard deviation that are polynomials of the state, by maximum likelihood.

The model is y ~ N(m(x), σ(x)² + v²), with v a known part of the spread, such as the error of an estimate. Values that
were clamped at a floor count with the probability of lying below it. Orders are chosen by the Bayesian information
criterion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from scipy import optimize, special, stats

_HIGHEST_MEAN = 3
_HIGHEST_SIGMA = 4
_SMALLEST_SHARE = 1e-3  # of the overall spread: what σ(x) is held above while it is fitted


@dataclass(frozen=True)
class Fit:
    """A fitted mean and standard deviation.

    Attributes:
        mean: Coefficients of m, lowest first; empty where the mean is zero.
        sigma: Coefficients of σ, lowest first.
        loss: Negative log-likelihood.
        score: Bayesian information criterion; smaller is better.
    """

    mean: tuple[float, ...]
    sigma: tuple[float, ...]
    loss: float
    score: float

    def mean_at(self, x: np.ndarray) -> np.ndarray:
        """m(x)."""
        return _polynomial(np.asarray(self.mean), x)

    def sigma_at(self, x: np.ndarray) -> np.ndarray:
        """σ(x), at least 0."""
        return np.maximum(_polynomial(np.asarray(self.sigma), x), 0.0)


def fit(
    x: np.ndarray,
    y: np.ndarray,
    *,
    known_error: np.ndarray | float = 0.0,
    floor: np.ndarray | None = None,
    shifted: bool | None = None,
) -> Fit:
    """Fit m and σ.

    Args:
        x: The state, from 0 to 1.
        y: What is to be modelled.
        known_error: v, a number or one for each value.
        floor: For each value, where it would have been clamped; values at their floor are censored.
        shifted: Whether there is a mean: True always (at least a constant), False never, None where the data ask for
            it.

    Returns:
        The best fit by the Bayesian information criterion.
    """
    highest = min(_HIGHEST_SIGMA, max(len(np.unique(x)) - 2, 0))
    lowest_mean = 0 if shifted else -1
    tried = [_fit_orders(x, y, lowest_mean, order, known_error, floor) for order in range(highest + 1)]
    if shifted is not False:
        order = len(min(tried, key=_score).sigma) - 1
        orders = range(lowest_mean + 1, min(_HIGHEST_MEAN, highest) + 1)
        tried += [_fit_orders(x, y, mean_order, order, known_error, floor) for mean_order in orders]
    return min(tried, key=_score)


def _score(candidate: Fit) -> float:
    return candidate.score


class Goodness(TypedDict):
    """How well a fit describes the data; see :func:`goodness`."""

    ks: float
    ks_p: float
    within_1: float
    within_2: float
    r2_sigma: float
    outliers: float


def goodness(result: Fit, x: np.ndarray, y: np.ndarray, *, known_error: np.ndarray | float = 0.0) -> Goodness:
    """How well a fit describes the data.

    Returns:
        ``ks`` and ``ks_p`` (Kolmogorov-Smirnov of the standardised values against a normal), ``within_1`` and
        ``within_2`` (the shares within one and two standard deviations; 0.683 and 0.954 of a normal), ``r2_sigma``
        (of σ against the spread in ten bins), ``outliers`` (see there).
    """
    scale = np.sqrt(result.sigma_at(x) ** 2 + np.asarray(known_error) ** 2)
    usable = scale > 0
    z = (y[usable] - result.mean_at(x[usable])) / scale[usable]
    test = stats.kstest(z, "norm")
    return {
        "ks": float(test.statistic),
        "ks_p": float(test.pvalue),
        "within_1": float((np.abs(z) < 1).mean()),
        "within_2": float((np.abs(z) < 2).mean()),
        "r2_sigma": _r2_of_bins(result, x[usable], y[usable], known_error),
        "outliers": outliers(x, y),
    }


def outliers(x: np.ndarray, y: np.ndarray) -> float:
    """The share of values more than six robust standard deviations (1.4826 · MAD) from the median at their level.

    A normal distribution has none; stuck cells, or two populations, show here.
    """
    far = 0
    for group in bins(x):
        distance = np.abs(y[group] - np.median(y[group]))
        far += int((distance > 6 * 1.4826 * max(float(np.median(distance)), 1e-12)).sum())
    return far / len(y)


def bins(x: np.ndarray, count: int = 10) -> list[np.ndarray]:
    """Rows in up to ``count`` groups of similar x: the levels themselves where there are few."""
    levels = np.unique(x)
    if len(levels) <= 2 * count:
        groups = [np.flatnonzero(x == level) for level in levels]
    else:
        groups = np.array_split(np.argsort(x, kind="stable"), count)
    return [group for group in groups if len(group) >= 10]


def _r2_of_bins(result: Fit, x: np.ndarray, y: np.ndarray, known_error: np.ndarray | float) -> float:
    groups = bins(x)
    mean = result.mean_at(x)
    measured = np.array([np.sqrt(((y[group] - mean[group]) ** 2).mean()) for group in groups])
    width = np.broadcast_to(np.asarray(known_error, dtype=float), x.shape)
    fitted = np.array([np.sqrt((result.sigma_at(x[group]) ** 2 + width[group] ** 2).mean()) for group in groups])
    total = ((measured - measured.mean()) ** 2).sum()
    return float(1 - ((measured - fitted) ** 2).sum() / total) if len(groups) > 2 and total > 0 else float("nan")


def _fit_orders(
    x: np.ndarray,
    y: np.ndarray,
    mean_order: int,
    sigma_order: int,
    known_error: np.ndarray | float,
    floor: np.ndarray | None,
) -> Fit:
    unit = float(np.sqrt((y**2).mean())) or 1.0
    scaled, width = y / unit, np.asarray(known_error) / unit
    edge = None if floor is None else floor / unit
    censored = np.zeros(len(y), dtype=bool) if edge is None else np.isclose(scaled, edge, rtol=1e-9, atol=1e-12)
    means = mean_order + 1

    def loss(parameters: np.ndarray) -> float:
        mean = _polynomial(parameters[:means], x)
        spread = np.maximum(_polynomial(parameters[means:], x), _SMALLEST_SHARE)
        deviation = np.sqrt(spread**2 + width**2)
        z = (scaled - mean) / deviation
        terms = np.log(deviation) + z**2 / 2
        terms[censored] = -special.log_ndtr(z[censored])
        return float(terms.mean())

    start_mean = np.polynomial.polynomial.polyfit(x, scaled, mean_order) if means else np.zeros(0)
    size = np.abs(scaled - _polynomial(start_mean, x)) * np.sqrt(np.pi / 2)
    start_sigma = np.asarray(np.polynomial.polynomial.polyfit(x, size, sigma_order), dtype=np.float64)
    minimum = optimize.minimize(loss, np.concatenate([start_mean, start_sigma]), method="BFGS")
    total = float(minimum.fun) * len(y)
    score = 2 * total + (means + sigma_order + 1) * np.log(len(y))
    return Fit(tuple(minimum.x[:means] * unit), tuple(minimum.x[means:] * unit), total, float(score))


def _polynomial(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.polynomial.polynomial.polyval(x, coefficients) if len(coefficients) else np.zeros_like(x)
