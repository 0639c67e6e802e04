"""The noise of a training run: several profiles taking turns, over-noised, ramped up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from harden.noise.sampler import NoiseSampler
from harden.training.plan import TrainingPlan


class TrainingNoise:
    """Noisy weights for every step of a run.

    Args:
        plan: Profiles, ``train_sigma_scale``, ``noise_ramp``, seed.
        weights: The analog weights as they are now, by key.
    """

    def __init__(self, plan: TrainingPlan, weights: Callable[[], Mapping[str, Any]]) -> None:
        self._plan = plan
        self._samplers = [
            NoiseSampler(profile, weights, seed=plan.seed, path=("train", i), at_s=at_s)
            for i, (profile, at_s) in enumerate(plan.profiles)
        ]

    def at(self, step: int, progress: float) -> StepNoise:
        """The noise of one step; profiles take turns."""
        sampler = self._samplers[step % len(self._samplers)]
        return StepNoise(sampler.at(step), self.strength(progress))

    def strength(self, progress: float) -> float:
        """The noise as a multiple of the profile's, at this share of the training."""
        ramp = self._plan.noise_ramp
        return self._plan.train_sigma_scale * (min(progress / ramp, 1.0) if ramp > 0 else 1.0)


class StepNoise:
    """One step's noise, its severity times a factor."""

    def __init__(self, sampler: NoiseSampler, factor: float) -> None:
        self.profile = sampler.profile
        self._sampler = sampler
        self._factor = factor

    def draw(self, stream: str, severity: float = 1.0, sigma: float | None = None) -> dict[str, Tensor]:
        """Weights with noise, by key."""
        return self._sampler.draw(stream, severity * self._factor, sigma)
