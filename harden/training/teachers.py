"""The targets of a batch: labels, the clean network's outputs, a teacher's, or both."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harden.methods.base import Task
from harden.training.plan import TrainingPlan
from harden.training.tasks import Distilled, Labels, Match


class Targets:
    """Makes targets, and the task that compares with them, from the plan's objective and teacher.

    Args:
        plan: ``objective``, ``teacher``, ``teacher_weight``, ``temperature``, ``label_smoothing``.
        net: The network in training; the teacher ``self``.
        clean: A frozen copy of the network as given; needed for ``match`` and for the teacher ``clean``.
    """

    def __init__(self, plan: TrainingPlan, net: Any, clean: Any) -> None:
        self._net = net
        self._clean = clean
        self._match = plan.objective == "match"
        # Features have a place of their own; see harden.training.features.
        self._teacher = "none" if plan.teacher_match == "features" else plan.teacher
        self.task: Task = Match() if self._match else Labels(plan.label_smoothing)
        if self._teacher != "none":
            self.task = Distilled(self.task, plan.teacher_weight, plan.temperature)

    @torch.no_grad()
    def __call__(self, inputs: tuple[Tensor, ...], labels: Tensor | None) -> Any:
        """The targets of one batch."""
        reference = self._clean(*inputs) if self._match or self._teacher == "clean" else None
        own = reference if self._match else labels
        if self._teacher == "none":
            return own
        return own, self._net(*inputs) if self._teacher == "self" else reference


def frozen_copy(model: Any, device: str = "cpu") -> Any:
    """The model as a network on a device that is only asked, never trained."""
    return model.module().to(device).eval().requires_grad_(False)
