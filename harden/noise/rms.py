"""The realised noise of a chip by tensor: equal parameters are not equal stress, so every evaluation reports it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from harden.noise.profile import Profile
from harden.noise.reference import AnalogWeightLike


def rms_noise(
    profile: Profile,
    weights: Mapping[str, AnalogWeightLike] | Mapping[str, Tensor],
    chip: Mapping[str, Tensor] | None = None,
    *,
    seed: int = 0,
    at_s: float | None = None,
) -> dict[str, dict[str, float]]:
    """RMS(w' − w) of each tensor, relative to max|w| and to RMS(w).

    Args:
        profile: The device.
        weights: By key: uses on a crossbar, or plain tensors.
        chip: The noisy weights; chip 0 of the seed is drawn if they are not given.
        seed: Root seed, for a chip that is drawn here.
        at_s: Seconds since programming, for a chip that is drawn here.

    Returns:
        By key: ``relative_to_max`` and ``relative_to_rms``; 0 for a tensor of zeros that stays one.

    Example:
        >>> import torch
        >>> noise = rms_noise(Profile.parse("worst_case:bound=0.1"), {"w": torch.tensor([[1.0, -1.0, 0.0, 0.0]])})
        >>> {key: round(value, 4) for key, value in noise["w"].items()}
        {'relative_to_max': 0.1, 'relative_to_rms': 0.1414}
    """
    drawn = profile.chip(weights, seed=seed, index=0, at_s=at_s) if chip is None else chip
    result: dict[str, dict[str, float]] = {}
    for key, use in weights.items():
        weight = (use if isinstance(use, Tensor) else use.tensor).detach()
        noise = _rms(drawn[key].detach().double() - weight.double())
        largest = float(weight.abs().max()) if weight.numel() else 0.0
        result[key] = {
            "relative_to_max": _ratio(noise, largest),
            "relative_to_rms": _ratio(noise, _rms(weight.double())),
        }
    return result


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt()) if values.numel() else 0.0


def _ratio(noise: float, size: float) -> float:
    return noise / size if size else 0.0 if noise == 0 else float("inf")


def pooled(
    noise: Mapping[str, Mapping[str, float]], weights: Mapping[str, AnalogWeightLike] | Mapping[str, Tensor]
) -> float:
    """One number for a model: the root mean square, over all weights, of the noise over its tensor's max|w|.

    Example:
        >>> import torch
        >>> weights = {"a": torch.ones(3), "b": torch.ones(1)}
        >>> pooled({"a": {"relative_to_max": 0.0}, "b": {"relative_to_max": 0.2}}, weights)
        0.1
    """
    sizes = {key: (use if isinstance(use, Tensor) else use.tensor).numel() for key, use in weights.items()}
    total = sum(sizes[key] * value["relative_to_max"] ** 2 for key, value in noise.items())
    return (total / max(sum(sizes.values()), 1)) ** 0.5
