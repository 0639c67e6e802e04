"""Weights as stored bits: integers after two schemes of quantisation, and floating-point numbers.

``symmetric``: w = Δ · q with Δ = R / (2^(m−1) − 1), q a two's complement integer. ``robust``: asymmetric over
[lowest, highest], an unsigned integer, rounded; a flipped sign bit then costs half the range instead of its sign.

Source: Stutz et al., "Bit error robustness for energy-efficient DNN accelerators", MLSys 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

WIDTHS = {"int8": 8, "float16": 16, "float32": 32}
_TINY = torch.finfo(torch.float32).tiny
_VIEWS = {"float16": (torch.float16, torch.int16), "float32": (torch.float32, torch.int32)}


@dataclass(frozen=True)
class Store:
    """How a weight becomes bits.

    Attributes:
        storage: ``int8``, ``float16`` or ``float32``.
        scheme: For int8: ``symmetric`` (truncated, two's complement), or ``robust`` (asymmetric, unsigned, rounded).
    """

    storage: str
    scheme: str = "symmetric"

    @property
    def bits(self) -> int:
        """Bits of a weight."""
        return WIDTHS[self.storage]

    def encode(self, weight: Tensor, full: Tensor | float, ends: tuple[Tensor, Tensor] | None) -> Tensor:
        """The stored pattern of each weight as an integer tensor."""
        if self.storage in _VIEWS:
            kind, view = _VIEWS[self.storage]
            return weight.to(kind).contiguous().view(view)
        top = 2 ** (self.bits - 1) - 1
        if self.scheme == "robust" and ends is not None:
            lowest, highest = ends
            share = (weight - lowest) / (highest - lowest).clamp(min=_TINY)
            return share.mul_(2 * top).round_().clamp_(0, 2 * top).to(torch.int32)
        step = torch.as_tensor(full, dtype=weight.dtype).clamp(min=_TINY) / top
        signed = (weight / step).clamp_(-top, top).trunc_().to(torch.int32)
        return signed & (2**self.bits - 1)

    def decode(self, pattern: Tensor, full: Tensor | float, ends: tuple[Tensor, Tensor] | None) -> Tensor:
        """The weight that a stored pattern means; numbers that are not finite stay so."""
        if self.storage in _VIEWS:
            return pattern.view(_VIEWS[self.storage][0]).to(torch.float32)
        top = 2 ** (self.bits - 1) - 1
        if self.scheme == "robust" and ends is not None:
            lowest, highest = ends
            return pattern.to(torch.float32) / (2 * top) * (highest - lowest) + lowest
        signed = torch.where(pattern > top, pattern - 2**self.bits, pattern)
        return signed.to(torch.float32) * (torch.as_tensor(full) / top)
