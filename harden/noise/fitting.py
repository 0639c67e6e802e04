"""Fits where a deviation lies, how far it spreads and what shape it has, against the state.

The model is y = m + s · Z (`harden.noise.shapes`), with a known part v of the spread, such as the error of an estimate,
added in quadrature. m and s are polynomials of the state, their orders chosen by the Bayesian information criterion, or
one value for each level. Values that were clamped at a floor count with the probability of lying below it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from harden.noise.shapes import NORMAL, ROBUST, Mixture, Shape, fitted, robust_scale

_HIGHEST_MEAN = 3
_HIGHEST_SCALE = 4
_SMALLEST_SHARE = 1e-3  # of the overall spread: what s is held above while it is fitted
_MOST_LEVELS = 64
_GROUPS = 32
_FEWEST_AT_A_LEVEL = 40
_ROUNDS = 3
_STEPS = 40
_SURELY_BELOW = -3.0  # a value clamped so far from the middle tells of tails


@dataclass(frozen=True)
class Along:
    """A curve over the state: a polynomial (lowest order first), or a table of x and value; with neither it is 0.

    Example:
        >>> Along((1.0, 2.0))(np.array([0.5])).tolist(), Along(table=((0.0, 1.0), (1.0, 3.0)))(np.array([0.5])).tolist()
        ([2.0], [2.0])
    """

    poly: tuple[float, ...] = ()
    table: tuple[tuple[float, float], ...] = ()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The value at x."""
        if self.table:
            return np.interp(x, [point[0] for point in self.table], [point[1] for point in self.table])
        return np.polynomial.polynomial.polyval(x, np.asarray(self.poly)) if self.poly else np.zeros_like(x)

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return len(self.poly) + len(self.table)

    @property
    def numbers(self) -> list[float] | list[list[float]]:
        """The coefficients, or the points of the table."""
        return [list(point) for point in self.table] or list(self.poly)

    def scaled(self, factor: float) -> Along:
        """The curve times a factor."""
        return Along(tuple(c * factor for c in self.poly), tuple((x, y * factor) for x, y in self.table))


@dataclass(frozen=True)
class Values:
    """What is fitted.

    Attributes:
        x: The state, from 0 to 1.
        y: What is to be modelled.
        known_error: v, a number or one for each value.
        floor: For each value, where it would have been clamped; values at their floor are censored.
    """

    x: np.ndarray
    y: np.ndarray
    known_error: np.ndarray | float = 0.0
    floor: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def size(self) -> float:
        """The overall size, robustly."""
        return float(np.median(np.abs(self.y))) or float(np.sqrt((self.y**2).mean())) or 1.0

    @property
    def clamped(self) -> np.ndarray:
        """Which values lie at their floor."""
        if self.floor is None:
            return np.zeros(len(self.y), dtype=bool)
        return self.y <= self.floor + 1e-9 * np.abs(self.floor) + 1e-12 * self.size

    def rows(self, index: np.ndarray) -> Values:
        """Some of the values."""
        error = self.known_error if np.ndim(self.known_error) == 0 else np.asarray(self.known_error)[index]
        return Values(self.x[index], self.y[index], error, None if self.floor is None else self.floor[index])


@dataclass(frozen=True)
class Fit:
    """A fitted location, scale and shape.

    Attributes:
        mean: m over the state; empty where it is zero.
        scale: s over the state.
        shape: The standardised distribution.
        score: Bayesian information criterion; smaller is better.
    """

    mean: Along
    scale: Along
    shape: Shape = NORMAL
    score: float = float("nan")

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        return self.mean.parameters + self.scale.parameters + self.shape.parameters

    def mean_at(self, x: np.ndarray) -> np.ndarray:
        """m(x)."""
        return self.mean(x)

    def scale_at(self, x: np.ndarray) -> np.ndarray:
        """s(x), at least 0."""
        return np.maximum(self.scale(x), 0.0)

    def standardised(self, values: Values) -> np.ndarray:
        """(y − m) / sqrt(s² + v²)."""
        least = _SMALLEST_SHARE * values.size
        return (values.y - self.mean_at(values.x)) / self._spread(values, least)

    def log_likelihood(self, values: Values) -> np.ndarray:
        """The logarithm of each value's density, or of the probability of lying at its floor or below."""
        least = _SMALLEST_SHARE * values.size
        z = self.standardised(values)
        terms = self.shape.log_density(z) - np.log(self._spread(values, least))
        clamped = values.clamped
        terms[clamped] = np.log(np.maximum(self.shape.cdf(z[clamped]), 1e-300))
        return terms

    def _spread(self, values: Values, least: float) -> np.ndarray:
        return np.sqrt(np.maximum(self.scale_at(values.x), least) ** 2 + np.asarray(values.known_error) ** 2)


