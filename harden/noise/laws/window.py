"""Cells that were written and verified: Δg = w(g) · (u + e ξ), u uniform in [−1, 1), ξ ~ N(0, 1).

Write-and-verify stops as soon as a reading lies within the window about the target, so that the first readings are
uniform in it; e blurs its edges by what a reading itself is off, in half-widths.
"""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from harden.noise.laws.base import Moment
from harden.noise.scaled import ScaledLaw


class Law(ScaledLaw):
    """A uniform window; ``sigma`` is half its width.

    Example:
        >>> import torch
        >>> from harden.noise.laws.base import Cells
        >>> Law.model_validate({"sigma": [{"poly": [0.6]}]}).spread(Cells(torch.ones(1), full=1.0), at_s=0.0)
        tensor([0.3464])
    """

    edge: float = Field(0.0, ge=0, description="e: standard deviation of the edges, in half-widths")

    def standard(self, now: Tensor, moment: Moment) -> Tensor:
        """Draw u + e ξ."""
        drawn = moment.uniform(now).mul_(2).sub_(1)
        return drawn.add_(moment.normal(now), alpha=self.edge) if self.edge else drawn

    def unit_spread(self, at_s: float) -> float:
        """sqrt(1/3 + e²)."""
        return math.sqrt(1 / 3 + self.edge**2)
