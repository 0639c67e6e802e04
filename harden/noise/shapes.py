"""Shapes of a deviation: standardised distributions that fits compare.

A deviation is m + s · Z with a location m, a scale s and a shape Z. The scale of a normal is its standard deviation;
of Student's t that of the normal it would be for many degrees of freedom; of a mixture that of its narrowest part;
of a window half its width. All are symmetric about 0 but mixtures, whose wider parts may lie to a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

_SCALE_STEPS = 60
_GROUPS = 1000
_MAD = 0.6744897501960817  # the median absolute deviation of a standard normal
_MIXTURE_STEPS = 300
_LEAST = 1e-4  # of the median size: smaller sizes count as this
_FAR = 1e-8  # of a window's density: what lies outside it is improbable, not impossible


@dataclass(frozen=True)
class Normal:
    """The standard normal distribution."""

    name = "normal"
    parameters = 0

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """ln φ(z)."""
        return -(z**2) / 2 - 0.5 * math.log(2 * math.pi)

    def cdf(self, z: np.ndarray) -> np.ndarray:
        """Φ(z)."""
        return special.ndtr(z)

    def weight(self, z: np.ndarray) -> np.ndarray:
        """What a value counts in a weighted mean: 1 in a plain one."""
        return np.ones_like(z)

    def slope(self, z: np.ndarray) -> np.ndarray:
        """d ln f / dz."""
        return -z


@dataclass(frozen=True)
class StudentT:
    """Student's t with ν degrees of freedom: tails fall as z^(−ν−1).

    Source: as a robust fit, Lange, Little, Taylor, JASA 84 (1989).
    """

    df: float
    name = "student_t"
    parameters = 1

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """The logarithm of the density."""
        norm = special.gammaln((self.df + 1) / 2) - special.gammaln(self.df / 2) - 0.5 * math.log(self.df * math.pi)
        return norm - (self.df + 1) / 2 * np.log1p(z**2 / self.df)

    def cdf(self, z: np.ndarray) -> np.ndarray:
        """The probability of at most z."""
        return special.stdtr(self.df, z)

    def weight(self, z: np.ndarray) -> np.ndarray:
        """(ν + 1) / (ν + z²)."""
        return (self.df + 1) / (self.df + z**2)

    def slope(self, z: np.ndarray) -> np.ndarray:
        """d ln f / dz."""
        return -self.weight(z) * z


@dataclass(frozen=True)
class Mixture:
    """A mixture of normals; the scales ascend from 1, the weights sum to 1, and the first part lies at 0."""

    weights: tuple[float, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    name = "scale_mixture"

    @property
    def parameters(self) -> int:
        """Three for each part but the first."""
        return 3 * (len(self.weights) - 1)

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """The logarithm of the density."""
        return special.logsumexp(self._parts(z), axis=0) - 0.5 * math.log(2 * math.pi)

    def cdf(self, z: np.ndarray) -> np.ndarray:
        """The probability of at most z."""
        return np.asarray(self.weights) @ special.ndtr(self._standardised(z))

    def weight(self, z: np.ndarray) -> np.ndarray:
        """The expectation of 1/s² over the parts that z may come from."""
        return (special.softmax(self._parts(z), axis=0) / np.square(self.scales)[:, None]).sum(axis=0)

    def slope(self, z: np.ndarray) -> np.ndarray:
        """d ln f / dz."""
        share = special.softmax(self._parts(z), axis=0)
        return -(share * self._standardised(z) / np.asarray(self.scales)[:, None]).sum(axis=0)

    def _standardised(self, z: np.ndarray) -> np.ndarray:
        return (z[None, :] - np.asarray(self.offsets)[:, None]) / np.asarray(self.scales)[:, None]

    def _parts(self, z: np.ndarray) -> np.ndarray:
        return np.log(np.asarray(self.weights) / np.asarray(self.scales))[:, None] - self._standardised(z) ** 2 / 2


@dataclass(frozen=True)
class Window:
    """Uniform in [−1, 1], with edges blurred by a normal of standard deviation ``edge``: cells written and verified."""

    edge: float
    name = "window"
    parameters = 1

    @property
    def std(self) -> float:
        """sqrt(1/3 + edge²)."""
        return math.sqrt(1 / 3 + self.edge**2)

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """The logarithm of the density."""
        inside = special.ndtr((1 - np.abs(z)) / self.edge) - special.ndtr((-1 - np.abs(z)) / self.edge)
        return np.log(np.maximum(inside / 2, _FAR))

    def cdf(self, z: np.ndarray) -> np.ndarray:
        """The probability of at most z."""

        def integral(x: np.ndarray) -> np.ndarray:  # of Φ(x / edge)
            scaled = x / self.edge
            return self.edge * (scaled * special.ndtr(scaled) + np.exp(-(scaled**2) / 2) / math.sqrt(2 * math.pi))

        return np.minimum(np.maximum((integral(z + 1) - integral(z - 1)) / 2, 0), 1)

    def weight(self, z: np.ndarray) -> np.ndarray:
        """The reciprocal of the variance."""
        return np.full_like(z, 1 / self.std**2)

    def slope(self, z: np.ndarray) -> np.ndarray:
        """d ln f / dz."""
        right, left = (np.exp(-(((edge + z) / self.edge) ** 2) / 2) for edge in (1, -1))
        return (right - left) / (2 * self.edge * math.sqrt(2 * math.pi) * np.exp(self.log_density(z)))


NORMAL = Normal()
Shape = Normal | StudentT | Mixture | Window
ROBUST = StudentT(4.0)


def robust_unit(shape: Shape) -> float:
    """1.4826 times the median absolute deviation of Z: what a robust standard deviation measures for a scale of 1.

    Example:
        >>> round(robust_unit(NORMAL), 4), round(robust_unit(Window(1e-3)), 4)
        (1.0, 0.7413)
    """

    def probability(z: float) -> float:
        return float(shape.cdf(np.array([z]))[0])

    middle = float(optimize.brentq(lambda z: probability(z) - 0.5, -100.0, 100.0))
    return float(optimize.brentq(lambda z: probability(middle + z) - probability(middle - z) - 0.5, 0.0, 100.0)) / _MAD


def fitted(kind: str, z: np.ndarray) -> tuple[Shape, float]:
    """The shape of a kind with the largest likelihood about 0, and the scale of the values.

    Args:
        kind: ``normal``, ``student_t``, ``scale_mixture`` or ``window``.
        z: Deviations from their location, all of one scale.
    """
    size = float(np.sqrt((z**2).mean())) or 1.0
    if kind == "normal":
        return NORMAL, size
    values, shares = _condensed(z)
    if kind == "scale_mixture":
        return _fitted_mixture(values, shares)
    return _fitted_t(values, shares) if kind == "student_t" else _fitted_window(values, shares)


def _condensed(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values in up to 1,200 groups of nearly equal size (2%) and the same sign, and the share of all of each."""
    size = np.abs(z)
    unit = float(np.median(size)) or float(size.max()) or 1.0
    group = np.where(z < 0, -1, 1) * (_GROUPS + np.round(50 * np.log(np.maximum(size / unit, _LEAST))).astype(int))
    _, which, counts = np.unique(group, return_inverse=True, return_counts=True)
    return np.bincount(which, z) / counts, counts / len(z)