def fit(values: Values, *, kind: str = "normal", shifted: bool | None = None) -> Fit:
    """Fit polynomials, with a shape of one kind.

    Args:
        values: The data.
        kind: Of the shape; see `harden.noise.shapes.fitted`.
        shifted: Whether there is a mean: True always (at least a constant), False never, None where the data ask for
            it.

    Returns:
        The best fit; orders by the Bayesian information criterion.
    """
    return fit_orders(values, kind, orders(values, NORMAL if kind == "normal" else ROBUST, shifted))


def orders(values: Values, shape: Shape, shifted: bool | None = None) -> tuple[int, int]:
    """The orders of mean (−1 is none) and scale by the Bayesian information criterion."""
    highest = min(_HIGHEST_SCALE, max(len(np.unique(values.x)) - 2, 0))
    lowest = 0 if shifted else -1
    tried = {(lowest, order): _polynomials(values, (lowest, order), shape).score for order in range(highest + 1)}
    if shifted is not False:
        order = min(tried, key=tried.__getitem__)[1]
        means = range(lowest + 1, min(_HIGHEST_MEAN, highest) + 1)
        tried |= {(mean, order): _polynomials(values, (mean, order), shape).score for mean in means}
    return min(tried, key=tried.__getitem__)


def fit_orders(values: Values, kind: str, order: tuple[int, int]) -> Fit:
    """Fit polynomials of given orders, and in turn the shape."""
    result = _polynomials(values, order, NORMAL if kind == "normal" else ROBUST)
    for _ in range(0 if kind == "normal" else _ROUNDS):
        z = result.standardised(values)
        shape, factor = fitted(kind, z[~values.clamped | (z < _SURELY_BELOW)])
        start = replace(result, scale=result.scale.scaled(factor), shape=shape)
        result = _polynomials(values, order, shape, start)
    return _with_the_mean(result, values)


def fit_levels(values: Values, kind: str) -> Fit:
    """A location and a scale for each level, and one shape; one level where `levels` says None."""
    groups = levels(values.x) or [np.arange(len(values))]
    which = np.empty(len(values), dtype=int)
    for index, group in enumerate(groups):
        which[group] = index
    count = np.bincount(which)
    least = _SMALLEST_SHARE * values.size
    if kind in ("normal", "window"):
        place = np.bincount(which, values.y) / count
        scale = np.maximum(np.sqrt(np.bincount(which, (values.y - place[which]) ** 2) / count), least)
    else:
        place = np.array([np.median(values.y[group]) for group in groups])
        scale = np.array([robust_scale(values.y[g] - p) for g, p in zip(groups, place, strict=True)])
    shape, factor = fitted(kind, (values.y - place[which]) / scale[which])
    for _ in range(0 if kind in ("normal", "window") else _ROUNDS):
        scale = scale * factor
        for _ in range(_STEPS):  # each level's weighted mean and variance, until they stay
            scale = np.maximum(scale, least)
            z = (values.y - place[which]) / scale[which]
            slope = -shape.slope(z)
            place = place + scale * np.bincount(which, slope) / np.bincount(which, shape.weight(z))
            before, scale = scale, scale * np.sqrt(np.maximum(np.bincount(which, slope * z) / count, 0.1))
            if np.abs(scale / before - 1).max() < 1e-4:
                break
        shape, factor = fitted(kind, (values.y - place[which]) / scale[which])
    scale = scale * factor
    if len(groups) == 1:
        return _with_the_mean(Fit(Along((float(place[0]),)), Along((float(scale[0]),)), shape), values)
    centre = [float(values.x[group].mean()) for group in groups]
    mean, spread = ([(x, float(y)) for x, y in zip(centre, column, strict=True)] for column in (place, scale))
    return _with_the_mean(Fit(Along(table=tuple(mean)), Along(table=tuple(spread)), shape), values)


