"""How cells change after their first reading: models that are compared, and the laws that they become.

=============== ======================================================================================================
power drift     ln g = ln g₁ − ν ln(t/t₁), ν of each cell normal with mean and spread over the state; read noise
relaxation      g − g₁ = a(g) L + (b(g) L + c(g)) Z, L = ln(t/t₁): mean and spread grow with the logarithm of time
each time       a mean and a scale over the state for each time, in between along the logarithm of time
=============== ======================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harden.noise.fitting import Along, Fit, Values, fit, maximum_likelihood, orders
from harden.noise.selection import Candidate, choose, deviations, too_far, two_ways
from harden.noise.shapes import NORMAL, ROBUST, Shape, fitted

RELAXATION_SHAPES = ("normal", "student_t", "scale_mixture")
_ROUNDS = 3
_SMALLEST_SHARE = 1e-3  # of the overall size: what the scale is held above
_IMPOSSIBLE = -50.0  # log-likelihood of a reading that a model rules out


@dataclass(frozen=True)
class Followed:
    """Cells that were read at every time.

    Attributes:
        target: [cells], µS.
        readings: [cells, times], µS.
        times: [times], ascending, in seconds.
        full: The largest conductance.
    """

    target: np.ndarray
    readings: np.ndarray
    times: np.ndarray
    full: float

    @property
    def start_s(self) -> float:
        """t₁ of relaxation: the first reading, or where that is at once, the second."""
        return float(self.times[0] or self.times[1])

    def rows(self, index: np.ndarray) -> Followed:
        """Some of the cells."""
        return replace(self, target=self.target[index], readings=self.readings[index])

    def changes(self) -> list[Values]:
        """g − g₁ for each later time."""
        first = self.readings[:, 0]
        return [Values(self.target / self.full, later - first, floor=-first) for later in self.later()]

    def later(self) -> list[np.ndarray]:
        """The readings at each later time."""
        return [self.readings[:, index] for index in range(1, len(self.times))]

    def above_zero(self) -> np.ndarray:
        """Which cells never read zero."""
        return np.asarray((self.readings > 0).all(axis=1))


@dataclass(frozen=True)
class PowerDrift:
    """A fitted power law.

    Attributes:
        start: g at t₁ as each cell's line has it, µS.
        error_of_start: Its standard error for each cell.
        exponent: ν of each cell.
        error_of_exponent: Its standard error.
        drift: The fit of ν over the state.
        read: What is left around each cell's line, relative to the conductance.
    """

    start: np.ndarray
    error_of_start: np.ndarray
    exponent: np.ndarray
    error_of_exponent: float
    drift: Fit
    read: float


@dataclass(frozen=True)
class Relaxation:
    """A fitted relaxation: a, b and c over the state, in µS."""

    mean_per_e: Along
    scale_per_e: Along
    scale: Along
    at_times: list[Fit]


@dataclass(frozen=True)
class EachTime:
    """A fit of the change for each later time."""

    fits: list[Fit]


Ageing = PowerDrift | Relaxation | EachTime


def candidates(data: Followed, half: np.ndarray, wanted: str = "auto") -> list[Candidate[Ageing]]:
    """The models of the change since the first reading; ``wanted`` names the one to fit, or is ``auto`` for all."""
    tried: list[Candidate[Ageing]] = []
    shapes = RELAXATION_SHAPES
    if wanted in ("auto", "each_time"):
        separate = deviations(data.changes(), half, kinds=RELAXATION_SHAPES)
        shapes = (choose(separate)[0][0].shape.name,)
        tried += [
            Candidate[Ageing](
                f"each time: {entry.name}", EachTime(entry.model), entry.parameters, entry.held_out, entry.objection
            )
            for entry in separate
        ]
    if wanted in ("auto", "relaxation"):
        tried += [_relaxation_candidate(data, half, kind) for kind in shapes]
    if wanted == "power_drift" or (wanted == "auto" and data.times[0] > 0 and len(data.times) > 2):
        whole = data.above_zero()

        def score(fit_to: np.ndarray, judge: np.ndarray) -> np.ndarray:
            return _drift_likelihood(power_drift(data.rows(np.logical_and(fit_to, whole))), data.rows(judge))

        model = power_drift(data.rows(whole))
        tried.append(Candidate("power_drift", model, model.drift.parameters + 1, two_ways(half, score)))
    return tried


def power_drift(data: Followed) -> PowerDrift:
    """A line through the logarithms of each cell, and the spread of the slopes over the state."""
    elapsed = np.log(data.times / data.times[0])
    centred = elapsed - elapsed.mean()
    logs = np.log(data.readings)
    slope = (logs * centred).sum(axis=1) / (centred**2).sum()
    start = np.exp(logs.mean(axis=1) - slope * elapsed.mean())
    residual = logs - logs.mean(axis=1, keepdims=True) - slope[:, None] * centred
    read = float(np.sqrt((residual**2).sum() / (residual.size - 2 * len(logs))))
    error_of_slope = read / float(np.sqrt((centred**2).sum()))
    error_of_start = start * read * float(np.sqrt(1 / len(elapsed) + elapsed.mean() ** 2 / (centred**2).sum()))
    drift = fit(Values(data.target / data.full, -slope, error_of_slope), shifted=True)
    return PowerDrift(start, error_of_start, -slope, error_of_slope, drift, read)


def _drift_likelihood(model: PowerDrift, data: Followed) -> np.ndarray:
    """For each cell, the mean log-density of its later readings, given its first."""
    share = data.target / data.full
    first = data.readings[:, 0]
    terms: list[np.ndarray] = []
    for time, later in zip(data.times[1:], data.later(), strict=True):
        length = float(np.log(time / data.times[0]))
        spread = np.sqrt((model.drift.scale_at(share) * length) ** 2 + 2 * model.read**2)
        possible = (first > 0) & (later > 0)
        ratio = np.log(np.where(possible, later, 1.0) / np.where(possible, first, 1.0))
        z = (ratio + model.drift.mean_at(share) * length) / spread
        terms.append(
            np.where(possible, NORMAL.log_density(z) - np.log(spread * np.where(possible, later, 1.0)), _IMPOSSIBLE)
        )
    return np.mean(terms, axis=0)


def _relaxation_candidate(data: Followed, half: np.ndarray, kind: str) -> Candidate[Ageing]:
    order = orders(data.changes()[-1], ROBUST)

    def score(fit_to: np.ndarray, judge: np.ndarray) -> np.ndarray:
        fits = relaxation(data.rows(fit_to), kind, order).at_times
        pairs = zip(fits, data.rows(judge).changes(), strict=True)
        return np.mean([fit.log_likelihood(values) for fit, values in pairs], axis=0)

    model = relaxation(data, kind, order)
    parts = (model.mean_per_e, model.scale_per_e, model.scale)
    size = sum(part.parameters for part in parts) + model.at_times[0].shape.parameters
    return Candidate(f"relaxation: {kind}", model, size, two_ways(half, score), too_far(model.at_times, data.changes()))


def relaxation(data: Followed, kind: str, order: tuple[int, int]) -> Relaxation:
    """Fit a, b and c as polynomials of the state with these orders (of mean and scale), and one shape for all times."""
    changes = data.changes()
    elapsed = np.log(data.times[1:] / data.start_s)
    state, change, floor = (np.concatenate([getattr(part, name) for part in changes]) for name in ("x", "y", "floor"))
    length = np.repeat(elapsed, len(data.target))
    values = Values(state, change, floor=floor)
    basis = np.polynomial.polynomial.polyvander(state, max(*order, 0))
    mean_basis = basis[:, : order[0] + 1] * length[:, None]
    scale_basis = np.concatenate([basis[:, : order[1] + 1] * length[:, None], basis[:, : order[1] + 1]], axis=1)
    means, scales = order[0] + 1, order[1] + 1
    shape: Shape = NORMAL if kind == "normal" else ROBUST
    numbers, _ = maximum_likelihood(values, mean_basis, scale_basis, shape)
    for _ in range(0 if kind == "normal" else _ROUNDS):
        spread = np.maximum(scale_basis @ np.array(numbers[means:]), _SMALLEST_SHARE * values.size)
        shape, factor = fitted(kind, (change - mean_basis @ np.array(numbers[:means])) / spread)
        start = np.array([*numbers[:means], *(number * factor for number in numbers[means:])])
        numbers, _ = maximum_likelihood(values, mean_basis, scale_basis, shape, start)
    mean, growth, scale = (
        Along(tuple(part)) for part in (numbers[:means], numbers[means : means + scales], numbers[means + scales :])
    )
    at_times = [
        Fit(
            Along(tuple(length * value for value in mean.poly)),
            Along(tuple(length * b + c for b, c in zip(growth.poly, scale.poly, strict=True))),
            shape,
        )
        for length in elapsed.tolist()
    ]
    return Relaxation(mean, growth, scale, at_times)


def fits_at_times(model: Ageing, times: Sequence[float]) -> list[tuple[float, Fit]]:
    """The fit of the change at each later time, where the model has one."""
    if isinstance(model, PowerDrift):
        return []
    return list(zip(times, model.fits if isinstance(model, EachTime) else model.at_times, strict=True))
