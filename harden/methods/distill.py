"""Noise injection with the clean network as a teacher."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field

from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult
from harden.methods.consistency import frozen


class Config(Options):
    """Hyper-parameters of distillation."""

    weight: float = Field(0.9, ge=0, le=1, description="Share of the teacher in the loss, no unit; ours")
    temperature: float = Field(
        2.0, gt=0, le=20, description="Of both softmaxes, no unit; 1 to 2 is not known to undo clipping; ours"
    )


class Method(Objective):
    r"""Train the noisy network to give the outputs of the clean one, as it was given.

    Equation: :math:`L = (1 - w)\, \ell(\tilde z, y) + w\, T^2\, \mathrm{KL}(p_T(x; W_0) \| p_T(x; W + E))`

    Use it by default where the network given is good: the teacher's outputs are richer than labels, and with weight 1
    no labels are needed.

    Source: Zhou et al., "Noisy machines", arXiv 2001.04974 (noise with distillation; its constants are not public);
    Hinton et al., arXiv 1503.02531.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("distill", {"temperature": 1}).config.weight
        0.9
    """

    summary = "Noise injection with the clean network as teacher"
    cost = "2F 1B"
    passes = (2, 1)
    source = "Zhou et al., arXiv 2001.04974"
    reduces: ClassVar = {"weight": 0.0}
    Config: ClassVar[type[Options]] = Config

    def __init__(self, config: Options) -> None:
        super().__init__(config)
        self._teacher: Any = None

    def prepare(self, net: Network, batch: Batch) -> None:
        """Keep a copy of the network as it was given."""
        self._teacher = frozen(net)

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The weighted sum of task loss and divergence from the teacher."""
        weight = self.config.weight
        with torch.no_grad():
            reference = self._teacher(*batch.inputs)
        outputs = net(*batch.inputs, weights=noise.draw("noise"), update_statistics=True)
        task = batch.loss(outputs)
        taught = batch.divergence(reference, outputs, self.config.temperature)
        return StepResult((1 - weight) * task + weight * taught, {"task": task.item(), "teacher": taught.item()})

    def finish(self, net: Network) -> None:
        """Let go of the teacher."""
        self._teacher = None
