"""What every noise law is: parameters, and a deviation drawn from them.

A law file defines one class ``Law``, a frozen pydantic model of its parameters. It returns deviations and changes
nothing, so a device without noise keeps its value bit for bit. How many numbers a law draws, and in which order,
depends on the shape alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor


@dataclass(frozen=True)
class Cells:
    """The devices that a law acts on, in the unit of the mapping: weights, µS or nA.

    Attributes:
        target: What was to be stored. No stage changes it.
        full: The largest value: g_max, or for weights stored directly the reference (max|w| of the tensor, column or
            tile, or the weight itself); a float or a tensor that broadcasts to ``target``.
        low: The smallest value: g_min; 0 for weights stored directly.
        signed: Whether a cell stores a signed weight directly instead of a conductance.
        ends: The smallest and largest weight of the tensor, column or tile, for a law with ``needs_ends``.
        programmed: The values before they drift; None until then.
    """

    target: Tensor
    full: Tensor | float
    low: float = 0.0
    signed: bool = False
    ends: tuple[Tensor, Tensor] | None = None
    programmed: Tensor | None = None


@dataclass(frozen=True)
class Moment:
    """When a law acts, how hard, and from which stream it draws.

    Attributes:
        at_s: Seconds since programming.
        severity: 1 is the device, 0 is no noise.
        generator: The generator of this stage and tensor.
    """

    at_s: float
    severity: float
    generator: torch.Generator

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape and dtype of ``like``, drawn where the generator is, on its device."""
        drawn = torch.empty(like.shape, dtype=like.dtype, device=self.generator.device)
        drawn.normal_(generator=self.generator)
        return drawn.to(like.device)

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) of the shape and dtype of ``like``, drawn where the generator is, on its device."""
        drawn = torch.empty(like.shape, dtype=like.dtype, device=self.generator.device)
        drawn.uniform_(generator=self.generator)
        return drawn.to(like.device)


class NoiseLaw(BaseModel):
    """Base of all laws: the parameters are the fields, and a parameter that does not exist is an error.

    Attributes:
        needs_ends: The law uses ``Cells.ends``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    needs_ends: ClassVar[bool] = False

    def deviation(self, now: Tensor, cells: Cells, moment: Moment) -> Tensor | None:
        """Draw what this law adds to the cells.

        Args:
            now: The cells' values after the stages before this one; not changed.
            cells: The targets, and their range.
            moment: Time, severity and the stream of random numbers.

        Returns:
            A new tensor of the shape of ``now``, or None where the law changes nothing at all.
        """
        raise TypeError(f"{type(self).__module__} defines no deviation")

    def spread(self, cells: Cells, at_s: float) -> Tensor | None:
        """The standard deviation of the deviation at ``cells.target``, or None where the law has no closed form."""
        return None

    def covers_s(self) -> tuple[float, float] | None:
        """The first and last time the law was measured at, or None where its formula holds at all times."""
        return None

    def grows_with_range(self) -> bool:
        """Whether the noise of a weight grows with the largest weight of its tensor, column or tile."""
        return True


def filled(like: Tensor, value: Any) -> Tensor:
    """``value`` (a number or a tensor that broadcasts) as a tensor of the shape of ``like``."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand_as(like)
