"""Noise injection: train on the weights a chip would have."""

from __future__ import annotations

from typing import ClassVar

from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """No hyper-parameters: the profile is the noise."""


class Method(Objective):
    r"""Draw a fresh chip for every batch, and train through it.

    Equation: :math:`L = \ell(f(x; W + E), y)`, one :math:`E` drawn from the profile a step; the gradient goes to
    :math:`W` through the law of the noise.

    Use it first: it is the baseline to beat, and with clipped weights a strong one.

    Source: Joshi et al., Nat. Commun. 11, 2473 (2020); the "W/ noise" curve of Qin et al., arXiv 2305.14561.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("noise").kind
        'objective'
    """

    summary = "Noise injection: every batch sees a fresh chip"
    cost = "1F 1B"
    source = "Joshi et al., Nat. Commun. 11, 2473 (2020)"
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss on one noisy draw."""
        loss = batch.loss(net(*batch.inputs, weights=noise.draw("noise"), update_statistics=True))
        return StepResult(loss, {"task": loss.item()})
