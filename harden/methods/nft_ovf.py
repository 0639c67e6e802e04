"""Negative feedback training with the network's own outputs under more noise (OVF)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from harden.methods.base import Batch, Network, Noise, Numbers, Objective, Options, Outputs, StepResult, each


class Config(Options):
    """Hyper-parameters of OVF."""

    beta: float = Field(
        1e-1, ge=0, le=1, description="Weight of the feedback, no unit, 0 to 1; the paper tunes it in 1e-4 to 1e-1"
    )
    offsets: Numbers = Field(
        (0.15, 0.10, 0.05),
        description="Added to the profile's noise level for the 1st, 2nd, ... feedback pass; that level's unit; paper",
    )
    factors: Numbers = Field(
        (2.5, 2.0, 1.5),
        description="Used in place of offsets where the profile has no single noise level: factors on its noise; ours, "
        "equal to the paper's offsets at a level of 0.1",
    )
    decay: float = Field(10.0, gt=0, description="The i-th feedback weighs decay^-i, i from 0, no unit; paper")
    scale: Literal["none", "paper"] = Field(
        "none",
        description="'paper' divides the logits by the number of passes, a temperature that a pretrained network first "
        "has to unlearn; 'none' keeps the network's own scale",
    )

    @model_validator(mode="after")
    def _same_length(self) -> Config:
        if not self.offsets or len(self.offsets) != len(self.factors):
            raise ValueError("offsets and factors need the same number of entries, at least one")
        if any(factor < 0 for factor in self.factors):
            raise ValueError("factors must not be negative")
        return self


class Method(Objective):
    r"""Subtract what the network says under more noise, and train what is left to be right.

    Equation:

    .. math:: L = \ell\Big(\big(f(x; W + E_0) - \beta \sum_{i=0}^{N-1} 10^{-i} f(x; W + E_{i+1})\big) / Z,\; y\Big)

    :math:`E_0` is the profile's noise, :math:`E_1, E_2, \ldots` are drawn with its level raised by 0.15, 0.10, 0.05.
    All analog weights see the larger noise, nothing is detached, and only the first pass moves the batch norms'
    running statistics. :math:`Z` is N + 1 in the paper (``scale="paper"``), 1 by default, because a pretrained
    network would first have to inflate its logits.

    Use it when training time allows four passes per step; it keeps confidence under noise.

    Source: Qin et al., arXiv 2305.14561, oriented variational forward.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("nft_ovf", {"scale": "paper"}).config.offsets
        (0.15, 0.1, 0.05)
    """

    summary = "Negative feedback from the network's own outputs under more noise"
    cost = "4F 4B"
    passes = (4, 4)
    source = "Qin et al., arXiv 2305.14561 (OVF)"
    reduces: ClassVar = {"beta": 0.0, "scale": "none"}
    Config: ClassVar[type[Options]] = Config

    def passes_a_step(self) -> tuple[float, float]:
        """The pass itself, and one for each feedback."""
        count = 1 + len(self.config.offsets)
        return count, count

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss of the outputs after feedback."""
        sigma = noise.profile.sigma
        outputs = net(*batch.inputs, weights=noise.draw("noise"), update_statistics=True)
        feedback = []
        for i, (offset, factor) in enumerate(zip(self.config.offsets, self.config.factors, strict=True)):
            stream = f"feedback{i}"
            weights = noise.draw(stream, factor) if sigma is None else noise.draw(stream, sigma=sigma + offset)
            feedback.append(net(*batch.inputs, weights=weights))
        loss = batch.loss(combine(outputs, feedback, self.config))
        return StepResult(loss, {"task": batch.loss(each(Tensor.detach, outputs)).item()})


def combine(outputs: Outputs, feedback: list[Outputs], config: Any) -> Outputs:
    """The outputs with the feedback taken off: (z - beta sum decay^-i h_i) / Z.

    Example:
        >>> import torch
        >>> output = torch.ones(1, 1)
        >>> round(combine(output, [output, output], Config(beta=0.5, offsets=(1, 1), factors=(1, 1))).item(), 3)
        0.45
    """
    divisor = len(feedback) + 1 if config.scale == "paper" else 1

    def combined(main: Tensor, *others: Tensor) -> Tensor:
        total = main
        for i, other in enumerate(others):
            total = total - config.beta * config.decay**-i * other
        return total / divisor

    return each(combined, outputs, *feedback)
