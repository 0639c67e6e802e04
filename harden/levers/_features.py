"""The teacher's features: what the noisy network computes inside is drawn to what the teacher computes there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harden.errors import ModelError
from harden.graph.taps import choose_taps
from harden.methods.base import Batch, Noise
from harden.methods.consistency import relative_distance

COUNT = 3


class Features:
    r"""The distance of features, and its share of the loss.

    Equation: :math:`\frac1{|S|} \sum_{l \in S} \|F_l(W + E) - \bar F_l\|^2 / \|\bar F_l\|^2` over taps S, as in the
    method ``consistency``. E is the step's draw ``"noise"``, the one that most methods train on; the pass is one of
    its own (a forward and a backward pass more, and the teacher's forward pass), so that it goes with every method.
    With ``teacher_match="both"`` it is as heavy as the divergence of the logits.

    Args:
        net: The network in training.
        teacher: What it learns from: a frozen copy of the network as given, or the network itself.
        inputs: Examples to trace the network with.
        taps: Names of the tensors that are compared; chosen from the graph if empty.
        weight: The distance's weight in the loss, in [0, 1].

    Raises:
        ModelError: The graph has no places to listen to, or not the named ones.
    """

    def __init__(
        self, net: Any, teacher: Any, inputs: tuple[Tensor, ...], taps: tuple[str, ...], weight: float
    ) -> None:
        self._net, self._teacher, self._weight = net, teacher, weight
        try:
            self.taps = tuple(tap.name for tap in choose_taps(net, inputs, COUNT, taps))
        except ModelError as error:
            raise ModelError(error.what, where=error.where, fix="Name tensors with --teacher-taps NAME,NAME") from error

    def loss(self, batch: Batch, noise: Noise) -> Tensor:
        """The weighted distance for one batch."""
        with torch.no_grad():
            _, right = self._teacher(*batch.inputs, taps=self.taps)
        _, noisy = self._net(*batch.inputs, weights=noise.draw("noise"), taps=self.taps)
        return self._weight * torch.stack([relative_distance(right[tap], noisy[tap]) for tap in self.taps]).mean()
