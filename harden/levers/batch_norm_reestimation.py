"""Batch norms re-estimated under noise at the end, and kept where that helps.

:mod:`harden.transforms.batch_norm` has the sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harden.levers import base

if TYPE_CHECKING:
    from torch import Tensor

BATCHES = 32


class Options(base.Options):
    """Whether."""

    batch_norm_reestimation: Literal["auto", "on", "off"] = Field(
        "auto", description="re-estimate batch norms under noise at the end; auto keeps the result only if it helps"
    )


class Record(base.Record):
    """Whether it was tried and kept, why not, and the scores on validation chips."""

    tried: bool
    kept: bool
    reason: str | None = None
    before: float | None
    after: float | None


class Lever(base.Lever[Options]):
    """Re-estimates the statistics on training examples under noise, and keeps what validation chips prefer."""

    Options = Options
    record_type = Record
    off: ClassVar[Mapping[str, Any]] = {"batch_norm_reestimation": "off"}
    example: ClassVar[Mapping[str, Any]] = {"batch_norm_reestimation": "on"}
    order = 100
    _record = Record(tried=False, kept=False, reason="off", before=None, after=None)

    @classmethod
    def used(cls, plan: base.Plan, records: Mapping[str, Any], batch_norms: bool) -> bool:
        """Where there are batch norms."""
        return batch_norms and cls.on(plan)

    def finish(self, training: base.Training) -> None:
        """Try it."""
        import torch

        from harden.transforms.batch_norm import statistics

        buffers = statistics(training.net)
        if not buffers:
            reason = "the graph keeps no batch norms"
            self._record = Record(tried=False, kept=False, reason=reason, before=None, after=None)
            return
        before = training.score()
        old = settle(training, self.plan)
        with torch.no_grad():
            after = training.score()
            kept = self.options.batch_norm_reestimation == "on" or after > before
            if not kept:
                for name, value in old.items():
                    buffers[name].copy_(value)
        self._record = Record(tried=True, kept=kept, before=before, after=after)

    def record(self) -> Record:
        """What came of it."""
        return self._record


def settle(training: base.Training, plan: base.Plan) -> dict[str, Tensor]:
    """Give batch norms the statistics that training examples have under noise; returns those that they had."""
    import torch

    from harden.transforms.batch_norm import reestimate, statistics

    net = training.net

    def draw(index: int) -> Mapping[str, Tensor]:
        condition = plan.conditions[index % len(plan.conditions)]
        weights = net.analog_weights(plan.digital)
        return condition.profile.perturb(weights, seed=plan.seed, path=("reestimate", index), at_s=condition.at_s)

    with torch.no_grad():
        buffers = statistics(net)
        old = {name: buffer.clone() for name, buffer in buffers.items()}
        # What two passes over one batch differ by must be the running values alone.
        training.without_output_noise()
        for name, value in reestimate(net, [training.inputs(i) for i in range(BATCHES)], draw).items():
            buffers[name].copy_(value)
    return old
