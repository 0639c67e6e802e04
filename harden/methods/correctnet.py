"""CorrectNet's regulariser: weights whose layers do not amplify errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.methods._weights import clean
from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """Hyper-parameters of the regulariser."""

    beta: float = Field(5e-4, ge=0, le=1, description="Weight of the regulariser, no unit; value of Qin et al.'s code")
    target: float = Field(1.0, ge=0, le=100, description="What each Gram matrix is a multiple of, no unit; paper")


class Method(Objective):
    r"""Noise injection with layers drawn to orthogonality, so that none amplifies what went wrong before it.

    Equation: :math:`L = \ell(f(x; W + E), y) + \beta \sum_l \sum_k \|W_{lk}^T W_{lk} - \lambda I\|_F^2`, where k runs
    over the matrices of a tensor's last two axes: each kernel of a convolution, the whole of a linear layer. The
    compensation layers of the paper are not part of this.

    Use it as a baseline; in Qin et al.'s comparison it trails plain injection at small noise.

    Source: Eldebiky et al., "CorrectNet", arXiv 2211.14917, as trained in Qin et al., arXiv 2305.14561.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("correctnet").config.beta
        0.0005
    """

    summary = "Noise injection with layers drawn to orthogonality (without compensation layers)"
    cost = "1F 1B"
    source = "Eldebiky et al., arXiv 2211.14917"
    reduces: ClassVar = {"beta": 0.0}
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss under noise plus the regulariser at the clean weights."""
        task = batch.loss(net(*batch.inputs, weights=noise.draw("noise"), update_statistics=True))
        distance = orthogonality(clean(noise).values(), self.config.target)
        return StepResult(task + self.config.beta * distance, {"task": task.item(), "orthogonality": distance.item()})


def orthogonality(weights: Iterable[Tensor], target: float = 1.0) -> Tensor:
    """Sum of squared distances of W^T W from a multiple of the identity.

    The matrix n x n is never formed where W is m x n with m < n: its norm is that of W W^T.

    Example:
        >>> orthogonality([torch.eye(3), 2 * torch.eye(2)]).item()
        18.0
    """
    terms = []
    for weight in weights:
        if weight.dim() < 2:
            continue
        matrices = weight.reshape(-1, *weight.shape[-2:])
        rows, columns = matrices.shape[-2:]
        gram = matrices.mT @ matrices if columns <= rows else matrices @ matrices.mT
        squares = matrices.square().sum()
        terms.append(gram.square().sum() - 2 * target * squares + target**2 * columns * len(matrices))
    return torch.stack(terms).sum()
