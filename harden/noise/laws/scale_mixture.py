"""Heavy-tailed error as a mixture of normals: Δg = s(g) · (o_i + f_i ξ), part i with probability w_i.

Most cells are of the first part; a few have moved by several times as much. The tails end as a normal's do, at the
largest of the factors. The parts may differ from time to time; between two times their numbers are interpolated.
"""

from __future__ import annotations

from pydantic import Field, model_validator
from torch import Tensor

from harden.noise.laws.base import Moment
from harden.noise.scaled import ScaledLaw
from harden.noise.tails import Parts, parts_at


class Law(ScaledLaw):
    """State-dependent noise with the tails of a mixture.

    Example:
        >>> import torch
        >>> from harden.noise.laws.base import Cells
        >>> parts = [{"weights": [0.9, 0.1], "factors": [1, 4]}]
        >>> law = Law.model_validate({"sigma": [{"poly": [0.5]}], "parts": parts})
        >>> law.spread(Cells(torch.ones(1), full=1.0), at_s=0.0)  # 0.5 sqrt(0.9 + 0.1 · 16)
        tensor([0.7906])
    """

    parts: tuple[Parts, ...] = Field(
        min_length=1, description="weights w, factors f and offsets o, for each measured time"
    )

    @model_validator(mode="after")
    def _times_agree(self) -> Law:
        if len(self.parts) > 1 and any(part.at_s is None for part in self.parts):
            raise ValueError("several parts need at_s each")
        if len({len(part.weights) for part in self.parts}) > 1:
            raise ValueError("the parts of every time must be as many")
        return self

    def standard(self, now: Tensor, moment: Moment) -> Tensor:
        """Draw o + f · ξ."""
        return self._parts(moment.at_s).draw(now, moment)

    def unit_spread(self, at_s: float) -> float:
        """The standard deviation of the mixture."""
        return self._parts(at_s).spread

    def _parts(self, at_s: float) -> Parts:
        return parts_at(self.parts, at_s, log_time=self.time == "log")