def _with_the_mean(result: Fit, values: Values) -> Fit:
    """A mixture with the measured mean: its wider parts are moved, and what differs along the state is added to m.

    By likelihood alone the bulk decides m, and the mean of a skewed deviation is missed by a quarter.
    """
    shape = result.shape
    if not isinstance(shape, Mixture) or len(shape.weights) == 1 or values.clamped.any():
        return result
    scale = result.scale_at(values.x)
    mean = float((values.y - result.mean_at(values.x)).sum() / scale.sum())
    move = (mean - float(np.dot(shape.weights, shape.offsets))) / (1 - shape.weights[0])
    shape = replace(shape, offsets=(0.0, *(offset + move for offset in shape.offsets[1:])))
    result = replace(result, shape=shape)
    if not result.mean.parameters:
        return result
    # What is missed is a share of the scale, and a line along the state: where deviations are small, so is this.
    rest = values.y - result.mean_at(values.x) - scale * float(np.dot(shape.weights, shape.offsets))
    line = np.linalg.lstsq(scale[:, None] * np.stack([np.ones_like(values.x), values.x], axis=1), rest, rcond=None)[0]
    if result.mean.table:
        pairs = zip(result.mean.table, result.scale.table, strict=True)
        points = [(x, place + spread * float(line[0] + line[1] * x)) for (x, place), (_, spread) in pairs]
        return replace(result, mean=Along(table=tuple(points)))
    more = np.polynomial.polynomial.polymul(np.asarray(result.scale.poly), line)
    total = np.polynomial.polynomial.polyadd(np.asarray(result.mean.poly), more)
    return replace(result, mean=Along(tuple(float(value) for value in total)))


def levels(x: np.ndarray) -> list[np.ndarray] | None:
    """Rows of each level, or of 32 groups of similar x where there are many; None with under 40 rows at one."""
    names, which, counts = np.unique(x, return_inverse=True, return_counts=True)
    if len(names) <= _MOST_LEVELS:
        groups = np.split(np.argsort(which, kind="stable"), np.cumsum(counts)[:-1])
    else:
        groups = np.array_split(np.argsort(x, kind="stable"), _GROUPS)
    return groups if len(groups) > 1 and min(len(group) for group in groups) >= _FEWEST_AT_A_LEVEL else None


def _polynomials(values: Values, order: tuple[int, int], shape: Shape, start: Fit | None = None) -> Fit:
    means, scales = order[0] + 1, order[1] + 1
    basis = np.polynomial.polynomial.polyvander(values.x, max(*order, 0))
    first = None if start is None else np.array([*start.mean.poly, *start.scale.poly])
    numbers, loss = maximum_likelihood(values, basis[:, :means], basis[:, :scales], shape, first)
    score = 2 * loss + len(numbers) * np.log(len(values))
    return Fit(Along(tuple(numbers[:means])), Along(tuple(numbers[means:])), shape, float(score))


def maximum_likelihood(
    values: Values, mean_basis: np.ndarray, scale_basis: np.ndarray, shape: Shape, start: np.ndarray | None = None
) -> tuple[list[float], float]:
    """Coefficients of m and s as sums of basis functions, for one shape, by gradients.

    Args:
        values: The data.
        mean_basis: The functions that make up m, at the values: [values, functions]; perhaps none.
        scale_basis: Those that make up s.
        shape: The standardised distribution.
        start: Where to start.

    Returns:
        The coefficients of m and of s, one after another, and the negative log-likelihood (without the constant that
        comes from the unit).
    """
    unit = values.size
    y, width = values.y / unit, np.asarray(values.known_error) / unit
    clamped = values.clamped
    means = mean_basis.shape[1]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        line = scale_basis @ parameters[means:]
        scale = np.maximum(line, _SMALLEST_SHARE)
        spread = np.sqrt(scale**2 + width**2)
        z = (y - mean_basis @ parameters[:means]) / spread
        slope = shape.slope(z)
        terms = np.log(spread) - shape.log_density(z)
        down = np.ones_like(z)
        if clamped.any():
            below = np.maximum(shape.cdf(z[clamped]), 1e-300)
            slope[clamped] = np.exp(shape.log_density(z[clamped])) / below
            terms[clamped] = -np.log(below)
            down[clamped] = 0.0
        by_scale = (down + slope * z) / spread * (scale / spread) * (line > _SMALLEST_SHARE)
        gradient = np.concatenate([(slope / spread) @ mean_basis, by_scale @ scale_basis])
        return float(terms.mean()), gradient / len(y)

    if start is None:
        free = ~clamped if (~clamped).sum() > scale_basis.shape[1] else np.ones(len(y), dtype=bool)
        first = np.linalg.lstsq(mean_basis, y, rcond=None)[0] if means else np.zeros(0)
        size = np.abs(y - mean_basis @ first)
        size = np.minimum(size, 10 * float(np.median(size)) + 1e-9) / 0.8
        start = np.concatenate([first, np.linalg.lstsq(scale_basis[free], size[free], rcond=None)[0]])
    else:
        start = start / unit
    minimum = optimize.minimize(loss, start, jac=True, method="BFGS")
    return [float(value) * unit for value in minimum.x], float(minimum.fun) * len(y)
