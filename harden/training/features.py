"""The teacher's features: what the noisy network computes inside is drawn to what the teacher computes there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harden.errors import ModelError
from harden.graph.taps import choose_taps
from harden.methods.base import Batch, Noise
from harden.methods.consistency import relative_distance
from harden.training.plan import TrainingPlan

COUNT = 3


class Features:
    r"""The distance of features, and its share of the loss.

    Equation: :math:`\frac1{|S|} \sum_{l \in S} \|F_l(W + E) - \bar F_l\|^2 / \|\bar F_l\|^2` over taps S, as in the
    method ``consistency``. E is the step's draw ``"noise"``, the one that most methods train on; the pass is one of
    its own (a forward and a backward pass more, and the teacher's forward pass), so that it goes with every method.
    With ``teacher_match="both"`` it is as heavy as the divergence of the logits.

    Args:
        plan: ``teacher``, ``teacher_match``, ``teacher_weight``, ``teacher_taps``.
        net: The network in training; the teacher ``self``.
        clean: A frozen copy of the network as given, for the teacher ``clean``.
        inputs: Examples to trace the network with.

    Raises:
        ModelError: The graph has no places to listen to, or not the named ones.
    """

    def __init__(self, plan: TrainingPlan, net: Any, clean: Any, inputs: tuple[Tensor, ...]) -> None:
        self._net, self._weight = net, plan.teacher_weight
        self._teacher = clean if plan.teacher == "clean" else net
        self.task_share = 1 - plan.teacher_weight if plan.teacher_match == "features" else 1.0
        try:
            self.taps = tuple(tap.name for tap in choose_taps(net, inputs, COUNT, plan.teacher_taps))
        except ModelError as error:
            raise ModelError(error.what, where=error.where, fix="Name tensors with --teacher-taps NAME,NAME") from error

    def loss(self, batch: Batch, noise: Noise) -> Tensor:
        """The weighted distance for one batch."""
        with torch.no_grad():
            _, right = self._teacher(*batch.inputs, taps=self.taps)
        _, found = self._net(*batch.inputs, weights=noise.draw("noise"), taps=self.taps)
        return self._weight * torch.stack([relative_distance(right[tap], found[tap]) for tap in self.taps]).mean()
