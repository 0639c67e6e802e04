"""Frozen batch norms: in the last share of the steps they compute with running statistics, as on the chip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from harden.levers import base
from harden.levers import batch_norm_reestimation as reestimation
from harden.words import percent


class Options(base.Options):
    """For how long."""

    freeze_batch_norms: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of the steps, at the end, in which batch norms use stored statistics, as on the chip; "
        "1: from the start, with the file's statistics; default: 0.5, or 1 with --objective match",
    )


class Lever(base.Lever[Options]):
    """Re-estimates batch norms under noise, and freezes them."""

    Options = Options
    record_type = float
    off: ClassVar[Mapping[str, Any]] = {"freeze_batch_norms": 0.0}
    example: ClassVar[Mapping[str, Any]] = {"freeze_batch_norms": 0.5}
    order = 40
    _share = 0.0

    @classmethod
    def on(cls, plan: base.Plan) -> bool:
        """Unless the share is 0."""
        return share_of(plan) > 0

    @classmethod
    def used(cls, plan: base.Plan, records: Mapping[str, Any], batch_norms: bool) -> bool:
        """Where there are batch norms."""
        return batch_norms and cls.on(plan)

    def start(self, training: base.Training) -> None:
        """Where the share begins; a graph without batch norms has none."""
        from harden.transforms.batch_norm import statistics

        share = share_of(self.plan) if statistics(training.net) else 0.0
        self._from = training.steps - round(share * training.steps)
        self._share = 1 - self._from / training.steps

    def before_step(self, training: base.Training, step: int) -> None:
        """Freeze from the first step of the share on."""
        if step == self._from and step > 0 and reestimation.Lever.of(self.plan).batch_norm_reestimation != "off":
            reestimation.settle(training, self.plan)
        training.net.train(step < self._from)

    def record(self) -> float:
        """The share of the steps."""
        return self._share

    @classmethod
    def row(cls, record: Any) -> base.Row | None:
        """For how long."""
        did = f"last {percent(record)} of the steps with the statistics that the chip uses"
        return base.described(cls.name, record, did)


def share_of(plan: base.Plan) -> float:
    """The share of the steps with frozen batch norms.

    By default 0.5 with labels; without, 1: unlabelled batches are often small or alike, and their statistics are not
    the data's.
    """
    share = Lever.of(plan).freeze_batch_norms
    if share is not None:
        return share
    return 1.0 if plan.objective == "match" else 0.5
