"""Adversarial model perturbation: like AWP, with an absolute bound."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.methods._weights import moved, task_gradients
from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """Hyper-parameters of AMP."""

    epsilon: float = Field(
        0.005,
        ge=0,
        le=10,
        description="Largest 2-norm of a tensor's move, unit of weights; Büchel et al. use 0.0005 to 0.02",
    )
    rate: float = Field(
        0.1, gt=0, le=100, description="Step size of the ascent, unit of weights per gradient; Büchel et al."
    )
    steps: int = Field(1, ge=1, le=20, description="Gradient steps of the ascent; paper")


class Method(Objective):
    r"""Move every analog tensor uphill along its gradient, within a ball of absolute size, and take the gradient there.

    Equation: :math:`L = \ell(f(x; W + E + v), y)`, :math:`v_l \leftarrow \Pi_\epsilon(v_l + \eta\, \nabla_l \ell)`,
    with :math:`\Pi_\epsilon` the projection to the ball of 2-norm :math:`\epsilon`; v is a constant for the gradient.

    Use it as a baseline for flat minima; its bound does not follow the size of the weights.

    Source: Zheng et al., CVPR 2021, arXiv 2010.04925; the bound for each tensor as in Büchel et al., arXiv 2106.05009.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("amp").config.epsilon
        0.005
    """

    summary = "Adversarial model perturbation within an absolute ball"
    cost = "2F 2B"
    passes = (2, 2)
    source = "Zheng et al., CVPR 2021, arXiv 2010.04925"
    reduces: ClassVar = {"epsilon": 0.0}
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss at the moved weights."""
        weights = noise.draw("noise")
        shifts: dict[str, Tensor] = {}
        before = None
        for _ in range(self.config.steps):
            loss, gradients = task_gradients(net, batch, moved(weights, shifts))
            before = loss if before is None else before
            for key, gradient in gradients.items():
                shifts[key] = self._projected(shifts.get(key, 0) + self.config.rate * gradient)
        loss = batch.loss(net(*batch.inputs, weights=moved(weights, shifts), update_statistics=True))
        return StepResult(loss, {"task": before or 0.0, "attacked": loss.item()})

    def _projected(self, shift: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(shift).clamp_min(1e-20)
        return shift * (self.config.epsilon / size).clamp_max(1.0)
