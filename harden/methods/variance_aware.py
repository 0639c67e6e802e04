"""Variance-aware noisy training: the level of the noise is drawn for every step."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator

from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """How the level is drawn; the paper's schedule is not public, so the defaults are ours."""

    distribution: Literal["uniform", "lognormal"] = Field("uniform", description="Law of the level; ours")
    low: float = Field(0.0, ge=0, description="Smallest level of 'uniform', as a factor on the profile's noise; ours")
    high: float = Field(2.0, ge=0, description="Largest level of 'uniform', as a factor on the profile's noise; ours")
    spread: float = Field(
        0.5,
        ge=0,
        le=2,
        description="Standard deviation of the level's logarithm for 'lognormal', whose median is 1; ours",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Config:
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


class Method(Objective):
    r"""Noise injection at a level that changes from step to step.

    Equation: :math:`L = \ell(f(x; W + s E), y)`, with :math:`s \sim U[\mathrm{low}, \mathrm{high}]` or
    :math:`\ln s \sim N(0, \mathrm{spread}^2)`, one draw per step.

    Use it where the noise in the field is not known exactly: temperature, drift, chips of several corners.

    Source: after Wang, Borras, Klein, Fröning, arXiv 2503.16183 (2025), whose abstract says no more about the schedule.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("variance_aware", {"high": 3}).config.high
        3.0
    """

    summary = "Noise injection at a level drawn for every step"
    cost = "1F 1B"
    source = "after Wang et al., arXiv 2503.16183"
    Config: ClassVar[type[Options]] = Config

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss on one draw at the step's own level."""
        level = self._level(batch.generator("level"))
        loss = batch.loss(net(*batch.inputs, weights=noise.draw("noise", level), update_statistics=True))
        return StepResult(loss, {"task": loss.item(), "level": level})

    def _level(self, source: torch.Generator) -> float:
        config = self.config
        if config.distribution == "uniform":
            return float(torch.empty((), dtype=torch.float64).uniform_(config.low, config.high, generator=source))
        return float(torch.empty((), dtype=torch.float64).normal_(0, config.spread, generator=source).exp())
