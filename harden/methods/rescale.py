"""Rescaling without data and without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.errors import VerificationError
from harden.methods.base import Options, Transform, Transformed, listed
from harden.transforms import new_nodes, rescale


class Config(Options):
    """How closely the function has to be kept."""

    tolerance: float = Field(
        1e-4,
        gt=0,
        le=1e-2,
        description="Largest change of an output, as a share of the outputs' largest; the project's rule",
    )


class Method(Transform):
    r"""Scale channels up and down so that noise relative to a tensor's largest weight harms less.

    Equation: :math:`W_{oi} \to W_{oi} s_o / s_i`, with the s undone where the channel is read; the s minimise the noise
    relative to the signal, summed over layers. No node is added, unless ``--allow-new-nodes`` permits a ``Mul`` behind
    layers without a batch norm: then every output channel has a scale of its own there, too.

    Use it first: it takes seconds to a minute, needs no data, and leaves the clean function as it is. It does nothing
    for noise that is relative to each weight or to each column.

    Source: Nagel et al., ICCV 2019, arXiv 1906.04721, for scaling across layers; the objective is ours.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("rescale").needs_data
        False
    """

    summary = "Channels rescaled, the function unchanged: no data, no training, a minute at most"
    cost = "2F"
    source = "after Nagel et al., ICCV 2019, arXiv 1906.04721"
    Config: ClassVar[type[Options]] = Config

    def apply(
        self,
        model: Any,
        batches: Sequence[tuple[Tensor, ...]],
        profile: Any,
        *,
        at_s: float | None = None,
        digital: Sequence[str] = (),
        seed: int = 0,
        allow_new_nodes: bool = False,
    ) -> Transformed:
        """The rescaled model.

        Raises:
            VerificationError: The rescaled network does not compute the same.
        """
        net = model.module().eval()
        transform = new_nodes if allow_new_nodes else rescale
        rescaled, record = transform.rescale_model(model, batches[0], digital)
        error = relative_change(net, rescaled.module().eval(), batches[0])
        if error > self.config.tolerance:
            raise VerificationError(
                f"rescaling changed the outputs by {error:.1e} of their largest", fix="Report this graph; it is a bug"
            )
        return Transformed(rescaled, {**record, "change": error})


@torch.no_grad()
def relative_change(before: Any, after: Any, inputs: tuple[Tensor, ...]) -> float:
    """Largest difference of two networks' outputs, as a share of the largest output."""
    errors = [
        float((a - b).abs().max() / a.abs().max().clamp_min(1e-30))
        for a, b in zip(listed(before(*inputs)), listed(after(*inputs)), strict=True)
        if a.is_floating_point() and a.numel()
    ]
    return max(errors, default=0.0)
