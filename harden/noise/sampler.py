"""What a training objective sees of the noise: draws of noisy weights by name of a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from harden.noise.profile import Profile
from harden.noise.reference import AnalogWeightLike


@dataclass(frozen=True)
class NoiseSampler:
    """Noisy weights of the current parameters, one stream per name, one set of streams per step.

    Args:
        profile: The device.
        weights: Gives the current weights; they carry autograd to the parameters.
        seed: Root seed of the streams.
        path: The path of this consumer; draws never meet those of another path.
        at_s: Seconds since programming; None is the profile's first valid time.
        step: The training step.

    Example:
        >>> import torch
        >>> sampler = NoiseSampler(Profile.load("gaussian"), lambda: {"w": torch.ones(4)}, seed=0, path=("train",))
        >>> first, again = sampler.at(1).draw("main")["w"], sampler.at(1).draw("main")["w"]
        >>> bool((first == again).all()), bool((first == sampler.at(2).draw("main")["w"]).any())
        (True, False)
    """

    profile: Profile
    weights: Callable[[], Mapping[str, AnalogWeightLike] | Mapping[str, Tensor]]
    seed: int
    path: tuple[str | int, ...]
    at_s: float | None = None
    step: int = 0

    def at(self, step: int) -> NoiseSampler:
        """The sampler of another step."""
        return replace(self, step=step)

    def draw(self, stream: str, severity: float = 1.0, sigma: float | None = None) -> dict[str, Tensor]:
        """Draw noisy weights.

        Args:
            stream: Equal names give equal draws within a step.
            severity: Times the profile's noise; 0 gives the weights themselves.
            sigma: The noise level in absolute terms (`Profile.with_sigma`) instead of the profile's own.

        Returns:
            By key, noisy weights through which gradients reach the parameters.
        """
        profile = self.profile if sigma is None else self.profile.with_sigma(sigma)
        path = (*self.path, self.step, stream)
        return profile.perturb(self.weights(), seed=self.seed, path=path, at_s=self.at_s, severity=severity)
