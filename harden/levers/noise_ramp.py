"""A ramp: the noise in training rises from zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from harden.levers import base


class Options(base.Options):
    """For how long."""

    noise_ramp: float = Field(0.0, ge=0, le=1, description="share of the training over which the noise rises from 0")


class Lever(base.Lever[Options]):
    """Raises the noise in proportion to the steps."""

    Options = Options
    record_type = float
    example: ClassVar[Mapping[str, Any]] = {"noise_ramp": 0.5}
    order = 70
    needs_noise = True

    def noise(self, done: float) -> float:
        """The share of the ramp that is done, at most 1."""
        return min(done / self.options.noise_ramp, 1.0)

    def record(self) -> float:
        """The share of the steps."""
        return self.options.noise_ramp
