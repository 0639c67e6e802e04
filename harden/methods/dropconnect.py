"""DropConnect: noisy weights, some of them missing."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """How many weights are missing."""

    probability: float = Field(
        0.05, ge=0, lt=1, description="Share of weights that a step drops, no unit; Wan et al. use 0.5 from scratch"
    )


class Method(Objective):
    r"""Noise injection on a random part of the weights.

    Equation: :math:`L = \ell(f(x; M \odot (W + E) / (1 - p)), y)`, each entry of M 0 with probability p, else 1. The
    division keeps the mean, so nothing has to be scaled afterwards.

    Use it against devices that fail altogether, or as a plain regulariser.

    Source: Wan et al., "Regularization of neural networks using DropConnect", ICML 2013; with noise as in aihwkit's
    drop-connect modifier. The scaling is ours.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("dropconnect", {"probability": 0.1}).config.probability
        0.1
    """

    summary = "Noise injection with a random part of the weights missing"
    cost = "1F 1B"
    source = "Wan et al., ICML 2013"
    reduces: ClassVar = {"probability": 0.0}
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss with masked noisy weights."""
        weights = {key: self._dropped(key, w, batch) for key, w in noise.draw("noise").items()}
        loss = batch.loss(net(*batch.inputs, weights=weights, update_statistics=True))
        return StepResult(loss, {"task": loss.item()})

    def _dropped(self, key: str, weight: Tensor, batch: Batch) -> Tensor:
        keep = 1 - self.config.probability
        mask = torch.empty(weight.shape).bernoulli_(keep, generator=batch.generator("drop", key))
        return weight * mask.to(weight) / keep
