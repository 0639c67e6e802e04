"""Gradients of the loss on perturbed weights, for the analyses that need them. In torch; no reported number is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from harden.errors import UnsupportedError
from harden.tasks import Task


def loss_and_gradients(
    module: torch.nn.Module,
    weights: Mapping[str, torch.Tensor],
    x: Sequence[np.ndarray],
    labels: np.ndarray,
    task: Task,
) -> tuple[float, dict[str, torch.Tensor]]:
    """The task's loss of a batch at these weights, and its gradient for each of them.

    Args:
        module: The graph module, in evaluation mode, with the outputs that the task looks at.
        weights: By analog key; not modified.
        x: The model's inputs, each [B, ...].
        labels: [B].
        task: What the network is for.

    Returns:
        The mean loss, and gradients by key (zeros where the loss does not depend on a weight).

    Raises:
        UnsupportedError: No gradient reaches any weight.
    """
    leaves = {k: w.detach().clone().requires_grad_() for k, w in weights.items()}
    outputs: Any = module(*(torch.from_numpy(np.ascontiguousarray(part)) for part in x), weights=leaves)
    loss = task.loss(outputs, torch.from_numpy(labels))
    if not loss.requires_grad:
        raise UnsupportedError("no gradient reaches the analog weights", fix="Leave this analysis out for this model")
    partial = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = {k: torch.zeros_like(w) if g is None else g for (k, w), g in zip(leaves.items(), partial, strict=True)}
    return float(loss.detach()), gradients
