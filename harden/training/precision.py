"""The precision that a training's steps compute in; selections and what is kept are in single precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from harden.errors import HardenError, SettingsError
from harden.graph.module import GraphModule
from harden.graph.precision import Precision
from harden.memory import out_of_memory
from harden.training.batches import Batches
from harden.training.plan import TrainingPlan


class TrainingPrecision:
    """A plan's precision for its networks.

    Args:
        plan: Says the precision and the layout.
        nets: The network that is trained, first, and its teacher.
    """

    def __init__(self, plan: TrainingPlan, nets: Sequence[GraphModule]) -> None:
        self._plan, self._nets = plan, nets

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """The block's forward passes compute in the plan's precision."""
        plan = self._plan
        precision = Precision(plan.amp, plan.channels_last) if plan.amp != "off" or plan.channels_last else None
        for net in self._nets:
            net.precision = precision
        try:
            yield
        finally:
            for net in self._nets:
                net.precision = None

    def check(self, batches: Batches) -> None:
        """Try mixed precision on the first batch.

        Raises:
            SettingsError: The network cannot be computed in it.
        """
        if self._plan.amp == "off":
            return
        inputs = batches.at(0).inputs
        try:
            with torch.no_grad(), self.within():
                self._nets[0](*inputs)
        except (RuntimeError, HardenError) as error:
            if out_of_memory(error):
                raise
            raise SettingsError(
                f"this network cannot be computed in mixed precision ({str(error).splitlines()[0]})",
                where="--amp",
                fix="Leave it out",
            ) from error
