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
from harden.tasks import Task as RunTask


class Targets:
    """Makes targets, and the task that compares with them, from the run's task and the levers.

    Args:
        task: What the network is for.
        clean: A frozen copy of the network as given; needed where the task asks for it.
        levers: Those that are on; each may put a task of its own around what there is.
    """

    def __init__(self, task: RunTask, clean: GraphModule | None, levers: Sequence[Lever[Any]] = ()) -> None:
        self._clean = clean if task.needs_clean else None
        self._levers, self._own = levers, task
        self.task: Task = task
        for lever in levers:
            self.task = lever.task(self.task)

    @torch.no_grad()
    def __call__(self, inputs: tuple[Tensor, ...], labels: Tensor | None) -> Any:
        """The targets of one batch."""
        targets = self.own(inputs, labels)
        for lever in self._levers:
            targets = lever.targets(inputs, targets)
        return targets

    @torch.no_grad()
    def own(self, inputs: tuple[Tensor, ...], labels: Tensor | None) -> Any:
        """Those of the task alone."""
        return self._own.targets(labels, None if self._clean is None else self._clean(*inputs))


def frozen_copy(model: Model, device: str = "cpu", outputs: Sequence[str] = ()) -> GraphModule:
    """The model as a network on a device that is only asked, never trained; ``outputs`` as :meth:`Model.module`."""
    return model.module(outputs).to(device).eval().requires_grad_(False)
