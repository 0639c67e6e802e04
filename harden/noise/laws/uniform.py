"""Uniform noise: Δ = a · R · u with u uniform in [−1, 1); its standard deviation is a·R/√3.

R is the full scale of the tensor, column or tile, or with ``relative_to = "weight"`` the cell's own value.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw, filled


class Law(NoiseLaw):
    """Uniform noise relative to the full scale, or to the value itself."""

    bound: float = Field(ge=0, description="a: the largest deviation over the reference")
    relative_to: Literal["tensor", "weight"] = Field("tensor", description="the full scale, or the cell's own value")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw a · R · u."""
        strength = self.bound * moment.severity
        if strength == 0:
            return None
        reference = now.abs() if self.relative_to == "weight" else cells.full
        return moment.uniform(now).mul_(2).sub_(1).mul_(strength).mul_(reference)

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """a · R / √3."""
        reference = cells.target.abs() if self.relative_to == "weight" else cells.full
        return self.bound / math.sqrt(3) * filled(cells.target, reference)

    def grows_with_range(self) -> bool:
        """Only noise relative to the full scale grows with it."""
        return self.relative_to == "tensor"
