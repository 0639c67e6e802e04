"""Read noise accumulated from the 1/f spectrum: Δg = Q(ĝ) · |g| · sqrt(ln((t + t_r) / (2 t_r))) · ξ, ξ ~ N(0, 1).

t = time since programming + t₀, t_r the time a reading takes, ĝ the programmed conductance's share of g_max. With
``relative = false`` Q is in µS and the factor |g| is absent. The noise is drawn once for the time of inference, not
at every multiplication.

Source: Nandakumar et al., ICECS 2019, as in IBM/aihwkit, ``inference/noise/pcm.py``. Joshi et al. (2020) and papers
after it write the logarithm as ln((t + t_r) / t_r). The factor 2 is kept here; without it σ of PCM is 2%
larger at once.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from harden.noise.curves import Curve
from harden.noise.laws.base import Cells, Moment, NoiseLaw


class Law(NoiseLaw):
    """1/f read noise; nothing before the time of one reading has passed."""

    amplitude: Curve = Field(description="Q")
    argument: Literal["share", "unit"] = Field("share", description="of Q: the share of g_max, or µS or nA")
    of: Literal["programmed", "now"] = Field("programmed", description="the state: after programming, or now")
    relative: bool = Field(True, description="whether Q is relative to the conductance now")
    read_s: float = Field(gt=0, description="t_r: how long a reading takes")
    start_s: float = Field(0.0, ge=0, description="t₀: when the first reading was taken")
    scale: float = Field(1.0, ge=0, description="times σ")
    within_range: bool = Field(False, description="whether the result is kept within g_min and g_max")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw Q(ĝ) · |g| · sqrt(ln(...)) · ξ."""
        time = moment.at_s + self.start_s
        spectrum = math.log((time + self.read_s) / (2 * self.read_s))
        strength = self.scale * moment.severity
        if strength == 0 or spectrum <= 0:
            return None
        state = now if self.of == "now" or cells.programmed is None else cells.programmed
        noise = self.amplitude(state / cells.full if self.argument == "share" else state)
        noise.mul_(strength * math.sqrt(spectrum)).mul_(moment.normal(now))
        if self.relative:
            noise.mul_(now)
        return noise.add_(now).clamp_(min=cells.low).clamp_(max=cells.full).sub_(now) if self.within_range else noise
