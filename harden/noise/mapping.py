"""Weight to conductance and back.

======== ============================================================================================================
direct   a cell holds the weight itself; laws see weights, relative to the reference max|w|
pair     G⁺ = g_min + clip(w·k, 0), G⁻ = g_min + clip(−w·k, 0), k = (g_max − g_min)/max|w|; both devices are noisy
single   G = g_min + (w − lo)·(g_max − g_min)/(hi − lo), [lo, hi] the range of the tensor
======== ============================================================================================================

The way back is linear, so a chip is the weight plus the summed deviations of its devices: w + Σ f·(ΔG⁺ − ΔG⁻)/(k·Σf)
for pairs with significances f. Without a deviation the weight comes back bit for bit.

Source: the converters of IBM/aihwkit, ``inference/converter/conductance.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Device:
    """One device of each weight of a block.

    Attributes:
        target: What is to be stored.
        full: The largest value, a number or a tensor.
        weight_per_unit: What a unit of deviation adds to the weight, a number or a tensor.
    """

    target: Tensor
    full: Tensor | float
    weight_per_unit: Tensor | float


class Mapping(BaseModel):
    """How a weight is stored: the ``[mapping]`` table of a profile. Conductances in µS, or currents in nA."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["direct", "pair", "single"] = "direct"
    reference: Literal["tensor", "column", "tile", "cell"] = "tensor"
    g_min_us: float | None = Field(None, ge=0)
    g_max_us: float | None = Field(None, gt=0)
    i_min_na: float | None = Field(None, ge=0)
    i_max_na: float | None = Field(None, gt=0)
    significance: tuple[float, ...] = (1.0,)

    @model_validator(mode="after")
    def _range_fits_kind(self) -> Mapping:
        ends = [self.g_min_us, self.g_max_us, self.i_min_na, self.i_max_na]
        if self.kind == "direct":
            if any(end is not None for end in ends):
                raise ValueError("a direct mapping has no conductance range")
        elif (self.g_max_us is None) == (self.i_max_na is None):
            raise ValueError(f"kind = '{self.kind}' needs g_max_us (or i_max_na, not both)")
        elif self.low >= self.high:
            raise ValueError("the smallest conductance must be below the largest")
        if not self.significance or any(factor <= 0 for factor in self.significance):
            raise ValueError("significance needs positive factors")
        if self.kind != "pair" and len(self.significance) > 1:
            raise ValueError("significance is for kind = 'pair'")
        return self

    @property
    def low(self) -> float:
        """g_min, in the unit."""
        return (self.g_min_us if self.g_max_us is not None else self.i_min_na) or 0.0

    @property
    def high(self) -> float:
        """g_max, in the unit."""
        return self.g_max_us or self.i_max_na or 1.0

    @property
    def unit(self) -> str:
        """The unit of the laws."""
        return "weight" if self.kind == "direct" else "µS" if self.g_max_us is not None else "nA"

    def devices(self, weight: Tensor, scale: Tensor, ends: tuple[Tensor, Tensor] | None = None) -> list[Device]:
        """The devices of a block of weights.

        Args:
            weight: Any shape.
            scale: The reference max|w|; broadcasts to ``weight``.
            ends: The smallest and the largest weight of the tensor, for ``single``.
        """
        if self.kind == "direct":
            return [Device(weight, scale, 1.0)]
        span = self.high - self.low
        if self.kind == "single":
            lowest, highest = ends if ends is not None else torch.aminmax(weight)
            width = highest - lowest
            target = (weight - lowest).mul_(span / width.clamp(min=_TINY)).add_(self.low).clamp_(self.low, self.high)
            return [Device(target, self.high, width / span)]
        units = weight * (span / scale.clamp(min=_TINY))
        back = scale / span
        total = sum(self.significance)
        devices = []
        for factor in self.significance:
            share = back * (factor / total)
            devices.append(Device(units.clamp(0, span).add_(self.low), self.high, share))
            devices.append(Device(units.neg().clamp_(0, span).add_(self.low), self.high, -share))
        return devices
