"""Deviations of measured cells, drawn at random with replacement (bootstrap), from the measured level nearest by.

A device takes over one measured cell of its level, at every time the same one, so that a chip can be followed; between
two measured times its deviation is interpolated along the logarithm of time.

Source: Efron, Annals of Statistics 7 (1979), for the bootstrap.
"""

from __future__ import annotations

from functools import cached_property

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from harden.noise.curves import at_time
from harden.noise.laws.base import Cells, Moment, NoiseLaw


class Level(BaseModel):
    """The cells of one level: for each a deviation at each time."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    share: float = Field(description="the target's share of g_max")
    deviations: tuple[tuple[float, ...], ...] = Field(min_length=1)


class Law(NoiseLaw):
    """Measured deviations, in µS.

    Example:
        >>> law = Law.model_validate({"levels": [{"share": 0.5, "deviations": [[-1.0], [1.0]]}]})
        >>> law.spread(Cells(torch.ones(1), full=2.0), at_s=0.0)
        tensor([1.])
    """

    levels: tuple[Level, ...] = Field(min_length=1, description="measured cells, by the target's share of g_max")
    times_s: tuple[float, ...] = Field((), description="when they were read; none where there is one reading")
    fitted_full: float | None = Field(None, gt=0, description="g_max (or i_max) at which they were measured")

    @model_validator(mode="after")
    def _hangs_together(self) -> Law:
        shares = [level.share for level in self.levels]
        if shares != sorted(set(shares)):
            raise ValueError("the levels' share must ascend")
        if list(self.times_s) != sorted(set(self.times_s)):
            raise ValueError("times_s must ascend")
        if {len(row) for level in self.levels for row in level.deviations} != {max(len(self.times_s), 1)}:
            raise ValueError("each cell needs a deviation for each time")
        return self

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """The deviation of a measured cell for each device."""
        if moment.severity == 0:
            return None
        level = self._nearest(cells)
        count = self._counts.to(now.device)[level]
        row = (moment.uniform(now).reshape(-1) * count).to(torch.int64).clamp_(max=count - 1)
        row += self._starts.to(now.device)[level]
        drawn = self._at(moment.at_s).to(now)[row].reshape(now.shape).mul_(moment.severity)
        return drawn if self.fitted_full is None else drawn.mul_(cells.full / self.fitted_full)

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """The standard deviation of the cells of the nearest level."""
        values, start, parts = self._at(at_s), 0, list[Tensor]()
        for level in self.levels:
            parts.append(values[start : start + len(level.deviations)])
            start += len(level.deviations)
        sigma = torch.stack([torch.std(part, correction=0) for part in parts]).to(cells.target)
        spread = sigma[self._nearest(cells)].reshape(cells.target.shape)
        return spread if self.fitted_full is None else spread * (cells.full / self.fitted_full)

    def covers_s(self) -> tuple[float, float] | None:
        """The first and the last time."""
        return (self.times_s[0], self.times_s[-1]) if self.times_s else None

    @cached_property
    def _counts(self) -> Tensor:
        return torch.tensor([len(level.deviations) for level in self.levels])

    @cached_property
    def _starts(self) -> Tensor:
        return self._counts.cumsum(0) - self._counts

    @cached_property
    def _edges(self) -> Tensor:
        shares = torch.tensor([level.share for level in self.levels], dtype=torch.float64)
        return (shares[1:] + shares[:-1]) / 2

    @cached_property
    def _columns(self) -> Tensor:
        rows = [row for level in self.levels for row in level.deviations]
        return torch.tensor(rows, dtype=torch.float64).t().contiguous()

    def _nearest(self, cells: Cells) -> Tensor:
        share = (cells.target / cells.full).reshape(-1)
        return torch.bucketize(share, self._edges.to(share))

    def _at(self, at_s: float) -> Tensor:
        """The deviations of all cells at a time."""
        if len(self.times_s) < 2:
            return self._columns[0]
        weights = {time: tuple(float(time == other) for other in self.times_s) for time in self.times_s}
        share = torch.tensor(at_time(weights, at_s, log_time=True), dtype=torch.float64)
        return share @ self._columns
