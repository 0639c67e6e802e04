"""The noise of a training run: several conditions taking turns, times the levers' factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from harden.levers import Lever
from harden.noise.sampler import NoiseSampler
from harden.training.plan import TrainingPlan


class TrainingNoise:
    """Noisy weights for every step of a run.

    Args:
        plan: Conditions, seed.
        weights: The analog weights as they are now, by key.
        levers: Those that are on; each has a factor of the noise.
    """

    def __init__(
        self, plan: TrainingPlan, weights: Callable[[], Mapping[str, Any]], levers: Sequence[Lever[Any]] = ()
    ) -> None:
        self._levers = levers
        self._samplers = [
            NoiseSampler(condition.profile, weights, seed=plan.seed, path=("train", i), at_s=condition.at_s)
            for i, condition in enumerate(plan.conditions)
        ]

    def at(self, step: int, progress: float) -> StepNoise:
        """The noise of one step; conditions take turns."""
        sampler = self._samplers[step % len(self._samplers)]
        return StepNoise(sampler.at(step), self.strength(progress))

    def strength(self, progress: float) -> float:
        """The noise as a multiple of the profile's, at this share of the training."""
        return math.prod((lever.noise(progress) for lever in self._levers), start=1.0)


class StepNoise:
    """One step's noise, its severity times a factor."""

    def __init__(self, sampler: NoiseSampler, factor: float) -> None:
        self.profile = sampler.profile
        self._sampler = sampler
        self._factor = factor

    def draw(self, stream: str, severity: float = 1.0, sigma: float | None = None) -> dict[str, Tensor]:
        """Weights with noise, by key."""
        return self._sampler.draw(stream, severity * self._factor, sigma)
