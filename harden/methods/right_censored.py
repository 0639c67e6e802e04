"""Right-censored noise: the favourable tail is cut off while training."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from harden.methods._weights import clean
from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """Where the noise is cut, and how strong it is."""

    threshold: float = Field(
        1.0,
        ge=0,
        le=5,
        description="Where deviations are cut, in their tensor's root mean square; the authors search 0 to 1",
    )
    scale: float = Field(
        1.0, ge=0, le=5, description="Factor on the profile's noise while training; the authors search it too"
    )
    side: Literal["right", "left", "both"] = Field(
        "right", description="Which tail is cut; the paper's is the right one"
    )
    centred: bool = Field(
        False,
        description="Whether the mean that one-sided cutting gives a normal law is taken off; a variant of the authors",
    )


class Method(Objective):
    r"""Noise injection with a distribution whose right tail is cut off.

    Equation: :math:`L = \ell(f(x; W + E'), y)`, :math:`E' = \min(E, \theta s)`, with s the root mean square of the
    tensor's drawn deviations. One-sided cutting gives the noise a mean, :math:`s\,(\theta (1 - \Phi(\theta)) -
    \varphi(\theta))` for a normal law, which ``centred`` takes off.

    Use it where a low percentile over chips counts (the paper's KPP), with ``threshold`` and ``scale`` searched.

    Source: Yan et al., ICCAD 2023, arXiv 2307.15853.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("right_censored").config.threshold
        1.0
    """

    summary = "Noise injection with the favourable tail cut off"
    cost = "1F 1B"
    source = "Yan et al., ICCAD 2023, arXiv 2307.15853"
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss on one censored draw."""
        noisy = noise.draw("noise", self.config.scale)
        weights = {key: w + self._censored((noisy[key] - w).detach()) for key, w in clean(noise).items()}
        loss = batch.loss(net(*batch.inputs, weights=weights, update_statistics=True))
        return StepResult(loss, {"task": loss.item()})

    def _censored(self, deviation: Tensor) -> Tensor:
        config = self.config
        scale = deviation.square().mean().sqrt()
        bound = config.threshold * scale
        low = -bound if config.side in ("left", "both") else None
        high = bound if config.side in ("right", "both") else None
        cut = deviation.clamp(min=low, max=high)
        if not config.centred or config.side == "both":
            return cut
        shift = mean_of_censored(config.threshold)
        return cut - scale * (shift if config.side == "right" else -shift)


def mean_of_censored(threshold: float) -> float:
    """Mean of min(g, threshold) for a standard normal g.

    Example:
        >>> round(mean_of_censored(0.0), 4)
        -0.3989
    """
    density = math.exp(-threshold * threshold / 2) / math.sqrt(2 * math.pi)
    return threshold * 0.5 * math.erfc(threshold / math.sqrt(2)) - density
