"""Fine-tuning without noise: the control."""

from __future__ import annotations

from typing import ClassVar

from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """No hyper-parameters."""


class Method(Objective):
    r"""Fine-tune on clean weights, so that what training alone changes is known.

    Equation: :math:`L = \ell(f(x; W), y)`, with :math:`\ell` the task's loss.

    Use it as the control beside every other method: same data, steps and levers, no noise.

    Source: the "W/O noise" curve of Qin et al., arXiv 2305.14561.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("none").cost
        '1F 1B'
    """

    summary = "Noise-free fine-tuning, the control"
    cost = "1F 1B"
    source = "Qin et al., arXiv 2305.14561 (W/O noise)"
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss at the clean weights."""
        loss = batch.loss(net(*batch.inputs, update_statistics=True))
        return StepResult(loss, {"task": loss.item()})
