"""Gaussian error whose standard deviation depends on the device's state: Δg = σ(g) · ξ, ξ ~ N(0, 1).

σ is a curve, never negative. Its argument is the conductance itself or its share of g_max; ``fitted_full`` is the
g_max at which it was measured, and the curve's values then grow with the g_max in use (without it they are taken as
they are, in µS or nA).
"""

from __future__ import annotations

from torch import Tensor

from harden.noise.laws.base import Moment
from harden.noise.scaled import ScaledLaw


class Law(ScaledLaw):
    """State-dependent Gaussian noise: programming errors of PCM, RRAM and SONOS.

    Example:
        >>> import torch
        >>> from harden.noise.laws.base import Cells
        >>> law = Law.model_validate({"sigma": [{"poly": [0.26348, 1.9650, -1.1731]}], "fitted_full": 25.0})
        >>> law.spread(Cells(torch.tensor([0.0, 25.0]), full=25.0), at_s=0.0)
        tensor([0.2635, 1.0554])
    """

    def standard(self, now: Tensor, moment: Moment) -> Tensor:
        """Draw ξ."""
        return moment.normal(now)
