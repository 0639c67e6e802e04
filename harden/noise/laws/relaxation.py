"""Relaxation after programming, independent of the state: Δg = a ln t + (b ln t + c) · ξ, ξ ~ N(0, 1), t in seconds.

At t = 0 nothing has relaxed yet; between 0 and 1 s the fit says nothing, so the profile's valid times leave it out.

Source: Falcone et al.: CMO/HfOx RRAM; constants in IBM/aihwkit, ``inference/noise/reram.py``.
"""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw


class Law(NoiseLaw):
    """Logarithmic relaxation.

    Example:
        >>> import torch
        >>> law = Law(mean_per_e=-0.089, sigma_per_e=0.042, sigma=0.4118)
        >>> law.spread(Cells(torch.ones(1), full=88.2), at_s=math.e)
        tensor([0.4538])
    """

    mean_per_e: float = Field(description="a: shift of the mean for each factor e of time")
    sigma_per_e: float = Field(ge=0, description="b: growth of the standard deviation for each factor e of time")
    sigma: float = Field(ge=0, description="c: standard deviation after one second")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw a ln t + (b ln t + c) · ξ."""
        if moment.at_s == 0 or moment.severity == 0:
            return None
        elapsed = math.log(moment.at_s)
        spread = (self.sigma_per_e * elapsed + self.sigma) * moment.severity
        return moment.normal(now).mul_(spread).add_(self.mean_per_e * elapsed * moment.severity)

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """b ln t + c."""
        elapsed = math.log(at_s) if at_s else 0.0
        size = self.sigma_per_e * elapsed + self.sigma if at_s else 0.0
        return cells.target.new_full(cells.target.shape, size)
