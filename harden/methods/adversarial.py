"""Adversarial parameter regularisation: the outputs must not move when weights move against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from harden.methods._weights import clean, gradients, normal_like
from harden.methods.base import Batch, Network, Noise, Objective, Options, Outputs, StepResult, each


class Config(Options):
    """Hyper-parameters of the attack and of its weight."""

    beta: float = Field(
        0.1,
        ge=0,
        le=10,
        description="Weight of the robustness term, no unit; the paper uses 0.01 to 0.5, the largest that "
        "keeps validation accuracy",
    )
    attack_size: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Half the box around each weight as a share of it, no unit; the paper trains at 0.1",
    )
    attack_steps: int = Field(3, ge=1, le=50, description="Gradient steps of the attack; paper: 3 on CIFAR-10, 10 else")
    start: float = Field(
        1e-3,
        ge=0,
        le=0.1,
        description="Random start of the attack as a share of each weight, no unit; the authors' code",
    )
    forward_noise: bool = Field(
        True, description="Whether the task loss sees the profile's noise; the paper's strongest variant has it"
    )


class Method(Objective):
    r"""Attack the weights within a relative box, and train the outputs to stay.

    Equation:

    .. math:: L = \ell(f(x; W + E), y) + \beta\, \mathrm{KL}\big(p(x; W) \,\|\, p(x; W^*)\big)

    .. math:: W^* = W + |W| \odot D, \quad
       D_0 = \epsilon R, \quad
       D_t = \mathrm{clip}\big(D_{t-1} + \tfrac{\zeta}{N} \mathrm{sign}\, \nabla_{W^*} \mathrm{KL}, -\zeta, \zeta\big)

    The gradient is exact: signs are constants, so :math:`dW^*/dW = 1 + \mathrm{sign}(W) \odot D`, and both arguments
    of the divergence have gradients. Weights that are zero are never attacked. Without ``forward_noise`` the task loss
    is taken at W itself, which saves a pass.

    Use it where the worst chips or adversarial weights count, and noise injection with clipping is not enough.

    Source: Büchel, Faber, Muir, ICLR 2022, arXiv 2106.05009.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("adversarial", {"attack_steps": 1}).config.beta
        0.1
    """

    summary = "Outputs held against adversarial weights in relative boxes (APR)"
    cost = "6F 6B"
    passes = (6, 6)
    source = "Büchel et al., ICLR 2022, arXiv 2106.05009"
    reduces: ClassVar = {"beta": 0.0}
    Config: ClassVar[type[Options]] = Config

    def passes_a_step(self) -> tuple[float, float]:
        """The clean pass, the steps of the attack, the attacked pass, and one for the noise."""
        count = self.config.attack_steps + (3 if self.config.forward_noise else 2)
        return count, count

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss plus the divergence under attack."""
        config = self.config
        weights = clean(noise)
        outputs = net(*batch.inputs, weights=weights, update_statistics=not config.forward_noise)
        attacked = {
            key: w + w.abs() * d
            for (key, w), d in zip(weights.items(), self._attack(net, batch, weights, outputs), strict=True)
        }
        robustness = batch.divergence(outputs, net(*batch.inputs, weights=attacked))
        if config.forward_noise:
            task = batch.loss(net(*batch.inputs, weights=noise.draw("noise"), update_statistics=True))
        else:
            task = batch.loss(outputs)
        loss = task + config.beta * robustness
        return StepResult(loss, {"task": task.item(), "robustness": robustness.item()})

    def _attack(self, net: Network, batch: Batch, weights: Mapping[str, Tensor], outputs: Outputs) -> list[Tensor]:
        """The relative deviations D that the attack ends with."""
        return list(attack(net, batch, weights, outputs, self.config).values())


def attack(
    net: Network, batch: Batch, weights: Mapping[str, Tensor], outputs: Outputs, config: Any
) -> dict[str, Tensor]:
    """Projected gradient ascent of the divergence from ``outputs``, within relative boxes around ``weights``.

    Returns:
        Deviations by key, as shares of the weights' sizes, each within [-attack_size, attack_size].
    """
    reference = each(Tensor.detach, outputs)
    size = config.attack_size
    fixed = {key: w.detach() for key, w in weights.items()}
    shares = {key: config.start * normal_like(w, batch.generator("attack", key)) for key, w in fixed.items()}
    for _ in range(config.attack_steps):
        tried = {key: (w + w.abs() * shares[key]).requires_grad_() for key, w in fixed.items()}
        ascent = gradients(batch.divergence(reference, net(*batch.inputs, weights=tried)), tried)
        for key, gradient in ascent.items():
            shares[key] = (shares[key] + size / config.attack_steps * gradient.sign()).clamp(-size, size)
    return shares
