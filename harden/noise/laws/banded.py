"""The device model of negative-feedback training: a band of noisier levels in the middle of the range.

A weight is made of n = weight_bits / device_bits devices of K = device_bits bits each, with significances 2^(iK), and
each device has the standard deviation σ_d of its own full range. With M = max|w|::

    c(K, n) = sqrt(Σ_i 4^(iK)) / Σ_i 2^(iK)                                  i = 0 .. n-1
    σ_base  = c(K, n) · M · σ_d / sqrt(0.4 s² + 0.6)
    Δw      = ξ · σ_base · (s if 0.25 < |w|/M < 0.75 else 1),    ξ ~ N(0, 1)

The inequalities are strict. The bits set the noise's scale only; nothing is quantised. The root in σ_base equalises
the RMS noise of devices with different s only where 40% of the weights lie in the band, so equal σ_d is not equal
stress.

Source: Qin et al., "Negative feedback training" (NFT, arXiv 2305.14561) and the authors' repository
YifanQin-ND/NF_Training.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field, model_validator
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw, filled

_MIDDLE_SHARE = 0.4  # the share of weights in the band for which the paper's normalisation is exact
_BAND = (0.25, 0.75)


def combined(weight_bits: int, device_bits: int) -> float:
    """c(K, n): the standard deviation of a weight made of n devices, relative to that of one device.

    Example:
        >>> round(combined(8, 2), 5), combined(8, 8)
        (0.77763, 1.0)
    """
    places = range(weight_bits // device_bits)
    return math.sqrt(sum(4 ** (i * device_bits) for i in places)) / sum(2 ** (i * device_bits) for i in places)


class Law(NoiseLaw):
    """Gaussian noise that is s times stronger in the middle of the range."""

    sigma: float = Field(ge=0, description="σ_d: a device's standard deviation over its own full range")
    middle: float = Field(ge=0, description="s: how much noisier the middle levels are (1, 2, 4, 6)")
    weight_bits: int = Field(8, ge=1, le=32, description="bits of a weight")
    device_bits: int = Field(2, ge=1, le=32, description="bits of a device")

    @model_validator(mode="after")
    def _devices_fill_the_weight(self) -> Law:
        if self.weight_bits % self.device_bits:
            raise ValueError(f"weight_bits {self.weight_bits} must be a multiple of device_bits {self.device_bits}")
        return self

    @property
    def base(self) -> float:
        """σ_base over M, outside the band.

        Example:
            >>> round(Law(sigma=1.0, middle=2.0).base, 4)
            0.5243
        """
        root = math.sqrt(_MIDDLE_SHARE * self.middle**2 + 1 - _MIDDLE_SHARE)
        return combined(self.weight_bits, self.device_bits) * self.sigma / root

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw ξ · σ(|w|/M)."""
        strength = self.base * moment.severity
        if strength == 0:
            return None
        drawn = moment.normal(now).mul_(strength).mul_(cells.full)
        if self.middle != 1:
            drawn.mul_(self._factor(now, cells.full))
        return drawn

    def spread(self, cells: Cells, at_s: float) -> Tensor:
        """σ_base · M, times s in the band."""
        return self.base * filled(cells.target, cells.full) * self._factor(cells.target, cells.full)

    def _factor(self, values: Tensor, full: Tensor | float) -> Tensor:
        share = values.abs().div_(full)
        inside = (share > _BAND[0]) & (share < _BAND[1])
        return torch.ones_like(share).masked_fill_(inside, self.middle)
