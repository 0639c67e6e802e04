"""Gaussian noise of one strength: Δ = σ · R · ξ with ξ ~ N(0, 1), one draw per cell.

R is the reference: the full scale of the cell's tensor, column or tile, or with ``relative_to = "weight"`` the cell's
own value, which is device mismatch (Büchel, Faber, Muir, ICLR 2022, equation 1).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw, filled


class Law(NoiseLaw):
    """Gaussian noise relative to the full scale, or to the value itself.

    Example:
        >>> import torch
        >>> from harden.streams import generator
        >>> cells = Cells(target=torch.tensor([0.5, -2.0]), full=2.0, signed=True)
        >>> Law(sigma=0.1).spread(cells, at_s=0.0)
        tensor([0.2000, 0.2000])
        >>> Law(sigma=0.1, relative_to="weight").spread(cells, at_s=0.0)
        tensor([0.0500, 0.2000])
    """

    sigma: float = Field(ge=0, description="standard deviation over the reference")
    relative_to: Literal["tensor", "weight"] = Field("tensor", description="the full scale, or the cell's own value")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw σ · R · ξ."""
        strength = self.sigma * moment.severity
        if strength == 0:
            return None
        drawn = moment.normal(now)
        reference = now.abs() if self.relative_to == "weight" else cells.full
        return drawn.mul_(strength).mul_(reference)

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """σ · R."""
        reference = cells.target.abs() if self.relative_to == "weight" else cells.full
        return self.sigma * filled(cells.target, reference)

    def grows_with_range(self) -> bool:
        """Only noise relative to the full scale grows with it."""
        return self.relative_to == "tensor"
