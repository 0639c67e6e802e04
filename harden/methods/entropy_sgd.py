"""Entropy-SGD: the gradient of the loss smoothed over a neighbourhood, found by Langevin dynamics."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.methods._weights import clean, everything, normal_like, task_gradients
from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """Hyper-parameters of Entropy-SGD."""

    rounds: int = Field(5, ge=1, le=100, description="Langevin steps, L; Büchel et al. use 10, the paper 20")
    rate: float = Field(0.1, gt=0, le=10, description="Step size of the Langevin dynamics; Büchel et al. and the paper")
    gamma: float = Field(
        0.03, ge=0, le=10, description="Stiffness of the spring to the weights, no unit; the authors' code"
    )
    average: float = Field(0.75, gt=0, le=1, description="Weight of the newest position in the running mean; paper")
    temperature: float = Field(
        1e-4, ge=0, le=1, description="Factor on the Langevin noise, unit of weights; paper (its thermal noise)"
    )


class Method(Objective):
    r"""Walk noisily around the weights, and pull them to where the walk was on average.

    Equation:

    .. math:: w_{k+1} = w_k - \eta' \big(\nabla \ell(f(x; w_k + E_k), y) - \gamma (W - w_k)\big) + \sqrt{\eta'}\,
    \epsilon N_k

    .. math:: \mu_{k+1} = (1 - \alpha) \mu_k + \alpha w_{k+1}, \qquad \nabla L = (W - \mu_L) / c

    c is what makes the gradient of a linear loss come out right: :math:`\eta'` times the mean number of steps behind
    :math:`\mu_L`. The paper takes a fresh mini-batch for every step of the walk, this one stays with the step's own,
    and its noise is drawn anew. Only analog weights walk; all other parameters get the mean gradient over the walk.

    Use it as a baseline for flat minima; Büchel et al. report no gain over plain training.

    Source: Chaudhari et al., ICLR 2017, arXiv 1611.01838.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("entropy_sgd", {"rounds": 10}).config.rounds
        10
    """

    summary = "Entropy-SGD: the gradient of a loss smoothed by Langevin dynamics"
    cost = "6F 5B"
    passes = (6, 5)
    source = "Chaudhari et al., ICLR 2017, arXiv 1611.01838"
    reduces: ClassVar = {}
    Config: ClassVar[type[Options]] = Config

    def passes_a_step(self) -> tuple[float, float]:
        """One each per step of the walk, and a forward pass for the running statistics."""
        return self.config.rounds + 1, self.config.rounds

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss of the first round, with the smoothed gradient."""
        config = self.config
        start = clean(noise)
        place = {key: w.detach().clone() for key, w in start.items()}
        mean = dict(place)
        others: dict[str, Tensor] = {}
        first = 0.0
        for r in range(config.rounds):
            deviation = {key: (w - start[key]).detach() for key, w in noise.draw(f"round{r}" if r else "noise").items()}
            weights = everything(net, {key: (w + deviation[key]).requires_grad_() for key, w in place.items()})
            loss, gradients = task_gradients(net, batch, weights)
            first = loss if r == 0 else first
            for key, gradient in gradients.items():
                if key in place:
                    place[key] = self._walked(key, place[key], start[key].detach(), gradient, batch, r)
                else:
                    others[key] = others.get(key, 0) + gradient / config.rounds
            mean = {key: (1 - config.average) * m + config.average * place[key] for key, m in mean.items()}
        pull = {key: (start[key].detach() - m) / reach(config) for key, m in mean.items()}
        return StepResult(self._with_gradient(net, batch, noise, first, start, pull, others), {"task": first})

    def _walked(self, key: str, place: Tensor, home: Tensor, gradient: Tensor, batch: Batch, r: int) -> Tensor:
        config = self.config
        kick = normal_like(place, batch.generator("langevin", r, key))
        force = gradient - config.gamma * (home - place)
        return place - config.rate * force + math.sqrt(config.rate) * config.temperature * kick

    def _with_gradient(
        self,
        net: Network,
        batch: Batch,
        noise: Noise,
        value: float,
        start: dict[str, Tensor],
        pull: dict[str, Tensor],
        others: dict[str, Tensor],
    ) -> Tensor:
        """A scalar of this value whose gradient is the smoothed one, also through tied or transposed weights."""
        with torch.no_grad():
            net(*batch.inputs, weights=noise.draw("noise"), update_statistics=True)
        parameters = dict(net.named_parameters())
        terms = [(start[key] * gradient).sum() for key, gradient in pull.items()]
        terms += [(parameters[name] * gradient).sum() for name, gradient in others.items()]
        surrogate = torch.stack(terms).sum()
        return surrogate - surrogate.detach() + value


def reach(config: Config) -> float:
    """How far a constant unit gradient moves the running mean: the divisor that turns the pull into a gradient.

    Example:
        >>> reach(Config(rounds=1, rate=0.1, average=1.0))
        0.1
    """
    place = mean = 0.0
    for _ in range(config.rounds):
        place += config.rate * (1 - config.gamma * place)
        mean = (1 - config.average) * mean + config.average * place
    return mean
