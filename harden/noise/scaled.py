"""The base of laws whose deviation is a scale that depends on the state, times a standardised random number."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harden.noise.curves import Curve
from harden.noise.laws.base import Cells, Moment, NoiseLaw


class ScaledLaw(NoiseLaw):
    """Δg = s(g, t) · Z; a law says how Z is drawn and what its standard deviation is.

    The curve's argument is the conductance itself or its share of g_max; ``fitted_full`` is the g_max at which it was
    measured, and the curve's values then grow with the g_max in use (without it they are taken as they are, in µS or
    nA).
    """

    sigma: Curve = Field(description="s: a standard deviation, or the scale that the law's shape has")
    argument: Literal["share", "unit"] = Field("share", description="of the curve: the share of g_max, or µS or nA")
    fitted_full: float | None = Field(None, gt=0, description="g_max (or i_max) at which the curve was fitted")
    of: Literal["target", "now"] = Field("target", description="the state: what was aimed at, or what it is now")
    scale: float = Field(1.0, ge=0, description="times the curve")
    time: Literal["linear", "log"] = Field("linear", description="how numbers pass from one measured time to the next")

    def standard(self, now: Tensor, moment: Moment) -> Tensor:
        """Draw Z, one for each cell."""
        raise TypeError(f"{type(self).__module__} draws nothing")

    def unit_spread(self, at_s: float) -> float:
        """The standard deviation of Z."""
        return 1.0

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw s(g, t) · Z."""
        strength = self.scale * moment.severity
        if strength == 0:
            return None
        state = cells.target if self.of == "target" else now
        return self._curve(state, cells, moment.at_s).mul_(strength).mul_(self.standard(now, moment))

    def spread(self, cells: Cells, at_s: float) -> Tensor | None:
        """s(g, t) times the standard deviation of Z."""
        return self._curve(cells.target, cells, at_s).mul_(self.scale * self.unit_spread(at_s))

    def covers_s(self) -> tuple[float, float] | None:
        """The curve's first and last time."""
        return self.sigma.covers_s

    def _curve(self, state: Tensor, cells: Cells, at_s: float) -> Tensor:
        argument = state / cells.full if self.argument == "share" else state
        sigma = self.sigma(argument, at_s, log_time=self.time == "log").clamp_(min=0)
        return sigma if self.fitted_full is None else sigma.mul_(cells.full / self.fitted_full)
