"""How well a fit describes the data that it was fitted to."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from scipy import stats

from harden.noise.fitting import Fit, Values
from harden.noise.shapes import Shape, robust_scale, robust_unit

_MOST_CLAMPED = 0.05


def beyond(shape: Shape, z: float) -> float:
    """P(|Z| > z)."""
    low, high = shape.cdf(np.array([-z, z]))
    return float(low + 1 - high)


class Goodness(TypedDict):
    """How well a fit describes the data; see :func:`goodness`."""

    ks: float
    ks_p: float
    within_1: float
    within_2: float
    beyond_4: float
    beyond_4_fitted: float
    r2_sigma: float
    sigma_off: float


def goodness(result: Fit, values: Values) -> Goodness:
    """How well a fit describes the data.

    Returns:
        ``ks`` and ``ks_p`` (Kolmogorov-Smirnov of the standardised values against the fitted shape), ``within_1``,
        ``within_2`` and ``beyond_4`` (the shares within one and two and beyond four robust standard deviations, which
        are 1.4826 times the fitted median deviation; 0.683, 0.954 and 0.00006 of a normal), ``beyond_4_fitted`` (of
        the fit), ``r2_sigma`` and ``sigma_off`` (of the fitted robust standard deviation against that of each level, or
        of ten groups: R², and the root mean square of its relative error).
    """
    z = result.standardised(values)
    free = ~values.clamped
    unit = robust_unit(result.shape)
    test = stats.kstest(z[free], lambda x: result.shape.cdf(np.asarray(x)))
    r2, off = _sigma_error(result, values, unit)
    return {
        "ks": float(test.statistic),
        "ks_p": float(test.pvalue),
        "within_1": float((np.abs(z) < unit).mean()),
        "within_2": float((np.abs(z) < 2 * unit).mean()),
        "beyond_4": float((np.abs(z) > 4 * unit).mean()),
        "beyond_4_fitted": beyond(result.shape, 4 * unit),
        "r2_sigma": r2,
        "sigma_off": off,
    }


def outliers(x: np.ndarray, y: np.ndarray) -> float:
    """The share of values more than six robust standard deviations (1.4826 · MAD) from the median at their level.

    A normal distribution has none; stuck cells, heavy tails, or two populations show here.
    """
    far = 0
    for group in bins(x):
        distance = np.abs(y[group] - np.median(y[group]))
        far += int((distance > 6 * 1.4826 * max(float(np.median(distance)), 1e-12)).sum())
    return far / len(y)


def bins(x: np.ndarray, count: int = 10) -> list[np.ndarray]:
    """Rows in up to ``count`` groups of similar x: the levels themselves where there are few."""
    names = np.unique(x)
    if len(names) <= 2 * count:
        groups = [np.flatnonzero(x == name) for name in names]
    else:
        groups = np.array_split(np.argsort(x, kind="stable"), count)
    return [group for group in groups if len(group) >= 10]


def _sigma_error(result: Fit, values: Values, unit: float) -> tuple[float, float]:
    clamped = values.clamped
    groups = [group for group in bins(values.x) if clamped[group].mean() <= _MOST_CLAMPED]
    distance = values.y - result.mean_at(values.x)
    measured = np.array([robust_scale(distance[g] - np.median(distance[g])) for g in groups])
    width = np.broadcast_to(np.asarray(values.known_error, dtype=float), values.x.shape)
    spread = np.sqrt(result.scale_at(values.x) ** 2 + width**2) * unit
    expected = np.array([np.sqrt((spread[group] ** 2).mean()) for group in groups])
    if len(groups) < 3:
        return float("nan"), float("nan")
    total = ((measured - measured.mean()) ** 2).sum()
    r2 = float(1 - ((measured - expected) ** 2).sum() / total) if total > 0 else float("nan")
    return r2, float(np.sqrt(((expected / np.maximum(measured, 1e-12) - 1) ** 2).mean()))
