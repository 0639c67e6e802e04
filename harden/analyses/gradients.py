"""Gradients of the loss on perturbed weights, for the analyses that need them. In torch; no reported number is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from harden.errors import UnsupportedError
from harden.evaluation.outputs import Kind


def loss_and_gradients(
    module: torch.nn.Module,
    weights: Mapping[str, torch.Tensor],
    x: Sequence[np.ndarray],
    labels: np.ndarray,
    kind: Kind,
) -> tuple[float, dict[str, torch.Tensor]]:
    """Cross-entropy of a batch at these weights, and its gradient for each of them.

    Args:
        module: The graph module, in evaluation mode.
        weights: By analog key; not modified.
        x: The model's inputs, each [B, ...].
        labels: [B].
        kind: What the model's output means.

    Returns:
        The mean loss, and gradients by key (zeros where the loss does not depend on a weight).

    Raises:
        UnsupportedError: No gradient reaches any weight.
    """
    leaves = {k: w.detach().clone().requires_grad_() for k, w in weights.items()}
    output: Any = module(*(torch.from_numpy(np.ascontiguousarray(part)) for part in x), weights=leaves)
    first = output[0] if isinstance(output, tuple) else output
    loss = functional.nll_loss(_log_p(first.reshape(len(labels), -1), kind), torch.from_numpy(labels))
    if not loss.requires_grad:
        raise UnsupportedError("no gradient reaches the analog weights", fix="Leave this analysis out for this model")
    partial = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = {k: torch.zeros_like(w) if g is None else g for (k, w), g in zip(leaves.items(), partial, strict=True)}
    return float(loss.detach()), gradients


def _log_p(z: torch.Tensor, kind: Kind) -> torch.Tensor:
    if kind == "logits":
        return functional.log_softmax(z, dim=1)
    if kind == "binary_logit":
        return functional.log_softmax(torch.cat([torch.zeros_like(z), z], dim=1), dim=1)
    p = torch.cat([1 - z, z], dim=1) if kind == "binary_probability" else z
    return p.clamp_min(1e-12).log()
