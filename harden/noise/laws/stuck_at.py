"""Stuck-at faults: a share of the cells does not follow its target but stays at one end of its range, or
anywhere in it.

With probability ``rate`` a cell is stuck: anywhere in its range in ``random_share`` of the cases, of the rest at the
low end in ``low_share``. ``low_at`` and ``high_at`` say where the ends are, if not at g_min and g_max. Severity
multiplies the rate, and a cell that is stuck at a low rate is stuck at every higher one.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw, filled


class Law(NoiseLaw):
    """Stuck cells: at g_min or g_max, or at ∓R where a cell stores a signed weight."""

    rate: float = Field(ge=0, le=1, description="share of the cells that are stuck")
    low_share: float = Field(0.5, ge=0, le=1, description="share of the stuck cells that are stuck at the low end")
    random_share: float = Field(0.0, ge=0, le=1, description="share of the stuck cells that are stuck anywhere between")
    low_at: float | None = Field(None, description="the low end, in µS or nA; none is g_min")
    high_at: float | None = Field(None, description="the high end, in µS or nA; none is g_max")

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """The way to the end a cell is stuck at, for stuck cells, else 0."""
        rate = min(self.rate * moment.severity, 1.0)
        if rate == 0:
            return None
        # Two numbers per cell: whether, and at which end; so the end does not change with the rate.
        stuck = moment.uniform(now) < rate
        low = moment.uniform(now) < self.low_share
        high_end = filled(now, cells.full if self.high_at is None else self.high_at)
        low_end = filled(now, (-high_end if cells.signed else cells.low) if self.low_at is None else self.low_at)
        end = torch.where(low, low_end, high_end)
        if self.random_share:
            anywhere = moment.uniform(now) < self.random_share
            end = torch.where(anywhere, torch.lerp(low_end, high_end, moment.uniform(now)), end)
        return torch.where(stuck, end - now, 0.0)
