"""Every cell at the edge of its tolerance: Δ = ± b · R, the corners of the box that bounded noise lives in.

``direction`` says which corner: each sign by a coin (``random``), all outward (``grow``), all inward (``shrink``, at
most to zero), or all in one direction (``up``, ``down``). Random corners are the noise of largest variance that never
exceeds b · R.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw, filled


class Law(NoiseLaw):
    """Deviations of fixed size."""

    bound: float = Field(ge=0, description="b: the deviation over the reference")
    direction: Literal["random", "grow", "shrink", "up", "down"] = Field("random", description="the signs")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """± b · R; one uniform number per cell decides a random sign."""
        strength = self.bound * moment.severity
        if strength == 0:
            return None
        size = filled(now, cells.full) * strength
        if self.direction == "random":
            return size.copysign_(moment.uniform(now).sub_(0.5))
        if self.direction == "grow":
            return size.copysign_(now)
        if self.direction == "shrink":
            return torch.minimum(size, now.abs()).copysign_(now).neg_()
        return size if self.direction == "up" else size.neg_()

    def spread(self, cells: Cells, at_s: float) -> Tensor | None:
        """b · R for random signs; the other corners do not spread."""
        return filled(cells.target, cells.full) * (self.bound if self.direction == "random" else 0.0)
