"""Censored Gaussian noise: Δ = σ · R · clamp(ξ, low, high), ξ ~ N(0, 1).

Right-censored noise (only ``high``) has a negative mean, φ-ish: E = −φ(c) + c(1 − Φ(c)) with c = high; ``centred``
takes the mean away.

Source: Yan et al., ICCAD 2023, arXiv 2307.15853 (training with right-censored Gaussian noise for the k-th percentile).
"""

from __future__ import annotations

import math

from pydantic import Field, model_validator
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw, filled


def _density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _tail(x: float) -> float:
    return math.erfc(x / math.sqrt(2)) / 2


class Law(NoiseLaw):
    """Gaussian noise relative to the full scale, cut at thresholds in standard deviations."""

    sigma: float = Field(ge=0, description="standard deviation over the reference before censoring")
    high: float | None = Field(None, description="deviations above this many σ become it")
    low: float | None = Field(None, description="deviations below this many σ become it")
    centred: bool = Field(False, description="take away the mean that censoring leaves")

    @model_validator(mode="after")
    def _ends_in_order(self) -> Law:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be below high")
        return self

    @property
    def mean(self) -> float:
        """E[clamp(ξ, low, high)].

        Example:
            >>> round(Law(sigma=1.0, high=0.0).mean, 4)  # half a normal: −1/sqrt(2π)
            -0.3989
        """
        above = 0.0 if self.high is None else self.high * _tail(self.high) - _density(self.high)
        below = 0.0 if self.low is None else self.low * _tail(-self.low) + _density(self.low)
        return above + below

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw σ · R · clamp(ξ)."""
        strength = self.sigma * moment.severity
        if strength == 0:
            return None
        drawn = moment.normal(now)
        if self.low is not None or self.high is not None:
            drawn.clamp_(min=self.low, max=self.high)
        if self.centred:
            drawn.sub_(self.mean)
        return drawn.mul_(strength).mul_(cells.full)

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """σ · R · sqrt(E[clamp(ξ)²] − E[clamp(ξ)]²)."""
        low, high = self.low, self.high
        square = 1.0
        if high is not None:
            square += high**2 * _tail(high) - _tail(high) - high * _density(high)
        if low is not None:
            square += low**2 * _tail(-low) - _tail(-low) + low * _density(low)
        return self.sigma * math.sqrt(square - self.mean**2) * filled(cells.target, cells.full)
