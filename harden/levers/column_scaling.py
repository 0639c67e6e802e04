"""Column scaling: columns in front of batch norms, each clipped on its own, are kept at one range.

:mod:`harden.transforms.column_scaling` has the equation and the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harden.levers import base
from harden.levers import clip as clipping

if TYPE_CHECKING:
    from harden.transforms.column_scaling import ColumnScaling


class Options(base.Options):
    """Whether."""

    column_scaling: Literal["auto", "on", "off"] = Field(
        "off", description="clip each column in front of a batch norm by itself, and give all columns one range"
    )


class Record(base.Record):
    """How many layers and columns are scaled."""

    layers: int
    columns: int


class Lever(base.Lever[Options]):
    """Clips and scales columns before the first step, and after every one."""

    Options = Options
    record_type = Record | None
    example: ClassVar[Mapping[str, Any]] = {"column_scaling": "on"}
    order = 20
    _columns: ColumnScaling | None = None

    @classmethod
    def on(cls, plan: base.Plan) -> bool:
        """``auto`` scales where any noise follows the largest weight of a tensor."""
        return wanted(cls.of(plan).column_scaling, [one.profile for one in plan.conditions])

    @classmethod
    def used(cls, plan: base.Plan, records: Mapping[str, Any], batch_norms: bool) -> bool:
        """Before the run ``auto`` counts as on."""
        return bool(records.get("column_scaling")) if records else cls.of(plan).column_scaling != "off"

    @classmethod
    def problems(cls, plan: base.Plan) -> list[str]:
        """Processors only."""
        if plan.device == "cpu" or cls.of(plan).column_scaling == "off":
            return []
        return ["column_scaling: is done on processors only; leave it off, or take device cpu"]

    def start(self, training: base.Training) -> None:
        """Find the columns that only a batch norm reads."""
        from harden.transforms.column_scaling import ColumnScaling

        plan, clip = self.plan, clipping.Lever.of(self.plan).clip
        k = None if clip == "search" else clipping.resolve(clip, [condition.profile for condition in plan.conditions])
        columns = ColumnScaling(training.net, training.inputs(0), k, plan.digital)
        self._columns = columns if columns.record["columns"] else None

    def after_step(self, training: base.Training, step: int) -> None:
        """Clip and scale."""
        if self._columns is not None:
            self._columns.apply()

    def record(self) -> Record | None:
        """How many columns; None where there are none."""
        return None if self._columns is None else Record(**self._columns.record)


def wanted(switch: str, profiles: Iterable[Any]) -> bool:
    """Whether a setting means yes: ``auto`` does where any profile's noise follows the largest weight of a tensor."""
    return switch == "on" or (switch == "auto" and any(profile.scales_with_range for profile in profiles))
