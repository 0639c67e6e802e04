"""Bit errors in stored weights, as in memories at low voltage: every bit flips with probability p, independently.

A weight is encoded (``int8``, ``float16`` or ``float32``), its bits flip, and it is decoded. The deviation is what
the flips do; what encoding alone does comes on top with ``quantise = true``. Severity multiplies p, and a bit that
flips at a low rate flips at every higher one. Decoded numbers that are not finite become 0 (``non_finite = "zero"``) or
stay (``"keep"``); those beyond ``limit`` times the reference, where there is such a range check, become 0.

Source: Stutz et al., MLSys 2021, for the integer schemes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from harden.noise.bits import Store
from harden.noise.laws.base import Cells, Moment, NoiseLaw


class Law(NoiseLaw):
    """Independent bit errors; as many uniform numbers per cell as it has bits."""

    needs_ends: ClassVar[bool] = True

    rate: float = Field(ge=0, le=1, description="p: probability that a bit flips")
    storage: Literal["int8", "float16", "float32"] = Field("int8", description="how a weight is stored")
    scheme: Literal["symmetric", "robust"] = Field("symmetric", description="how int8 is encoded")
    quantise: bool = Field(False, description="whether the error of encoding counts too")
    non_finite: Literal["zero", "keep"] = Field("zero", description="what becomes of NaN and infinity")
    limit: float = Field(
        0.0, ge=0, description="decoded numbers beyond this many times the reference become 0; 0: none"
    )

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """What encoding, flipping and decoding changes."""
        rate = min(self.rate * moment.severity, 1.0)
        if rate == 0 and not self.quantise:
            return None
        store = Store(self.storage, self.scheme)
        single = now.float()
        pattern = store.encode(single, cells.full, cells.ends)
        flips = torch.zeros_like(pattern)
        for bit in range(store.bits):
            flips |= (moment.uniform(single) < rate).to(pattern.dtype) << bit
        read = store.decode(pattern ^ flips, cells.full, cells.ends)
        if self.non_finite == "zero":
            read.masked_fill_(~torch.isfinite(read), 0.0)
        if self.limit:
            read.masked_fill_(read.abs() > self.limit * cells.full, 0.0)
        if self.quantise:
            return (read - single).to(now.dtype)
        change = read - store.decode(pattern, cells.full, cells.ends)
        return torch.where(flips != 0, change, 0.0).to(now.dtype)

    def grows_with_range(self) -> bool:
        """An integer's step is a share of the range; floating point has none."""
        return self.storage == "int8"
