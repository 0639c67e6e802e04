"""Sharpness-aware minimisation: the gradient from the worst point nearby."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from harden.methods._weights import everything, moved, norm, task_gradients
from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """Hyper-parameters of SAM."""

    rho: float = Field(
        0.05, ge=0, le=10, description="2-norm of the step uphill over all weights, unit of weights; paper"
    )
    noise: bool = Field(True, description="Whether both passes see the profile's noise; the paper has none")


class Method(Objective):
    r"""Take the gradient where the loss is highest within a ball around the weights.

    Equation: :math:`L = \ell(f(x; W + E + e), y)`, :math:`e = \rho\, g / \|g\|_2`, g the gradient at W + E, the norm
    over all weights, and e a constant for the gradient. Both passes see the same draw.

    Use it for small noise; at large noise it is reported to fail where plain injection works.

    Source: Foret et al., ICLR 2021, arXiv 2010.01412.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("sam").cost
        '2F 2B'
    """

    summary = "Sharpness-aware minimisation under noise"
    cost = "2F 2B"
    passes = (2, 2)
    source = "Foret et al., ICLR 2021, arXiv 2010.01412"
    reduces: ClassVar = {"rho": 0.0}
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss after a step uphill."""
        weights = everything(net, noise.draw("noise", severity=1.0 if self.config.noise else 0.0))
        before, gradients = task_gradients(net, batch, weights)
        uphill = self._uphill(weights, gradients)
        loss = batch.loss(net(*batch.inputs, weights=moved(weights, uphill), update_statistics=True))
        return StepResult(loss, {"task": before, "sharpness": loss.item() - before})

    def _uphill(self, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scale = self.config.rho / norm(gradients).clamp_min(1e-12)
        return {key: scale * gradient for key, gradient in gradients.items()}
