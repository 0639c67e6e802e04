"""A shift of the mean that depends on the state, and on the time: Δg = m(g, t). Nothing is drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harden.noise.curves import Curve
from harden.noise.laws.base import Cells, Moment, NoiseLaw, filled


class Law(NoiseLaw):
    """A state-dependent shift of the mean.

    Example:
        >>> import torch
        >>> law = Law.model_validate({"mean": [{"at_s": 0, "poly": [0]}, {"at_s": 10, "poly": [2]}]})
        >>> from harden.streams import generator
        >>> cells = Cells(torch.ones(1), full=25.0)
        >>> law.deviation(cells.target, cells, Moment(5.0, 1.0, generator(0)))
        tensor([1.])
    """

    mean: Curve
    argument: Literal["share", "unit"] = Field("unit", description="of the curve: the share of g_max, or µS or nA")
    fitted_full: float | None = Field(None, gt=0, description="g_max (or i_max) at which the curve was fitted")
    of: Literal["target", "now"] = Field("now", description="the state: what was aimed at, or what it is now")
    time: Literal["linear", "log"] = Field("linear", description="how numbers pass from one measured time to the next")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor:
        """m(g, t)."""
        state = cells.target if self.of == "target" else now
        state = state / cells.full if self.argument == "share" else state
        shift = self.mean(state, moment.at_s, log_time=self.time == "log").mul_(moment.severity)
        return shift if self.fitted_full is None else shift.mul_(cells.full / self.fitted_full)

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """A shift does not spread: 0."""
        return filled(cells.target, 0.0)

    def covers_s(self) -> tuple[float, float] | None:
        """The curve's first and last time."""
        return self.mean.covers_s
