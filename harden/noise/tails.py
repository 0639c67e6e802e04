"""Random numbers with heavy tails, for laws: Student's t, and mixtures of normals about one centre."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from harden.noise.curves import at_time
from harden.noise.laws.base import Moment

_SUM_IS_ONE = 1e-6


class Parts(BaseModel):
    """The parts of a mixture, at one time or at all: normals ``offsets`` + ``factors`` · ξ, with ``weights``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weights: tuple[float, ...] = Field(min_length=1)
    factors: tuple[float, ...] = Field(min_length=1)
    offsets: tuple[float, ...] = ()
    at_s: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Parts:
        if not len(self.weights) == len(self.factors) == len(self.offsets or self.factors):
            raise ValueError("needs as many weights as factors, and as many offsets, if any")
        if min(self.weights) < 0 or min(self.factors) < 0 or abs(sum(self.weights) - 1) > _SUM_IS_ONE:
            raise ValueError("weights and factors must not be negative, and the weights must sum to 1")
        return self

    @property
    def spread(self) -> float:
        """sqrt(Σ w (f² + o²) − (Σ w o)²)."""
        offsets = self.offsets or (0.0,) * len(self.weights)
        parts = list(zip(self.weights, self.factors, offsets, strict=True))
        return math.sqrt(sum(w * (f**2 + o**2) for w, f, o in parts) - sum(w * o for w, _, o in parts) ** 2)

    def draw(self, like: Tensor, moment: Moment) -> Tensor:
        """o + f · ξ, part i with probability w_i; a uniform and a normal number for each cell."""
        chosen = moment.uniform(like)
        drawn = moment.normal(like)
        factor = torch.full_like(drawn, self.factors[0])
        offset = torch.full_like(drawn, self.offsets[0]) if any(self.offsets) else None
        edge = 0.0
        for index in range(1, len(self.weights)):
            edge += self.weights[index - 1]
            later = chosen >= edge
            factor.add_(later, alpha=self.factors[index] - self.factors[index - 1])
            if offset is not None:
                offset.add_(later, alpha=self.offsets[index] - self.offsets[index - 1])
        return drawn.mul_(factor) if offset is None else drawn.mul_(factor).add_(offset)


def parts_at(parts: Sequence[Parts], at_s: float, *, log_time: bool) -> Parts:
    """The parts at a time, their numbers interpolated between measured times."""
    if len(parts) == 1:
        return parts[0]
    times = {p.at_s or 0.0: (*p.weights, *p.factors, *(p.offsets or (0.0,) * len(p.weights))) for p in parts}
    numbers = at_time(times, at_s, log_time=log_time)
    size = len(numbers) // 3
    return Parts(weights=numbers[:size], factors=numbers[size : 2 * size], offsets=numbers[2 * size :], at_s=at_s)


def student_t(df: float, like: Tensor, moment: Moment) -> Tensor:
    """Student's t from two uniform numbers for each cell: sqrt(ν (U^(−2/ν) − 1)) cos(2πV).

    Source: Bailey, Mathematics of Computation 62 (1994).
    """
    radius = moment.uniform(like).neg_().add_(1).log_().mul_(-2 / df).expm1_().mul_(df).sqrt_()
    return moment.uniform(like).mul_(2 * math.pi).cos_().mul_(radius)
