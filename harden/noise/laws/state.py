"""Gaussian error whose standard deviation depends on the device's state: Δg = σ(g) · ξ, ξ ~ N(0, 1).

σ is a curve, never negative. Its argument is the conductance itself or its share of g_max; ``fitted_full`` is the
g_max at which it was measured, and the curve's values then grow with the g_max in use (without it they are taken as
they are, in µS or nA).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harden.noise.curves import Curve
from harden.noise.laws.base import Cells, Moment, NoiseLaw


class Law(NoiseLaw):
    """State-dependent Gaussian noise: programming errors of PCM, RRAM and SONOS.

    Example:
        >>> import torch
        >>> law = Law.model_validate({"sigma": [{"poly": [0.26348, 1.9650, -1.1731]}], "fitted_full": 25.0})
        >>> law.spread(Cells(torch.tensor([0.0, 25.0]), full=25.0), at_s=0.0)
        tensor([0.2635, 1.0554])
    """

    sigma: Curve
    argument: Literal["share", "unit"] = Field("share", description="of the curve: the share of g_max, or µS or nA")
    fitted_full: float | None = Field(None, gt=0, description="g_max (or i_max) at which the curve was fitted")
    of: Literal["target", "now"] = Field("target", description="the state: what was aimed at, or what it is now")
    scale: float = Field(1.0, ge=0, description="times the curve")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw σ(g) · ξ."""
        strength = self.scale * moment.severity
        if strength == 0:
            return None
        state = cells.target if self.of == "target" else now
        return self._curve(state, cells, moment.at_s).mul_(strength).mul_(moment.normal(now))

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """σ(g)."""
        return self._curve(cells.target, cells, at_s).mul_(self.scale)

    def covers_s(self) -> tuple[float, float] | None:
        """The curve's first and last time."""
        return self.sigma.covers_s

    def _curve(self, state: Tensor, cells: Cells, at_s: float) -> Tensor:
        sigma = self.sigma(state / cells.full if self.argument == "share" else state, at_s).clamp_(min=0)
        return sigma if self.fitted_full is None else sigma.mul_(cells.full / self.fitted_full)
