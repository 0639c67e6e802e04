"""Heavy-tailed error: Δg = s(g) · T, T of Student's t with ν degrees of freedom; its density falls as |T|^(−ν−1).

The scale s is the standard deviation over sqrt(ν / (ν − 2)); for ν of 2 or less there is no standard deviation. ν may
differ from time to time.
"""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from harden.noise.curves import at_time
from harden.noise.laws.base import Cells, Moment
from harden.noise.scaled import ScaledLaw
from harden.noise.tails import student_t


class Law(ScaledLaw):
    """State-dependent noise with the tails of Student's t.

    Example:
        >>> import torch
        >>> law = Law.model_validate({"sigma": [{"poly": [0.5]}], "df": 4})
        >>> law.spread(Cells(torch.ones(1), full=1.0), at_s=0.0)
        tensor([0.7071])
    """

    df: float | tuple[tuple[float, float], ...] = Field(description="ν, or pairs of a time in seconds and ν")

    def standard(self, now: Tensor, moment: Moment) -> Tensor:
        """Draw T."""
        return student_t(self._df(moment.at_s), now, moment)

    def spread(self, cells: Cells, at_s: float) -> Tensor | None:
        """s(g) · sqrt(ν / (ν − 2)); None for ν of 2 or less."""
        return super().spread(cells, at_s) if self._df(at_s) > 2 else None

    def unit_spread(self, at_s: float) -> float:
        """sqrt(ν / (ν − 2))."""
        df = self._df(at_s)
        return math.sqrt(df / (df - 2))

    def _df(self, at_s: float) -> float:
        if isinstance(self.df, tuple):
            return at_time({time: (df,) for time, df in self.df}, at_s, log_time=self.time == "log")[0]
        return self.df
