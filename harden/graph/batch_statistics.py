"""Batch norm by the statistics of a batch whose slices are in several processes, with its gradient.

torch's own (``SyncBatchNorm``) is for GPUs only. With R slices of n numbers per channel, their means m_r and variances
v_r are exchanged, once forward; two sums per channel are, once backward:

.. math:: m = \\overline{m_r}, \\quad v = \\overline{v_r + (m_r - m)^2}, \\quad
   \\frac{\\partial L}{\\partial x} = \\frac{\\gamma}{\\sqrt{v + \\epsilon}} \\Big(\\delta - \\frac{1}{nR} \\sum \\delta
   - \\hat x\\, \\frac{1}{nR} \\sum \\delta \\hat x\\Big)

Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979); Ioffe
and Szegedy, arXiv 1502.03167, for the gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from harden import distributed


def shared_batch_norm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise by the statistics of all slices.

    Args:
        x: [B, C, ...], this process's slice; all slices have the same shape.
        scale: [C].
        bias: [C].
        epsilon: Added to the variance.

    Returns:
        The normalised slice; mean and biased variance of all slices, [C], without gradients.
    """
    return _Shared.apply(x, scale, bias, epsilon)  # pyright: ignore[reportReturnType]


def move_(mean: Tensor, variance: Tensor, seen: tuple[Tensor, Tensor], share: float, count: int) -> None:
    """Move running statistics as torch does: by ``share``, with the unbiased variance of ``count`` numbers."""
    with torch.no_grad():
        mean.lerp_(seen[0].to(mean.dtype), share)
        variance.lerp_((seen[1] * (count / max(count - 1, 1))).to(variance.dtype), share)


def count(x: Tensor) -> int:
    """Numbers a channel in all slices."""
    return distributed.slices() * x.numel() // x.shape[1]


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bias: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
        variances, means = torch.var_mean(x, _axes(x), correction=0)
        slices = distributed.gathered(torch.stack([means, variances]))
        mean = slices[:, 0].mean(0)
        variance = (slices[:, 1] + (slices[:, 0] - mean).square()).mean(0)
        ctx.save_for_backward(x, scale, mean, torch.rsqrt(variance + epsilon))
        ctx.mark_non_differentiable(mean, variance)
        return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, scale, mean, inverse = ctx.saved_tensors
        normal = (x - _channels(mean, x)) * _channels(inverse, x)
        by_scale, by_bias = (grads[0] * normal).sum(_axes(x)), grads[0].sum(_axes(x))
        with distributed.together():  # gradients on a GPU are computed in a thread of their own, which does not know
            sums = distributed.total(torch.stack([by_scale, by_bias])) / count(x)
        inner = grads[0] - _channels(sums[1], x) - normal * _channels(sums[0], x)
        return inner * _channels(scale * inverse, x), by_scale, by_bias, None


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]


def _channels(vector: Tensor, x: Tensor) -> Tensor:
    return vector.reshape(1, -1, *[1] * (x.dim() - 2))
