"""Adaptive sharpness-aware minimisation: SAM in units of each weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from harden.methods import sam
from harden.methods._weights import norm
from harden.methods.base import Options


class Config(sam.Config):
    """Hyper-parameters of ASAM."""

    rho: float = Field(
        0.5,
        ge=0,
        le=10,
        description="2-norm of the step uphill in units of each weight, no unit; the paper's CIFAR-10 value",
    )


class Method(sam.Method):
    r"""Take the gradient where the loss is highest within an ellipsoid whose axes are the weights themselves.

    Equation: :math:`L = \ell(f(x; W + E + e), y)`, :math:`e = \rho\, W^2 g / \|W g\|_2`, the norm over all weights.
    Unlike SAM it does not change when a layer is scaled up and the next one down.

    Use it in place of SAM where the noise is relative to each weight.

    Source: Kwon et al., ICML 2021, arXiv 2102.11600, without the paper's small constant added to \|W\|.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("asam").config.rho
        0.5
    """

    summary = "Adaptive sharpness-aware minimisation under noise"
    source = "Kwon et al., ICML 2021, arXiv 2102.11600"
    Config: ClassVar[type[Options]] = Config

    def _uphill(self, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        sizes = {key: weights[key].detach().abs() for key in gradients}
        scale = self.config.rho / norm({key: sizes[key] * g for key, g in gradients.items()}).clamp_min(1e-12)
        return {key: scale * sizes[key].square() * g for key, g in gradients.items()}
