"""Attention and rotary embeddings, as single operators."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from harden.graph.ops import operator
from harden.graph.program import Node

Tensor = torch.Tensor


@operator("Attention", since=23, learned=(0, 1, 2), analog=(0, 1, 2), fixed=(6,))
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
    cap = node.get("softcap", 0.0)
    capped = cap * torch.tanh(scores / cap) if cap else scores
    bias = _bias(node, scores, mask, past_key, valid)
    biased = capped if bias is None else capped + bias
    weights = functional.softmax(biased, -1)
    if bias is not None:
        # A query that may see no key at all has no weights.
        blind = (bias == float("-inf")).all(-1, keepdim=True)
        weights = torch.where(blind, torch.zeros_like(weights), weights)
    result = weights @ value
    if flat:
        result = result.transpose(1, 2).reshape(result.shape[0], result.shape[2], -1)
    return result, *present, (scores, capped, biased, weights)[node.get("qk_matmul_output_mode", 0)]


def _bias(node: Node, scores: Tensor, mask: Tensor | None, past: Tensor | None, valid: Tensor | None) -> Tensor | None:
    """What is added to the scores: the mask, and minus infinity beyond the causal, window and padding limits."""
    queries, keys = scores.shape[-2:]
    allowed: Tensor | None = None
    causal = bool(node.get("is_causal", 0))
    left, right = node.get("left_window_size", -1), node.get("right_window_size", -1)
    columns = torch.arange(keys, device=scores.device)
    if causal or left >= 0 or right >= 0:
        rows = torch.arange(queries, device=scores.device).reshape(-1, 1)
        if past is not None:
            rows = rows + past.shape[2]
        elif valid is not None:
            rows = rows + (valid.reshape(-1, 1, 1, 1) - queries)
        ahead = columns - rows
        limits = [ahead <= 0] if causal else []
        limits += [-ahead <= left] if left >= 0 else []
        limits += [ahead <= right] if right >= 0 else []
        for limit in limits:
            allowed = limit if allowed is None else allowed & limit
    if valid is not None:
        inside = columns < valid.reshape(-1, 1, 1, 1)
        allowed = inside if allowed is None else allowed & inside
    bias = None if mask is None else _additive(mask, keys, scores.dtype)
    if allowed is None:
        return bias
    limit = torch.zeros(allowed.shape, dtype=scores.dtype, device=scores.device).masked_fill(~allowed, float("-inf"))
    return limit if bias is None else bias + limit


def _additive(mask: Tensor, keys: int, dtype: torch.dtype) -> Tensor:
    """A mask as numbers to add; keys beyond it are blocked."""
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, float("-inf"))
    missing = keys - mask.shape[-1]
    return functional.pad(mask, [0, missing], value=float("-inf")) if missing > 0 else mask


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
    turned, rest = x[..., :size], x[..., size:]
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
    result = torch.cat([turned, rest], -1)
    return result.transpose(1, 2).reshape(shape) if flat else result
