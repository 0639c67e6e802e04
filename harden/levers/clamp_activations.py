"""Clamped activations: ``Clip`` nodes behind ReLU-like activations of the trained graph, for bit errors.

:mod:`harden.transforms.clamp` has the sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from harden import values
from harden.levers import base


class Options(base.Options):
    """Where the bounds are."""

    clamp_activations: values.Percent | None = Field(
        None, gt=0, le=100, description="clamp ReLU-like activations to this percentile on --data, such as 99.99%"
    )


class Record(base.Record):
    """The percentile, how many activations have a clamp, and the widest bound."""

    percentile: float
    activations: int
    largest: float


class Lever(base.Lever[Options]):
    """Adds the nodes when the file is written."""

    Options = Options
    record_type = Record | None
    example: ClassVar[Mapping[str, Any]] = {"clamp_activations": 99.9, "allow_new_nodes": True}
    order = 120
    trains = False

    @classmethod
    def used(cls, plan: base.Plan, records: Mapping[str, Any], batch_norms: bool) -> bool:
        """It changes the file, not the training that an ablation repeats."""
        return False
