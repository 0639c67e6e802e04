"""Attention and rotary embeddings, as single operators."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from harden.graph.ops import operator
from harden.graph.program import Node

Tensor = torch.Tensor


@operator("Attention", since=23, fixed=(6,))
def attention(
    node: Node,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    valid: Tensor | None = None,
) -> tuple[Tensor | None, ...]:
    """Scaled dot-product attention with grouped heads, masks, soft caps and a cache of earlier keys and values."""
    flat = query.dim() == 3
    if flat:
        query = _heads(query, node.get("q_num_heads"))
        key, value = _heads(key, node.get("kv_num_heads")), _heads(value, node.get("kv_num_heads"))
    if past_key is not None and past_value is not None:
        key, value = torch.cat([past_key, key], 2), torch.cat([past_value, value], 2)
    present = key, value
    repeat = query.shape[1] // key.shape[1]
    if repeat > 1:
        key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    scale = math.sqrt(node.get("scale", 1 / math.sqrt(query.shape[-1])))
    scores = (query * scale) @ (key * scale).transpose(-1, -2)
    bias = _bias(node, scores, mask, past_key, valid)
    stages = {0: scores}
    cap = node.get("softcap", 0.0)
    if node.version >= 24:
        scores = cap * torch.tanh(scores / cap) if cap else scores
        stages[2] = scores
        scores = scores if bias is None else scores + bias
        stages[1] = scores
    else:
        scores = scores if bias is None else scores + bias
        stages[1] = scores
        scores = cap * torch.tanh(scores / cap) if cap else scores
        stages[2] = scores
    weights = functional.softmax(scores, -1)
    weights = torch.where(torch.isnan(weights), torch.zeros_like(weights), weights)
    stages[3] = weights
    result = weights @ value
    if flat:
        result = result.transpose(1, 2).reshape(result.shape[0], result.shape[2], -1)
    return result, *present, stages[node.get("qk_matmul_output_mode", 0)]


def _bias(node: Node, scores: Tensor, mask: Tensor | None, past: Tensor | None, valid: Tensor | None) -> Tensor | None:
    """What is added to the scores: the mask, the causal triangle, the limits of padded keys."""
    queries, keys = scores.shape[-2:]
    bias: Tensor | None = None
    blocked = float("-inf")
    if mask is not None:
        bias = (
            torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, blocked) if mask.dtype == torch.bool else mask
        )
        missing = keys - bias.shape[-1]
        if missing > 0:
            bias = functional.pad(bias, [0, missing], value=blocked)
    if node.get("is_causal", 0):
        offset = 0 if past is None else past.shape[2]
        rows = torch.arange(queries, device=scores.device).reshape(-1, 1) + offset
        later = torch.arange(keys, device=scores.device).reshape(1, -1) > rows
        triangle = torch.zeros(queries, keys, dtype=scores.dtype, device=scores.device).masked_fill(later, blocked)
        bias = triangle if bias is None else bias + triangle
    if valid is not None:
        beyond = torch.arange(keys, device=scores.device) >= valid.reshape(-1, 1, 1, 1)
        padding = torch.zeros(beyond.shape, dtype=scores.dtype, device=scores.device).masked_fill(beyond, blocked)
        bias = padding if bias is None else bias + padding
    return bias


def _heads(x: Tensor, count: int) -> Tensor:
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


@operator("RotaryEmbedding", since=23, fixed=(3,))
def rotary_embedding(node: Node, x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | None = None) -> Tensor:
    """Rotate pairs of features by angles that grow with the position."""
    flat = x.dim() == 3
    shape = x.shape
    if flat:
        x = _heads(x, node.get("num_heads"))
    size = node.get("rotary_embedding_dim", 0) or x.shape[-1]
    turned, kept = x[..., :size], x[..., size:]
    if positions is not None:
        cos, sin = cos[positions], sin[positions]
    cos, sin = cos[..., : size // 2].unsqueeze(1), sin[..., : size // 2].unsqueeze(1)
    if node.get("interleaved", 0):
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned.chunk(2, -1)
    real, imaginary = cos * a - sin * b, sin * a + cos * b
    if node.get("interleaved", 0):
        turned = torch.stack([real, imaginary], -1).reshape(turned.shape)
    else:
        turned = torch.cat([real, imaginary], -1)
    result = torch.cat([turned, kept], -1)
    return result.transpose(1, 2).reshape(shape) if flat else result
