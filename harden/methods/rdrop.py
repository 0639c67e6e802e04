"""R-Drop with weight noise in place of dropout: two chips must agree."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """Hyper-parameters of R-Drop."""

    alpha: float = Field(1.0, ge=0, le=50, description="Weight of the disagreement, no unit; the paper uses 0.6 to 5")


class Method(Objective):
    r"""Train two noisy draws of the same weights on the same examples, and to agree.

    Equation:

    .. math:: L = \tfrac12 \big(\ell(z_1, y) + \ell(z_2, y)\big)
       + \tfrac{\alpha}{2} \big(\mathrm{KL}(p_1 \| p_2) + \mathrm{KL}(p_2 \| p_1)\big)

    Use it where chips should agree with each other, not only be right.

    Source: Liang et al., "R-Drop", NeurIPS 2021, arXiv 2106.14448, with weight noise instead of dropout masks.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("rdrop").config.alpha
        1.0
    """

    summary = "Two noisy draws of the weights trained to agree"
    cost = "2F 2B"
    passes = (2, 2)
    source = "Liang et al., NeurIPS 2021, arXiv 2106.14448"
    reduces: ClassVar = {"alpha": 0.0}
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """Mean task loss of two draws plus their disagreement."""
        first = net(*batch.inputs, weights=noise.draw("noise"), update_statistics=True)
        second = net(*batch.inputs, weights=noise.draw("second"))
        task = (batch.loss(first) + batch.loss(second)) / 2
        disagreement = (batch.divergence(first, second) + batch.divergence(second, first)) / 2
        loss = task + self.config.alpha * disagreement
        return StepResult(loss, {"task": task.item(), "disagreement": disagreement.item()})
