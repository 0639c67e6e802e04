"""How a network computes while it trains: in mixed precision, and with channels last in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

Amp = Literal["off", "bfloat16"]


@dataclass(frozen=True)
class Precision:
    """What a forward pass computes in.

    Attributes:
        amp: With ``"bfloat16"``, what torch deems safe (convolutions, matrix products) is computed in it, the rest in
            single precision. Its range is that of single precision, so gradients need no scaling. Parameters, their
            gradients and the outputs are in single precision.
        channels_last: Whether images are laid out as [B, H, W, C] in memory, as many convolutions like it.
    """

    amp: Amp = "off"
    channels_last: bool = False

    @contextlib.contextmanager
    def within(self, device: torch.device) -> Iterator[None]:
        """The block computes in this precision on this kind of device."""
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.amp != "off"):
            yield

    def taking(self, item: Any) -> Any:
        """An input in this layout."""
        if self.channels_last and isinstance(item, torch.Tensor) and item.dim() == 4:
            return item.contiguous(memory_format=torch.channels_last)
        return item

    def giving(self, result: Any) -> Any:
        """What comes out, in single precision."""
        if isinstance(result, torch.Tensor):
            return result.float() if self.amp != "off" and result.dtype == torch.bfloat16 else result
        if isinstance(result, Mapping):
            return {name: self.giving(value) for name, value in result.items()}
        return type(result)(map(self.giving, result)) if isinstance(result, (tuple, list)) else result
