"""Over-noised training: the noise in training is a multiple of the profile's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from harden import values
from harden.levers import base
from harden.words import number


class Options(base.Options):
    """How much noise."""

    train_sigma_scale: values.Scales = Field(
        (1.0,),
        min_length=1,
        description="noise in training as a multiple of the profile's; from several (a,b,c, or auto for 1,1.5,2) "
        "validation chips decide, within the run's steps",
    )


class Lever(base.Lever[Options]):
    """Multiplies the noise."""

    Options = Options
    record_type = float
    example: ClassVar[Mapping[str, Any]] = {"train_sigma_scale": (1.5,)}
    order = 60
    needs_noise = True

    @classmethod
    def problems(cls, plan: base.Plan) -> list[str]:
        """One training has one."""
        scales: tuple[float, ...] = cls.of(plan).train_sigma_scale
        if len(scales) == 1:
            return []
        return [f"train_sigma_scale: one training takes one number; harden fit chooses among several (got {scales})"]

    def noise(self, done: float) -> float:
        """The multiple."""
        return self.options.train_sigma_scale[0]

    def record(self) -> float:
        """The multiple."""
        return self.options.train_sigma_scale[0]

    @classmethod
    def row(cls, record: Any) -> base.Row | None:
        """Off where it is the noise of the profile, no more and no less."""
        return base.described(cls.name, None if record == 1 else record, f"{number(record)} times the profile's noise")
