"""Rescaled first: training begins with the network as the method ``rescale`` makes it.

The function is the same, with less noise in it; :mod:`harden.transforms.rescale` has the equation and the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harden import distributed
from harden.levers import base

if TYPE_CHECKING:
    from torch import Tensor

    from harden.transforms.rescale import Gain

_EXAMPLES = 8  # that channels are weighed by; random ones would do


class Options(base.Options):
    """Whether."""

    rescale_first: Literal["off", "on"] = Field(
        "off", description="on: begin with channels rescaled, as by --method rescale: the same function, less noise"
    )


class Record(base.Record):
    """How many layers and channels, and the objective before and after."""

    layers: int
    channels: int
    noise_before: float
    noise_after: float


class Lever(base.Lever[Options]):
    """Rescales channels before the first step."""

    Options = Options
    record_type = Record | None
    example: ClassVar[Mapping[str, Any]] = {"rescale_first": "on"}
    order = 30
    _record: Record | None = None

    def start(self, training: base.Training) -> None:
        """Rescale the network in place, alike in all processes that train together."""
        import torch

        net = training.net
        few = tuple(one[:_EXAMPLES].cpu() for one in training.inputs(0))
        changed, record = distributed.from_leader(lambda: self._rescaled(net, few))
        own = {**dict(net.named_parameters()), **dict(net.named_buffers())}
        with torch.no_grad():
            for name, value in changed.items():
                own[name].copy_(value)
        self._record = Record(**record)

    def _rescaled(self, net: Any, inputs: tuple[Any, ...]) -> tuple[dict[str, Tensor], Gain]:
        from harden.transforms.rescale import rescale

        training = net.training
        net.eval().cpu()
        try:
            return rescale(net, inputs, self.plan.digital)
        finally:
            net.train(training).to(self.plan.device)

    def record(self) -> Record | None:
        """What was won."""
        return self._record
