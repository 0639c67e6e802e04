"""How far two networks' outputs say the same of the same examples, without knowing what they mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harden import distributed


class Concordance:
    r"""Lin's concordance correlation of an output with its reference, over examples that come in parts.

    Equation: :math:`\rho = \frac{2 \sum_j \mathrm{cov}(a_j, b_j)}
    {\sum_j \mathrm{var}(a_j) + \mathrm{var}(b_j) + (\bar a_j - \bar b_j)^2}`, j over the elements of an example's
    output, moments over the examples.

    1 is equality, 0 an output that does not follow the examples. A squared error is no substitute: to it, an output
    that is the same for every example is nearer to the reference than one that noise has made large.

    Source: Lin, Biometrics 45, 255 (1989), for scalars; the sums over elements are ours.

    Example:
        >>> concordance = Concordance()
        >>> concordance.add(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1.0]]))
        >>> round(concordance.value(), 3)  # 2 * 0.5 / (1 + 0.25 + 0.25)
        0.667
    """

    def __init__(self) -> None:
        self._examples = 0
        self._sums = (torch.zeros(()), torch.zeros(()))
        self._squares = 0.0
        self._products = 0.0

    def add(self, reference: Tensor, output: Tensor) -> None:
        """Count these examples in.

        Args:
            reference: What is right, [B, ...].
            output: What was said, of the same shape.
        """
        a, b = (x.detach().double().reshape(len(x), -1) for x in (reference, output))
        self._examples += len(a)
        self._sums = self._sums[0] + a.sum(0).cpu(), self._sums[1] + b.sum(0).cpu()
        self._squares += float(a.square().sum() + b.square().sum())
        self._products += float((a * b).sum())

    def value(self) -> float:
        """The concordance of what was added, in [-1, 1]; 1 for outputs that are equal and never vary, -1 if any number
        is not finite."""
        n = self._examples
        first, second = (total / n for total in self._sums)
        covariance = self._products / n - float((first * second).sum())
        # Sum of the variances and of the squared distance of the means; the means' own squares cancel.
        spread = self._squares / n - 2 * float((first * second).sum())
        scale = self._squares / n
        if not math.isfinite(scale):
            return -1.0
        return 1.0 if spread <= 1e-12 * scale else 2 * covariance / spread


def relative_error(reference: Tensor, output: Tensor) -> Tensor:
    """Squared error over the reference's variance.

    Example:
        >>> relative_error(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0])).item()
        1.0
    """
    centre = distributed.mean(reference.mean())
    spread = distributed.mean((reference - centre).square().mean())
    return (output - reference).square().mean() / spread.clamp_min(1e-12)
