"""The optimizers, and the learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from harden.training.plan import TrainingPlan


def build(parameters: Mapping[str, torch.nn.Parameter], plan: TrainingPlan) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum 0.9, or AdamW. Tensors of one axis (biases, norms) are not decayed."""
    groups = [
        {"params": [p for p in parameters.values() if p.dim() > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in parameters.values() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=plan.learning_rate)
    return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=0.9, nesterov=True)


def factor(step: int, total: int, warmup: float) -> float:
    """The learning rate of a step as a share of its peak: a linear rise, then a half cosine to zero.

    Args:
        step: From 0.
        total: Steps of the run.
        warmup: Share of the steps spent rising, in [0, 1).

    Example:
        >>> [round(factor(step, 4, 0.25), 3) for step in range(4)]
        [1.0, 1.0, 0.75, 0.25]
    """
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(total - rising, 1)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use this learning rate from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradient(parameters: Mapping[str, torch.nn.Parameter], largest: float) -> float:
    """Scale the gradient so that its 2-norm is at most ``largest``.

    Returns:
        The norm before scaling; not finite where the gradient is not.
    """
    trained = [p for p in parameters.values() if p.grad is not None]
    return float(torch.nn.utils.clip_grad_norm_(trained, largest))
