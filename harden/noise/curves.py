"""Curves in a profile: how a parameter depends on the conductance, piecewise, and on the time since programming.

A curve is a list of pieces. ``until`` ends a piece (exclusive) and the last piece has none; ``at_s`` says for which
time a piece was measured. Between two times the numbers of the pieces are interpolated linearly in time, or, where a
law says ``time = "log"``, in its logarithm (after a time of 0, linearly).

============ ===================================== ============================================
key          value                                 meaning, x being the argument
============ ===================================== ============================================
poly         [c0, c1, ...]                         c0 + c1 x + c2 x² + ...
log          [a, b]                                a ln x + b, x at least 1e-7
power        [a, p]                                a x^p, x at least 1e-7
saturating   [A, B]                                A (1 − exp(−x/B))
table        [[x0, y0], [x1, y1], ...]             linear in between, constant outside
============ ===================================== ============================================

``clip = [low, high]`` bounds the value of a piece.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator
from torch import Tensor

_SMALLEST = 1e-7
_EVEN = 1e-6  # of a step: how unevenly the points of a table may lie to count as even
_SINGLE_ORDER = 4  # higher orders cancel badly in single precision
_KINDS = ("poly", "log", "power", "saturating", "table")


class Piece(BaseModel):
    """One piece of a curve: exactly one of the kinds above."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    until: float | None = None
    at_s: float | None = Field(default=None, ge=0)
    clip: tuple[float, float] | None = None
    poly: tuple[float, ...] | None = Field(default=None, min_length=1)
    log: tuple[float, float] | None = None
    power: tuple[float, float] | None = None
    saturating: tuple[float, float] | None = None
    table: tuple[tuple[float, float], ...] | None = Field(default=None, min_length=2)

    @model_validator(mode="after")
    def _one_kind(self) -> Piece:
        kinds = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"give exactly one of {', '.join(_KINDS)}")
        if self.saturating is not None and self.saturating[1] <= 0:
            raise ValueError("saturating = [A, B] needs B > 0")
        if self.table is not None and any(a[0] >= b[0] for a, b in zip(self.table, self.table[1:], strict=False)):
            raise ValueError("the x of a table must ascend")
        if self.clip is not None and self.clip[0] > self.clip[1]:
            raise ValueError("clip = [low, high] needs low <= high")
        return self

    @property
    def kind(self) -> str:
        """Which of the kinds this piece is."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    def __call__(self, x: Tensor) -> Tensor:
        """The value at ``x``, a new tensor."""
        value = _FORMULAS[self.kind](x, getattr(self, self.kind))
        return value if self.clip is None else value.clamp_(self.clip[0], self.clip[1])


def _poly(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    order = len(coefficients) - 1
    wide = x.double() if order > _SINGLE_ORDER else x
    value = torch.full_like(wide, coefficients[order])
    for coefficient in reversed(coefficients[:order]):
        value.mul_(wide).add_(coefficient)
    return value.to(x.dtype)


def _log(x: Tensor, numbers: tuple[float, float]) -> Tensor:
    return x.clamp(min=_SMALLEST).log_().mul_(numbers[0]).add_(numbers[1])


def _power(x: Tensor, numbers: tuple[float, float]) -> Tensor:
    return x.clamp(min=_SMALLEST).log_().mul_(numbers[1]).exp_().mul_(numbers[0])


def _saturating(x: Tensor, numbers: tuple[float, float]) -> Tensor:
    return (x / -numbers[1]).expm1_().mul_(-numbers[0])


def _table(x: Tensor, points: tuple[tuple[float, float], ...]) -> Tensor:
    at = torch.tensor([point[0] for point in points], dtype=x.dtype, device=x.device)
    height = torch.tensor([point[1] for point in points], dtype=x.dtype, device=x.device)
    step = (points[-1][0] - points[0][0]) / (len(points) - 1)
    if all(abs(p[0] - points[0][0] - i * step) < _EVEN * step for i, p in enumerate(points)):  # seven times as fast
        place = ((x - points[0][0]) / step).clamp_(0, len(points) - 1).reshape(-1)
        left = place.to(torch.int32).clamp_(max=len(points) - 2)
        share = place.sub_(left)
        return torch.lerp(height.index_select(0, left), height.index_select(0, left + 1), share).reshape(x.shape)
    right = torch.searchsorted(at, x.contiguous()).clamp_(1, len(points) - 1)
    left = right - 1
    share = ((x - at[left]) / (at[right] - at[left])).clamp_(0, 1)
    return torch.lerp(height[left], height[right], share)


_FORMULAS: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "poly": _poly,
    "log": _log,
    "power": _power,
    "saturating": _saturating,
    "table": _table,
}


class Curve(RootModel[tuple[Piece, ...]]):
    """Pieces along the argument, for one time or several.

    Example:
        >>> curve = Curve.model_validate([{"until": 0.5, "poly": [1, 2]}, {"poly": [0]}])
        >>> curve(torch.tensor([0.25, 0.5]))
        tensor([1.5000, 0.0000])
        >>> timed = Curve.model_validate([{"at_s": 0, "poly": [1]}, {"at_s": 10, "poly": [3]}])
        >>> timed(torch.zeros(1), at_s=5.0)
        tensor([2.])
    """

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _pieces_join(self) -> Curve:
        if not self.root:
            raise ValueError("a curve needs at least one piece")
        if len({piece.at_s is None for piece in self.root}) > 1:
            raise ValueError("either every piece has at_s, or none")
        shapes: set[tuple[tuple[str, float | None, tuple[float, ...] | int], ...]] = set()
        for pieces in self._by_time.values():
            ends = [piece.until for piece in pieces[:-1] if piece.until is not None]
            if pieces[-1].until is not None or len(ends) < len(pieces) - 1 or ends != sorted(ends):
                raise ValueError("the pieces' until must ascend, and the last piece has none")
            shapes.add(tuple((piece.kind, piece.until, _size(piece)) for piece in pieces))
        if len(shapes) > 1:
            raise ValueError("the pieces of every time must be of the same kinds and sizes")
        return self

    @property
    def timed(self) -> bool:
        """Whether the curve differs from time to time."""
        return self.root[0].at_s is not None

    @property
    def covers_s(self) -> tuple[float, float] | None:
        """The first and the last time, or None where the curve is the same at all times."""
        times = self._by_time
        return (min(times), max(times)) if self.timed else None

    @property
    def _by_time(self) -> dict[float, list[Piece]]:
        times: dict[float, list[Piece]] = {}
        for piece in self.root:
            times.setdefault(piece.at_s or 0.0, []).append(piece)
        return dict(sorted(times.items()))

    def at(self, at_s: float, *, log_time: bool = False) -> list[Piece]:
        """The pieces at a time: interpolated between two measured times; outside them, those of the nearest."""
        times = self._by_time
        if not self.timed:
            return times[0.0]
        before, after, share = _beside(list(times), at_s, log_time)
        if before == after:
            return times[before]
        return [_between(earlier, later, share) for earlier, later in zip(times[before], times[after], strict=True)]

    def __call__(self, x: Tensor, at_s: float = 0.0, *, log_time: bool = False) -> Tensor:
        """The curve's value at ``x``, a new tensor; ``log_time`` interpolates along the logarithm of the time."""
        pieces = self.at(at_s, log_time=log_time)
        value = pieces[-1](x)
        for piece in reversed(pieces[:-1]):
            assert piece.until is not None  # only the last piece has none
            value = torch.where(x < piece.until, piece(x), value)
        return value


