"""Multiplicative lognormal noise: g' = g · exp(σ ξ), ξ ~ N(0, 1).

The median stays; with ``keep = "mean"`` the factor is exp(σ ξ − σ²/2) and the mean stays. The variance of the factor is
(exp(σ²) − 1) · exp(σ²), times exp(−σ²) where the mean is kept. A zero stays a zero.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw


class Law(NoiseLaw):
    """Lognormal spread of each cell's own value; severity multiplies σ."""

    sigma: float = Field(ge=0, description="standard deviation of the logarithm")
    keep: Literal["median", "mean"] = Field("median", description="what of the value stays")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw g · (exp(σ ξ) − 1)."""
        strength = self.sigma * moment.severity
        if strength == 0:
            return None
        exponent = moment.normal(now).mul_(strength)
        if self.keep == "mean":
            exponent.sub_(strength**2 / 2)
        return exponent.expm1_().mul_(now)

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """|g| · sqrt(variance of the factor)."""
        square = self.sigma**2
        variance = math.expm1(square) * (1.0 if self.keep == "mean" else math.exp(square))
        return math.sqrt(variance) * cells.target.abs()

    def grows_with_range(self) -> bool:
        """Each cell's noise follows its own value."""
        return False