def robust_scale(z: np.ndarray) -> float:
    """The median absolute deviation as the standard deviation of a normal; never 0."""
    return float(stats.median_abs_deviation(z, scale="normal")) or float(np.sqrt((z**2).mean())) or 1.0


def _fitted_t(values: np.ndarray, shares: np.ndarray) -> tuple[StudentT, float]:
    grid = [math.log(df) for df in (0.7, 1, 1.5, 2, 3, 4, 6, 10, 20, 50, 200)]

    def loss(log_df: float) -> float:
        return _at_best_scale(StudentT(math.exp(log_df)), values, shares)[0]

    start = min(grid, key=loss)
    best = optimize.minimize_scalar(loss, bounds=(start - 0.7, start + 0.7), method="bounded", options={"xatol": 1e-3})
    shape = StudentT(math.exp(float(best.x)))
    return shape, _at_best_scale(shape, values, shares)[1]


def _at_best_scale(shape: StudentT, values: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    """The mean loss at the scale that is best for the shape, and that scale: a fixed point of the weighted variance."""
    scale = _middle(values, shares)
    for _ in range(_SCALE_STEPS):
        before = scale
        z = values / scale
        scale *= math.sqrt(float((shares * shape.weight(z) * z**2).sum()))
        if abs(scale / before - 1) < 1e-5:
            break
    return math.log(scale) - float((shares * shape.log_density(values / scale)).sum()), scale


def _middle(values: np.ndarray, shares: np.ndarray) -> float:
    """The median size."""
    order = np.argsort(np.abs(values))
    return float(np.interp(0.5, np.cumsum(shares[order]), np.abs(values)[order])) or 1.0


def _fitted_mixture(values: np.ndarray, shares: np.ndarray) -> tuple[Mixture, float]:
    """Expectation and maximisation, with three parts; fewer where one is empty."""
    size = _middle(values, shares) / _MAD
    z = values[:, None] / size
    weights, scales, offsets = np.array([0.7, 0.25, 0.05]), np.array([0.7, 2.0, 6.0]), np.zeros(3)
    for _ in range(_MIXTURE_STEPS):
        share = special.softmax(np.log(weights) - np.log(scales) - ((z - offsets) / scales) ** 2 / 2, axis=1)
        share *= shares[:, None]
        total = share.sum(axis=0) + 1e-9
        before = scales
        weights = np.maximum(total / total.sum(), 1e-6)
        offsets = (share * z).sum(axis=0) / total
        offsets[0] = 0.0
        scales = np.maximum(np.sqrt((share * (z - offsets) ** 2).sum(axis=0) / total), 1e-3)
        if np.abs(scales / before - 1).max() < 1e-4:
            break
    if scales[0] > scales[1:].min():  # the part at 0 is not the narrowest: all lie at 0
        offsets = np.zeros(3)
    order = [int(index) for index in np.argsort(scales) if weights[index] > 1e-4]
    least = float(scales[order[0]])
    shift = offsets[order] / least
    weight = weights[order] / weights[order].sum()
    mixture = Mixture(tuple(weight.tolist()), tuple((scales[order] / least).tolist()), tuple(shift.tolist()))
    return mixture, least * size


def _fitted_window(values: np.ndarray, shares: np.ndarray) -> tuple[Window, float]:
    """The edge by likelihood, the width from it and the standard deviation."""
    size = math.sqrt(float((shares * values**2).sum())) or 1.0

    def loss(log_edge: float) -> float:
        shape = Window(math.exp(log_edge))
        scale = size / shape.std
        return math.log(scale) - float((shares * shape.log_density(values / scale)).sum())

    found = optimize.minimize_scalar(loss, bounds=(math.log(0.005), 0.0), method="bounded")
    shape = Window(math.exp(float(found.x)))
    return shape, size / shape.std