def at_time(numbers: Mapping[float, tuple[float, ...]], at_s: float, *, log_time: bool = False) -> tuple[float, ...]:
    """Numbers that were measured at some times, at any time: as `Curve` interpolates.

    Example:
        >>> at_time({1.0: (0.0,), 100.0: (2.0,)}, 10.0, log_time=True)
        (1.0,)
    """
    before, after, share = _beside(sorted(numbers), at_s, log_time)
    return tuple(a + share * (b - a) for a, b in zip(numbers[before], numbers[after], strict=True))


def _beside(times: Sequence[float], at_s: float, log_time: bool) -> tuple[float, float, float]:
    """The measured times before and after a time, and how far along the way it lies (from 0 to 1)."""
    before = max((time for time in times if time <= at_s), default=min(times))
    after = min((time for time in times if time >= at_s), default=max(times))
    if before == after:
        return before, after, 0.0
    if log_time and before > 0:
        return before, after, math.log(at_s / before) / math.log(after / before)
    return before, after, (at_s - before) / (after - before)


def _size(piece: Piece) -> tuple[float, ...] | int:
    numbers: Any = getattr(piece, piece.kind)
    return tuple(x for x, _ in numbers) if piece.kind == "table" else len(numbers)


def _between(earlier: Piece, later: Piece, share: float) -> Piece:
    def mix(a: Any, b: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(mix(x, y) for x, y in zip(cast("tuple[Any, ...]", a), b, strict=True))
        return a + share * (b - a)

    return earlier.model_copy(update={earlier.kind: mix(getattr(earlier, earlier.kind), getattr(later, later.kind))})
