"""Relaxation after programming: Δg = a L + (b L + c) · Z, L = ln(t / t₁), t in seconds since programming.

a, b and c are numbers, or curves over the target's share of g_max: levels relax by different amounts. Z is standard
normal, or of Student's t (``df``), or of a mixture of normals (``parts``). Before t₁ nothing has relaxed yet.

Source: Falcone et al.: CMO/HfOx RRAM, with numbers and t₁ = 1 s; constants in IBM/aihwkit,
``inference/noise/reram.py``.
"""

from __future__ import annotations

import math

from pydantic import Field, model_validator
from torch import Tensor

from harden.noise.curves import Curve
from harden.noise.laws.base import Cells, Moment, NoiseLaw
from harden.noise.tails import Parts, student_t


class Law(NoiseLaw):
    """Logarithmic relaxation.

    Example:
        >>> import torch
        >>> law = Law(mean_per_e=-0.089, sigma_per_e=0.042, sigma=0.4118)
        >>> law.spread(Cells(torch.ones(1), full=88.2), at_s=math.e)
        tensor([0.4538])
    """

    mean_per_e: float | Curve = Field(description="a: shift of the mean for each factor e of time")
    sigma_per_e: float | Curve = Field(description="b: growth of the scale for each factor e of time")
    sigma: float | Curve = Field(description="c: the scale at t₁")
    start_s: float = Field(1.0, gt=0, description="t₁")
    read_at_start: bool = Field(False, description="whether the programming error is that of t₁, c coming after it")
    fitted_full: float | None = Field(None, gt=0, description="g_max at which the curves were fitted")
    df: float | None = Field(None, gt=0, description="degrees of freedom, for the tails of Student's t")
    parts: Parts | None = Field(None, description="weights and factors, for the tails of a mixture")

    @model_validator(mode="after")
    def _one_shape(self) -> Law:
        if self.df is not None and self.parts is not None:
            raise ValueError("give df or parts, not both")
        if any(isinstance(number, float) and number < 0 for number in (self.sigma, self.sigma_per_e)):
            raise ValueError("sigma and sigma_per_e must not be negative")
        return self

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw a L + (b L + c) · Z."""
        elapsed = self._elapsed(moment.at_s)
        if elapsed is None or moment.severity == 0:
            return None
        if self.df is not None:
            drawn = student_t(self.df, now, moment)
        else:
            drawn = moment.normal(now) if self.parts is None else self.parts.draw(now, moment)
        mean = self._value(self.mean_per_e, cells) * (elapsed * moment.severity)
        return drawn.mul_(self._scale(cells, elapsed) * moment.severity).add_(mean)

    def spread(self, cells: Cells, at_s: float) -> Tensor | None:
        """b L + c, times the standard deviation of Z; None for ν of 2 or less."""
        elapsed = self._elapsed(at_s)
        if elapsed is None:
            return cells.target.new_zeros(cells.target.shape)
        if self.df is not None and self.df <= 2:
            return None
        unit = 1.0 if self.df is None else math.sqrt(self.df / (self.df - 2))
        unit = unit if self.parts is None else self.parts.spread
        size = self._scale(cells, elapsed) * unit
        return size if isinstance(size, Tensor) else cells.target.new_full(cells.target.shape, size)

    def _elapsed(self, at_s: float) -> float | None:
        """L; None where nothing has relaxed yet."""
        if at_s < self.start_s or (self.read_at_start and at_s == self.start_s):
            return None
        return math.log(at_s / self.start_s)

    def _scale(self, cells: Cells, elapsed: float) -> Tensor | float:
        size = self._value(self.sigma_per_e, cells) * elapsed + self._value(self.sigma, cells)
        return size.clamp(min=0) if isinstance(size, Tensor) else size

    def _value(self, number: float | Curve, cells: Cells) -> Tensor | float:
        if not isinstance(number, Curve):
            return number
        value = number(cells.target / cells.full)
        return value if self.fitted_full is None else value.mul_(cells.full / self.fitted_full)
