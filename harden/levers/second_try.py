"""A second try: where training hardly helped, a gentle one follows (:mod:`harden.training.second_try`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from harden.levers import base
from harden.words import percent, plural, points


class Options(base.Options):
    """Whether."""

    second_try: Literal["on", "off"] = Field(
        "on", description="where training hardly helped, train again in small steps from the rescaled network"
    )


class Record(base.Record):
    """Whether the second training was kept, the best scores of both, and how the second one went about it."""

    kept: bool
    before: float
    after: float
    recovered: float
    steps: int
    rescaled: bool


class Lever(base.Lever[Options]):
    """Trains again."""

    Options = Options
    record_type = Record
    off: ClassVar[Mapping[str, Any]] = {"second_try": "off"}
    example: ClassVar[Mapping[str, Any]] = {"second_try": "on"}
    order = 110
    heading = "Essentials"
    trains = False

    @classmethod
    def used(cls, plan: base.Plan, records: Mapping[str, Any], batch_norms: bool) -> bool:
        """What it leaves out is the gentle training itself."""
        return False

    @classmethod
    def row(cls, record: Any) -> base.Row | None:
        """Why there was one, and what it gained."""
        if not isinstance(record, Mapping) or not record:
            return super().row(record)
        begin = "channels rescaled, then " if record.get("rescaled") else ""
        recovered = record.get("recovered")
        first = (
            f"the first training recovered {percent(recovered)} of the accuracy that noise costs"
            if recovered
            else "no step of the first training was better than the network as given"
        )
        text = (
            f"{first}; {begin}"
            f"{plural(int(record['steps']), 'small step')}: validation chips {percent(record['before'])} to "
            f"{percent(record['after'])}"
        )
        gain = points(record["after"] - record["before"]) if record["kept"] else ""
        return base.Row("second try", "kept" if record["kept"] else "not kept", text, gain)
