"""Adversarial weight perturbation: the gradient from weights that were moved against the task."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.methods._ascent import Ascent, AscentOptions
from harden.methods.base import Options


class Config(AscentOptions):
    """Hyper-parameters of AWP."""

    gamma: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Size of the move as a share of each tensor's 2-norm, no unit; paper, 0.1 in Büchel et al.",
    )


class Method(Ascent):
    r"""Move every analog tensor uphill by a share of its own size, and take the gradient there.

    Equation: :math:`L = \ell(f(x; W + E + v), y)`, :math:`v_l = \gamma \|W_l + E_l\|_2\, d_l / \|d_l\|_2`, d the sum
    of the ascent gradients, for each tensor of more than one axis; v is a constant for the gradient.

    Use it against weights that are off in the worst direction; ``adversarial`` bounds each weight.

    Source: Wu et al., NeurIPS 2020, arXiv 2004.05884, for weights on crossbars, under noise.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("awp").config.gamma
        0.01
    """

    summary = "Adversarial weight perturbation, layer by layer"
    source = "Wu et al., NeurIPS 2020, arXiv 2004.05884"
    reduces: ClassVar = {"gamma": 0.0}
    Config: ClassVar[type[Options]] = Config

    def shifted(self, weight: Tensor, gradient: Tensor, shift: Tensor | None) -> Tensor | None:
        """A step of the whole size, and back to the size where several went too far."""
        if gradient.dim() < 2:
            return None
        largest = self.config.gamma * torch.linalg.vector_norm(weight)
        step = largest * gradient / torch.linalg.vector_norm(gradient).clamp_min(1e-20)
        total = step if shift is None else shift + step
        return total * (largest / torch.linalg.vector_norm(total).clamp_min(1e-20)).clamp_max(1.0)
