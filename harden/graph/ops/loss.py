"""Losses that some files carry along."""

from __future__ import annotations

import torch
from torch.nn import functional

from harden.graph.ops import operator
from harden.graph.program import Node

Tensor = torch.Tensor


@operator("NegativeLogLikelihoodLoss", fixed=(1, 2))
def nll_loss(node: Node, x: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """The negative log-likelihood of target classes."""
    return _nll(node, x, target, weight)


@operator("SoftmaxCrossEntropyLoss", fixed=(1, 2))
def cross_entropy(node: Node, x: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The cross entropy of target classes, and the log-probabilities."""
    log_probabilities = functional.log_softmax(x, 1)
    return _nll(node, log_probabilities, target, weight), log_probabilities


def _nll(node: Node, x: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    ignored = node.get("ignore_index")
    valid = torch.ones_like(target, dtype=torch.bool) if ignored is None else target != ignored
    classes = torch.where(valid, target, torch.zeros_like(target)).long()
    losses = -x.gather(1, classes.unsqueeze(1)).squeeze(1)
    scale = valid.to(x.dtype) if weight is None else weight[classes] * valid
    losses = losses * scale
    mode = node.get("reduction", "mean")
    if mode == "none":
        return losses
    return losses.sum() if mode == "sum" else losses.sum() / scale.sum()
