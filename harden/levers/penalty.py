"""Penalties that pull a tensor's weights towards a shape that range-relative noise harms less.

Source: for kurtosis, Shkolnik et al., "Robust quantization: one model to rule them all", arXiv 2002.07686, whose
target 1.8 is that of the uniform distribution. The range penalty is ours: the largest weight in standard deviations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from harden.levers import base

if TYPE_CHECKING:
    from torch import Tensor

UNIFORM = 1.8


class Options(base.Options):
    """The weights of the penalties."""

    range_penalty: float = Field(0.0, ge=0, description="weight of the penalty on max|w| / std of each analog tensor")
    kurtosis_penalty: float = Field(0.0, ge=0, description="weight of the penalty on kurtosis away from 1.8")


class Record(base.Record):
    """The weights of the penalties."""

    range: float
    kurtosis: float


class Lever(base.Lever[Options]):
    """Adds the penalties to the loss."""

    Options = Options
    record_type = Record
    example: ClassVar[Mapping[str, Any]] = {"range_penalty": 0.1, "kurtosis_penalty": 0.1}
    order = 80

    def penalty(self, training: base.Training) -> Tensor:
        """The penalty on all analog tensors."""
        options = self.options
        weights = training.net.analog_weights(self.plan.digital)
        return penalty(weights, options.range_penalty, options.kurtosis_penalty)

    def record(self) -> Record:
        """The weights of the penalties."""
        return Record(range=self.options.range_penalty, kurtosis=self.options.kurtosis_penalty)


def kurtosis(weight: Tensor) -> Tensor:
    """Fourth standardised moment: 1.8 for a uniform, 3 for a normal distribution.

    Example:
        >>> import torch
        >>> kurtosis(torch.tensor([-1.0, 1.0])).item()
        1.0
    """
    centred = weight - weight.mean()
    return centred.pow(4).mean() / centred.square().mean().clamp_min(1e-24).square()


def range_in_deviations(weight: Tensor) -> Tensor:
    """The largest weight in standard deviations.

    Example:
        >>> import torch
        >>> range_in_deviations(torch.tensor([-1.0, 1.0])).item()
        1.0
    """
    return weight.abs().max() / weight.std(unbiased=False).clamp_min(1e-12)


def penalty(weights: Mapping[str, Any], range_weight: float, kurtosis_weight: float) -> Tensor:
    r"""The penalty on all analog tensors.

    Equation: :math:`\frac{1}{n} \sum_l a \max|W_l| / s_l + b\,(\mathrm{kurt}(W_l) - 1.8)^2`

    Args:
        weights: Analog weights by key, with a ``tensor`` each.
        range_weight: a, >= 0.
        kurtosis_weight: b, >= 0.

    Returns:
        A scalar with gradients.
    """
    import torch

    tensors = [weight.tensor for weight in weights.values() if weight.tensor.numel() > 1]
    terms = [
        range_weight * range_in_deviations(tensor) + kurtosis_weight * (kurtosis(tensor) - UNIFORM).square()
        for tensor in tensors
    ]
    return torch.stack(terms).mean()
