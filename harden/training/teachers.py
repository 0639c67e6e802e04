"""The targets of a batch: labels or the clean network's outputs, and what levers add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harden.graph.file import Model
from harden.graph.module import GraphModule
from harden.levers import Lever
from harden.methods.base import Task
from harden.training.plan import TrainingPlan
from harden.training.tasks import Labels, Match


class Targets:
    """Makes targets, and the task that compares with them, from the plan's objective and the levers.

    Args:
        plan: ``objective``.
        clean: A frozen copy of the network as given; needed for ``match``.
        levers: Those that are on; each may put a task of its own around what there is.
    """

    def __init__(self, plan: TrainingPlan, clean: GraphModule | None, levers: Sequence[Lever[Any]] = ()) -> None:
        self._clean = clean if plan.objective == "match" else None
        self._levers = levers
        self.task: Task = Labels() if self._clean is None else Match()
        for lever in levers:
            self.task = lever.task(self.task)

    @torch.no_grad()
    def __call__(self, inputs: tuple[Tensor, ...], labels: Tensor | None) -> Any:
        """The targets of one batch."""
        targets = labels if self._clean is None else self._clean(*inputs)
        for lever in self._levers:
            targets = lever.targets(inputs, targets)
        return targets


def frozen_copy(model: Model, device: str = "cpu") -> GraphModule:
    """The model as a network on a device that is only asked, never trained."""
    return model.module().to(device).eval().requires_grad_(False)
