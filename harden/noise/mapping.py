"""Weight to conductance and back.

======== =============================================================================================================
direct   a cell holds the weight itself; laws see weights, relative to the reference max|w|
pair     G⁺ = g_min + clip(w·k, 0), G⁻ = g_min + clip(−w·k, 0), k = (g_max − g_min)/max|w|; both devices are noisy
single   G = g_min + (w − lo)·(g_max − g_min)/(hi − lo), [lo, hi] the range of the tensor, column or tile
======== =============================================================================================================

The way back is linear, so a chip is the weight plus the summed deviations of its devices. A pair may be several, with
significances f: all hold the same share of their range, and count f/Σf. With ``slice_bits = K`` and quantised weights
the devices hold the digits of the weight in base 2^K instead, significances 2^(iK). Without a deviation the weight
comes back bit for bit.

Source: the converters of IBM/aihwkit, ``inference/converter/conductance.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    g_min_us: float | None = Field(default=None, ge=0)
    g_max_us: float | None = Field(default=None, gt=0)
    i_min_na: float | None = Field(default=None, ge=0)
    i_max_na: float | None = Field(default=None, gt=0)
    significance: tuple[float, ...] = (1.0,)
    clip: float = Field(default=1.0, gt=0, le=1, description="weights beyond this share of the reference saturate")
    weight_bits: int = Field(
        default=0, ge=0, le=24, description="bits to which a weight is rounded, with its sign; 0: none"
    )
    device_bits: int = Field(default=0, ge=0, le=24, description="bits to which a device is rounded; 0: none")
    slice_bits: int = Field(default=0, ge=0, le=24, description="bits of the weight that one device holds; 0: all")

    @model_validator(mode="after")
    def _range_fits_kind(self) -> Mapping:
        ends = [self.g_min_us, self.g_max_us, self.i_min_na, self.i_max_na]
        if self.kind == "direct":
            if any(end is not None for end in ends):
                raise ValueError("a direct mapping has no conductance range")
            if self.device_bits:
                raise ValueError("a direct mapping has no devices to round: give weight_bits")
        elif (self.g_max_us is None) == (self.i_max_na is None):
            raise ValueError(f"kind = '{self.kind}' needs g_max_us (or i_max_na, not both)")
        elif self.low >= self.high:
            raise ValueError("the smallest conductance must be below the largest")
        if not self.significance or any(factor <= 0 for factor in self.significance):
            raise ValueError("significance needs positive factors")
        if self.kind != "pair" and (len(self.significance) > 1 or self.slice_bits):
            raise ValueError("significance and slice_bits are for kind = 'pair'")
        if self.weight_bits == 1:
            raise ValueError("weight_bits must be 0 (none) or at least 2, a sign and a digit")
        if self.slice_bits and (not self.weight_bits or len(self.significance) > 1):
            raise ValueError("slice_bits needs weight_bits, and no significance")
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

    def stored(self, weight: Tensor, scale: Tensor) -> Tensor:
        """The weights as they are to be stored: saturated, and rounded where that is asked for.

        Returns:
            ``weight`` itself where there is nothing to do.
        """
        if self.clip < 1:
            weight = torch.maximum(torch.minimum(weight, scale), -scale)
        if self.weight_bits:
            step = scale.clamp(min=_TINY) / (2 ** (self.weight_bits - 1) - 1)
            weight = (weight / step).round_().mul_(step)
        return weight

    def devices(self, weight: Tensor, scale: Tensor, ends: tuple[Tensor, Tensor] | None = None) -> Iterator[Device]:
        """The devices of a block of weights, one after another.

        Args:
            weight: What is to be stored, any shape.
            scale: The reference max|w|; broadcasts to ``weight``.
            ends: The smallest and the largest weight around each weight, for ``single``.
        """
        if self.kind == "direct":
            yield Device(weight, scale, 1.0)
            return
        span = self.high - self.low
        if self.kind == "single":
            lowest, highest = ends if ends is not None else torch.aminmax(weight)
            width = highest - lowest
            share = (weight - lowest).div_(width.clamp(min=_TINY))
            yield Device(self._conductance(share.clamp_(0, 1)), self.high, width / span)
            return
        relative = weight / scale.clamp(min=_TINY)
        if self.slice_bits:
            yield from self._slices(relative, scale)
            return
        total = sum(self.significance)
        for factor in self.significance:
            back = scale * (factor / total / span)
            yield Device(self._conductance(relative.clamp(0, 1)), self.high, back)
            yield Device(self._conductance(relative.neg().clamp_(0, 1)), self.high, -back)

    def _slices(self, relative: Tensor, scale: Tensor) -> Iterator[Device]:
        top = 2 ** (self.weight_bits - 1) - 1
        digit_top = 2**self.slice_bits - 1
        span = self.high - self.low
        for sign in (1, -1):
            rest = (relative * (sign * top)).round_().clamp_(0, top)
            for place in range(-(-(self.weight_bits - 1) // self.slice_bits)):
                digit = rest.remainder(digit_top + 1)
                rest = (rest - digit).div_(digit_top + 1)
                back = scale * (sign * 2 ** (place * self.slice_bits) * digit_top / (top * span))
                yield Device(self._conductance(digit.div_(digit_top)), self.high, back)

    def _conductance(self, share: Tensor) -> Tensor:
        if self.device_bits:
            levels = 2**self.device_bits - 1
            share.mul_(levels).round_().div_(levels)
        return share.mul_(self.high - self.low).add_(self.low)
