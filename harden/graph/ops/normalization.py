"""Normalisations."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from harden import distributed
from harden.errors import ModelError
from harden.graph.batch_statistics import count, move_, shared_batch_norm
from harden.graph.ops import MICROSOFT, operator
from harden.graph.plan import Frame
from harden.graph.program import Node

Tensor = torch.Tensor


@operator("BatchNormalization", learned=(1, 2), fixed=(3, 4), frame=True)
def batch_norm(
    node: Node, frame: Frame, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    """Normalise each channel by running statistics, or, in training, by the batch's.

    The running statistics move as torch moves them: by 1 - ``momentum``, with the unbiased variance.
    Before opset 9, ``spatial=0`` gives every element of an example statistics of its own.

    Raises:
        ModelError: The file asks for the batch's statistics: what an example gets would depend on its neighbours.
    """
    if node.get("training_mode", 0):
        raise ModelError(
            "BatchNormalization in training mode (training_mode=1) normalises by the batch at hand, so that answers "
            "depend on the order of the examples",
            where=node.label,
            fix="Export for inference: module.eval() and, in torch.onnx.export, training=TrainingMode.EVAL",
        )
    if scale.dim() > 1:
        flat = (each.flatten() for each in (scale, bias, mean, variance))
        normal = batch_norm(node, frame, x.flatten(1), *flat)
        return normal.reshape(x.shape)
    epsilon, momentum = node.get("epsilon", 1e-5), node.get("momentum", 0.9)
    dtype = x.dtype
    if mean.dtype != dtype:
        # Half precision: statistics are kept, and the norm computed, in single.
        x, scale, bias = x.to(mean.dtype), scale.to(mean.dtype), bias.to(mean.dtype)
    shared = distributed.slices() > 1
    if not frame.training:
        return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon).to(dtype)
    moves = frame.update and not mean.requires_grad and not frame.frozen.intersection(node.inputs[3:5])
    if shared:
        result, *found = shared_batch_norm(x, scale, bias, epsilon)
        if moves:
            move_(mean, variance, (found[0], found[1]), 1 - momentum, count(x))
        return result.to(dtype)
    if not moves:
        return functional.batch_norm(x, None, None, scale, bias, True, 0.0, epsilon).to(dtype)
    return functional.batch_norm(x, mean, variance, scale, bias, True, 1 - momentum, epsilon).to(dtype)


@operator("InstanceNormalization", learned=(1, 2))
def instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalise each channel of each example by its own statistics."""
    return _group_norm(x, x.shape[1], node.get("epsilon", 1e-5)) * _per_channel(scale, x) + _per_channel(bias, x)


@operator("GroupNormalization", since=18, learned=(1, 2))
def group_norm_by_group(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalise groups of channels; one scale and bias per group (opset 18)."""
    groups = node.get("num_groups")
    repeat = x.shape[1] // groups
    normal = _group_norm(x, groups, node.get("epsilon", 1e-5))
    return normal * _per_channel(scale.repeat_interleave(repeat), x) + _per_channel(bias.repeat_interleave(repeat), x)


@operator("GroupNormalization", since=21, learned=(1, 2))
def group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalise groups of channels; one scale and bias per channel (opset 21)."""
    normal = _group_norm(x, node.get("num_groups"), node.get("epsilon", 1e-5))
    return normal * _per_channel(scale, x) + _per_channel(bias, x)


@operator("LayerNormalization", learned=(1, 2))
def layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
    """Normalise all axes from ``axis`` on, with scale and bias over those."""
    axis = node.get("axis", -1) % x.dim()
    epsilon = node.get("epsilon", 1e-5)
    shape = x.shape[axis:]
    if len(node.outputs) == 1 and scale.shape == shape and (bias is None or bias.shape == shape):
        return functional.layer_norm(x, shape, scale, bias, epsilon)
    axes = list(range(axis, x.dim()))
    mean = x.mean(axes, keepdim=True)
    inverse = torch.rsqrt((x - mean).square().mean(axes, keepdim=True) + epsilon)
    result = (x - mean) * inverse * scale
    return (result if bias is None else result + bias), mean, inverse


@operator("RMSNormalization", learned=(1,))
def rms_norm(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    """Divide by the root of the mean square over all axes from ``axis`` on."""
    axis = node.get("axis", -1) % x.dim()
    axes = list(range(axis, x.dim()))
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + node.get("epsilon", 1e-5)) * scale


@operator("LRN")
def local_response_norm(node: Node, x: Tensor) -> Tensor:
    """Divide by a power of the sum of squares over neighbouring channels."""
    size = node.get("size")
    before, after = (size - 1) // 2, math.ceil((size - 1) / 2)
    squares = functional.pad(x.square().unsqueeze(1), [0, 0] * (x.dim() - 2) + [before, after]).squeeze(1)
    windows = squares.unfold(1, size, 1).sum(-1)
    return x / (node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * windows) ** node.get("beta", 0.75)


@operator("LpNormalization")
def lp_norm(node: Node, x: Tensor) -> Tensor:
    """Divide by the first or second norm along one axis; zeros stay zero."""
    axis = node.get("axis", -1)
    norm = x.abs().sum(axis, keepdim=True) if node.get("p", 2) == 1 else x.norm(dim=axis, keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


@operator("MeanVarianceNormalization")
def mean_variance_norm(node: Node, x: Tensor) -> Tensor:
    """Subtract the mean and divide by the deviation over the given axes."""
    axes = node.get("axes", [0, 2, 3])
    mean = x.mean(axes, keepdim=True)
    deviation = (x.square().mean(axes, keepdim=True) - mean.square()).sqrt()
    return (x - mean) / (deviation + 1e-9)


@operator("SkipLayerNormalization", domain=MICROSOFT, learned=(2, 3, 4))
def skip_layer_norm(
    node: Node, x: Tensor, skip: Tensor, scale: Tensor, bias: Tensor | None = None, extra: Tensor | None = None
) -> tuple[Tensor | None, ...]:
    """Layer norm of the sum of two inputs and a bias; the sum is the fourth output."""
    total = x + skip if extra is None else x + skip + extra
    result = functional.layer_norm(total, total.shape[-1:], scale, bias, node.get("epsilon", 1e-12))
    return result, None, None, total


def _group_norm(x: Tensor, groups: int, epsilon: float) -> Tensor:
    shape = x.shape
    flat = x.reshape(shape[0], groups, -1)
    centred = flat - flat.mean(-1, keepdim=True)
    return (centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + epsilon)).reshape(shape)


def _per_channel(vector: Tensor, x: Tensor) -> Tensor:
    return vector.reshape(-1, *[1] * (x.dim() - 2))
