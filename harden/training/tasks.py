"""What the network's outputs should be: the labels' classes, or the clean network's outputs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harden import distributed
from harden.methods.base import Outputs, listed


def first(outputs: Outputs) -> Tensor:
    """The output that classifies: the only one, or the first."""
    return listed(outputs)[0]


def divergence(reference: Tensor, outputs: Tensor, temperature: float = 1.0) -> Tensor:
    r"""KL divergence of two networks' class probabilities.

    Equation: :math:`T^2 \, \mathrm{KL}(\mathrm{softmax}(r/T) \| \mathrm{softmax}(z/T))`, mean over the batch; the
    factor keeps the gradient's size independent of the temperature (Hinton et al., arXiv 1503.02531).

    Args:
        reference: Logits [B, C].
        outputs: Logits [B, C].
        temperature: Above 0.

    Example:
        >>> divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])).item()
        0.0
    """
    log_p = functional.log_softmax(reference / temperature, -1)
    log_q = functional.log_softmax(outputs / temperature, -1)
    return temperature**2 * functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


class Labels:
    """Cross-entropy with integer labels [B]."""

    def loss(self, outputs: Outputs, targets: Tensor) -> Tensor:
        """Mean cross-entropy of the logits [B, C]."""
        return functional.cross_entropy(first(outputs), targets)

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """KL of the class probabilities; see :func:`divergence`."""
        return divergence(first(reference), first(outputs), temperature)


class Match:
    """The outputs of the clean network are right: for any graph, any number of outputs, no labels.

    The loss is the squared error relative to the reference's own spread, mean over outputs: 0 is equality, and an
    output that is constant where the reference varies scores 1 or more.
    """

    def loss(self, outputs: Outputs, targets: Outputs) -> Tensor:
        """Distance from the reference outputs."""
        return self.divergence(targets, outputs)

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """Relative squared error; ``temperature`` has no meaning here."""
        pairs = zip(listed(reference), listed(outputs), strict=True)
        errors = [relative_error(a, b) for a, b in pairs if a.is_floating_point()]
        return torch.stack(errors).mean()


def relative_error(reference: Tensor, output: Tensor) -> Tensor:
    """Squared error over the reference's variance.

    Example:
        >>> relative_error(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0])).item()
        1.0
    """
    centre = distributed.mean(reference.mean())
    spread = distributed.mean((reference - centre).square().mean())
    return (output - reference).square().mean() / spread.clamp_min(1e-12)
