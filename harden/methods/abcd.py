"""Adversarial block coordinate descent: half of the weights go uphill while the other half learns."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.methods._weights import task_gradients
from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """Hyper-parameters of ABCD."""

    rounds: int = Field(2, ge=1, le=20, description="Rounds of ascent and descent a step, L; Büchel et al.")
    rate: float = Field(
        0.1, ge=0, le=100, description="Step size of the ascent, unit of weights per gradient; Büchel et al."
    )
    limit: float = Field(0.1, ge=0, le=1, description="Largest move as a share of each weight, no unit; ours")
    share: float = Field(0.5, gt=0, lt=1, description="Share of the weights that go uphill; Büchel et al.")


class Method(Objective):
    r"""In every round move a random half of the analog weights uphill, and give the other half the gradient there.

    Equation:

    .. math:: L = \frac1L \sum_{r=1}^{L} \ell\big(f(x; W + E_r + M_r \odot a_r), y\big), \quad
       a_r = \mathrm{clip}(\eta\, \nabla_W \ell, -\zeta |W|, \zeta |W|)

    M_r is a random mask. Only weights outside the mask (and all parameters that are not analog) get the round's
    gradient. The published algorithm keeps the ascended half and updates after every round; an objective leaves
    weights alone, so here the rounds are averaged and the moves forgotten.

    Use it as a baseline; Büchel et al. report no gain over plain training.

    Source: as described in Büchel et al., ICLR 2022, arXiv 2106.05009.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("abcd").config.rounds
        2
    """

    summary = "Adversarial block coordinate descent: half the weights uphill, half learning"
    cost = "4F 4B"
    passes = (4, 4)
    source = "Büchel et al., ICLR 2022, arXiv 2106.05009"
    # Each weight learns in the rounds whose mask leaves it out; the loss itself is the task's.
    reduces: ClassVar = {"limit": 0.0}
    Config: ClassVar[type[Options]] = Config

    def passes_a_step(self) -> tuple[float, float]:
        """An ascent and a descent a round."""
        return 2 * self.config.rounds, 2 * self.config.rounds

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The mean task loss of the rounds."""
        losses = []
        for r in range(self.config.rounds):
            weights = noise.draw("noise" if r == 0 else f"round{r}")
            _, gradients = task_gradients(net, batch, weights)
            moved = {key: self._moved(key, w, gradients.get(key), batch, r) for key, w in weights.items()}
            losses.append(batch.loss(net(*batch.inputs, weights=moved, update_statistics=r == 0)))
        loss = torch.stack(losses).mean()
        return StepResult(loss, {"task": loss.item()})

    def _moved(self, key: str, weight: Tensor, gradient: Tensor | None, batch: Batch, r: int) -> Tensor:
        if gradient is None:
            return weight
        source = batch.generator("block", r, key)
        mask = torch.empty(weight.shape).bernoulli_(self.config.share, generator=source).to(weight.device).bool()
        fixed = weight.detach()
        bound = self.config.limit * fixed.abs()
        ascent = (self.config.rate * gradient).clamp(-bound, bound)
        return torch.where(mask, fixed + ascent, weight)
