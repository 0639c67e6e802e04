"""Stuck cells in measurements: how many, and where they stick.

A reading comes from a cell that follows its target (with heavy tails, if need be), or from one that is stuck: near the
low end, near the high end, or anywhere in the range. The shares are found by expectation and maximisation. Stuck cells
are believed in only where they explain the readings better than heavy tails alone, by the Bayesian information
criterion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harden.noise.fitting import Values, fit
from harden.noise.goodness import bins
from harden.noise.shapes import robust_scale

_FAR = 6.0  # robust standard deviations
_FAR_OF_RANGE = 0.1
_END = 0.15  # of the range: how near an end counts as stuck there
_STEPS = 100
_NARROWEST = 0.005  # of the range


@dataclass(frozen=True)
class StuckCells:
    """What is stuck.

    Attributes:
        share: Of all cells.
        low: Share of the stuck cells that are stuck near the low end.
        high: Share of them near the high end; the rest are stuck anywhere.
        low_us: Where the low ones stick in µS; None if there are none.
        high_us: Where the high ones stick.
        rows: Which readings are more probably of stuck cells than not.
    """

    share: float
    low: float
    high: float
    low_us: float | None
    high_us: float | None
    rows: np.ndarray

    @property
    def anywhere(self) -> float:
        """Share of the stuck cells that are stuck at neither end."""
        return max(0.0, 1.0 - self.low - self.high)


def find_stuck(target: np.ndarray, measured: np.ndarray, full: float) -> StuckCells | None:
    """The stuck cells among readings; None where there are none.

    Args:
        target: What was to be stored, in µS; one value a cell.
        measured: What was read.
        full: The largest target.
    """
    deviation = measured - target
    far = _far(target, deviation, full)
    if not far.any():
        return None
    whole = Values(target / full, deviation)
    base = fit(whole.rows(~far), kind="student_t")
    following = base.log_likelihood(whole)
    ends = [_end(measured[far & near]) for near in (measured <= _END * full, measured >= (1 - _END) * full)]
    densities = [np.exp(following)]
    for end in ends:
        if end is None:
            densities.append(np.zeros_like(measured))
        else:
            width = max(end[1], _NARROWEST * full)
            densities.append(np.exp(-(((measured - end[0]) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi)))
    reach = max(float(measured.max()), full) - min(float(measured.min()), 0.0)
    densities.append(np.full_like(measured, 1 / reach))
    density = np.array(densities)
    share = float(far.mean())
    weights = np.array([1 - share, *(share / 3 * (part.max() > 0) for part in densities[1:])])
    for _ in range(_STEPS):
        weights = _posterior(weights, density).mean(axis=1)
    with_stuck = float(np.log(np.maximum((weights[:, None] * density).sum(axis=0), 1e-300)).sum())
    penalty = np.log(len(target)) / 2
    tails = [fit(whole, kind=kind) for kind in ("student_t", "scale_mixture")]
    best = max(float(entry.log_likelihood(whole).sum()) - penalty * entry.parameters for entry in tails)
    parts = sum(2 for end in ends if end is not None) + 1  # a share each, and a place for each end
    if with_stuck - penalty * (base.parameters + parts) < best:
        return None
    stuck = float(weights[1:].sum())
    low, high = (float(weight) / stuck for weight in weights[1:3])
    places = [end[0] if end is not None and part > 0 else None for end, part in zip(ends, (low, high), strict=True)]
    return StuckCells(stuck, low, high, places[0], places[1], _posterior(weights, density)[0] < 0.5)


def _posterior(weights: np.ndarray, density: np.ndarray) -> np.ndarray:
    """The probability of each origin, for each reading."""
    mixed = weights[:, None] * density
    return mixed / np.maximum(mixed.sum(axis=0), 1e-300)


def _far(target: np.ndarray, deviation: np.ndarray, full: float) -> np.ndarray:
    far = np.zeros(len(target), dtype=bool)
    for group in bins(target) or [np.arange(len(target))]:
        distance = deviation[group] - np.median(deviation[group])
        far[group] = np.abs(distance) > max(_FAR * robust_scale(distance), _FAR_OF_RANGE * full)
    return far


def _end(readings: np.ndarray) -> tuple[float, float] | None:
    return (float(np.median(readings)), robust_scale(readings - np.median(readings))) if len(readings) else None
