"""Weights away from where they are: what the inner loops of adversarial and flat-minimum methods need."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harden import distributed
from harden.methods.base import Batch, Network, Noise


def clean(noise: Noise) -> dict[str, Tensor]:
    """The analog weights without noise, by key, with gradients to the parameters."""
    return noise.draw("clean", severity=0.0)


def everything(net: Network, noisy: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All that can be replaced in a forward pass: noisy weights by key, every other parameter by name."""
    return {**{name: p for name, p in net.named_parameters() if name not in noisy}, **noisy}


def gradients(loss: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of the whole batch's loss at each weight that it depends on, by key."""
    gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return distributed.averaged({key: g.detach() for key, g in zip(weights, gradients, strict=True) if g is not None})


def task_gradients(net: Network, batch: Batch, weights: Mapping[str, Tensor]) -> tuple[float, dict[str, Tensor]]:
    """The task loss at these weights and its gradient there, from a pass that moves no running statistics."""
    loss = batch.loss(net(*batch.inputs, weights=weights))
    return float(loss.detach()), gradients(loss, weights)


def moved(weights: Mapping[str, Tensor], shifts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with constant shifts added; gradients flow to the weights."""
    return {key: w + shifts[key] if key in shifts else w for key, w in weights.items()}


def normal_like(weight: Tensor, source: torch.Generator) -> Tensor:
    """Standard normal numbers in the form of a weight, drawn on the generator's device."""
    return torch.empty_like(weight, device=source.device).normal_(generator=source).to(weight.device)


def norm(tensors: Mapping[str, Tensor]) -> Tensor:
    """2-norm over all tensors.

    Example:
        >>> norm({"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}).item()
        5.0
    """
    return torch.stack([tensor.square().sum() for tensor in tensors.values()]).sum().sqrt()
