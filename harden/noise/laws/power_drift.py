"""Drift of phase-change memory: g(t) = g · (t / t₀)^(−ν), t = time since programming + t₀, with an exponent of its
own per device.

ν = |μ(ĝ) + σ(ĝ) ξ|, ξ ~ N(0, 1), ĝ the target's share of g_max. The same ξ serves at every time, so a chip can be
followed.

Source: Nandakumar et al., ICECS 2019; constants in IBM/aihwkit, ``inference/noise/pcm.py``.
"""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from harden.noise.curves import Curve
from harden.noise.laws.base import Cells, Moment, NoiseLaw


class Law(NoiseLaw):
    """Power-law drift; severity and ``scale`` multiply the exponent."""

    mean: Curve = Field(description="μ of the exponent over the target's share of g_max")
    sigma: Curve = Field(description="σ of the exponent over the target's share of g_max")
    start_s: float = Field(gt=0, description="t₀: when the first reading was taken")
    scale: float = Field(1.0, ge=0, description="times the exponent")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """g(t) − g."""
        strength = self.scale * moment.severity * math.log((moment.at_s + self.start_s) / self.start_s)
        if strength == 0:
            return None
        share = cells.target / cells.full
        exponent = self.sigma(share).mul_(moment.normal(now)).add_(self.mean(share)).abs_()
        return exponent.mul_(-strength).expm1_().mul_(now)
