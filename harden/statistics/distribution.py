"""The shape of the chips' distribution: its normal quantile plot, and whether a Gaussian may be drawn through it."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from scipy import special

from harden.statistics.intervals import proportion_interval

_FEW = 20
_LEVEL = 0.05  # cautious: refusing a Gaussian that would have been right costs little


class Below(TypedDict):
    """The share of chips below a threshold: counted, its 95% interval, and a Gaussian's, None where refused."""

    threshold: float
    counted: float
    ci95: list[float]
    gaussian: float | None


class _Below(TypedDict, total=False):
    below: Below  # with a threshold


class Normality(_Below):
    """The shape of a distribution over chips."""

    skew: float | None
    kurtosis: float | None
    gaussian: bool
    reason: str | None
    quantiles: list[list[float]]


def normality(accuracies: np.ndarray, threshold: float | None = None) -> Normality:
    """Skew, kurtosis, the points of a normal quantile plot, and a Gaussian tail only where it is allowed.

    A Gaussian is refused where there are fewer than 20 chips, or where the skew or the kurtosis differs from a
    Gaussian's at the 5% level. The distribution of accuracy over chips seldom is Gaussian: its lower tail is longer,
    and a fitted Gaussian promises far too few bad chips.

    Args:
        accuracies: [K] one for each chip.
        threshold: The specification line.

    Returns:
        ``skew``, ``kurtosis`` (excess), ``gaussian`` (allowed or not), ``reason`` (why not), ``quantiles`` (points
        ``[normal quantile, accuracy]`` at the plotting positions (i - 0.5) / K), and with a threshold ``below``: the
        share counted, its 95% interval, and the Gaussian's share, which is None where refused.

    Source: skew test: D'Agostino, Biometrika 57 (1970); kurtosis test: Anscombe and Glynn, Biometrika 70 (1983).
    """
    values = np.sort(np.asarray(accuracies, dtype=np.float64))
    n = len(values)
    varied = n > 2 and values[0] < values[-1]
    skew, kurtosis, reason = _shape(values) if varied else (None, None, "the chips do not vary")
    shape: Normality = {
        "skew": skew,
        "kurtosis": kurtosis,
        "gaussian": reason is None,
        "reason": reason,
        "quantiles": [
            [float(q), float(v)] for q, v in zip(special.ndtri((np.arange(n) + 0.5) / n), values, strict=True)
        ],
    }
    if threshold is not None:
        shape["below"] = _below(values, threshold, reason is None)
    return shape


def _shape(values: np.ndarray) -> tuple[float, float | None, str | None]:
    """Skew, excess kurtosis, and why they are not a Gaussian's."""
    from scipy import stats  # takes over a second to import, and a few chips that do not vary do not need it

    skew = float(stats.skew(values, bias=False))
    kurtosis = float(stats.kurtosis(values, bias=False)) if len(values) > 3 else None
    if kurtosis is None or len(values) < _FEW:
        return skew, kurtosis, f"{len(values)} chips are too few to judge the shape of the distribution"
    if stats.skewtest(values).pvalue < _LEVEL:
        return skew, kurtosis, f"the skew of {skew:.2f} is not a Gaussian's"
    if stats.kurtosistest(values).pvalue < _LEVEL:
        return skew, kurtosis, f"the excess kurtosis of {kurtosis:.2f} is not a Gaussian's"
    return skew, kurtosis, None


def _below(values: np.ndarray, threshold: float, allowed: bool) -> Below:
    failures = int((values < threshold).sum())
    z = (threshold - float(values.mean())) / float(values.std(ddof=1)) if allowed else None
    gaussian = None if z is None else float(special.ndtr(z))
    return {
        "threshold": threshold,
        "counted": failures / len(values),
        "ci95": list(proportion_interval(failures, len(values))),
        "gaussian": gaussian,
    }
