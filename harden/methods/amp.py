"""Adversarial model perturbation: like AWP, with an absolute bound."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.methods._ascent import Ascent, AscentOptions
from harden.methods.base import Options


class Config(AscentOptions):
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


class Method(Ascent):
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
    source = "Zheng et al., CVPR 2021, arXiv 2010.04925"
    reduces: ClassVar = {"epsilon": 0.0}
    Config: ClassVar[type[Options]] = Config

    def shifted(self, weight: Tensor, gradient: Tensor, shift: Tensor | None) -> Tensor | None:
        """A gradient step, projected to the ball."""
        total = self.config.rate * gradient if shift is None else shift + self.config.rate * gradient
        return total * (self.config.epsilon / torch.linalg.vector_norm(total).clamp_min(1e-20)).clamp_max(1.0)
