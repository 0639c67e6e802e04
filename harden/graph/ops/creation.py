"""Tensors made from nothing but shapes and constants."""

from __future__ import annotations

import math

import torch

from harden.errors import ModelError
from harden.graph.ops import OWN, operator
from harden.graph.ops._help import bounded, ints
from harden.graph.program import Node
from harden.graph.tensors import elements, torch_type

Tensor = torch.Tensor


@operator("Constant", gradient=False)
def constant(node: Node) -> Tensor:
    """A constant that a calling node's attribute decides; all others are tensors of the file."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in node.attributes:
            value = node.attributes[name]
            if isinstance(value, torch.Tensor):
                return value
            return torch.tensor(value, dtype=torch.int64 if "int" in name else torch.float32)
    raise ModelError("strings and sparse constants are not supported", where=node.label)


@operator("ConstantOfShape", gradient=False, host=(0,))
def constant_of_shape(node: Node, shape: Tensor) -> Tensor:
    """A tensor full of one number, zero by default."""
    value = node.get("value")
    value = torch.zeros(1) if value is None else value
    return torch.full(bounded(ints(shape)), value.reshape(-1)[0].item(), dtype=value.dtype)


@operator("Densify", domain=OWN)
def densify(node: Node, values: Tensor) -> Tensor:
    """A sparse initializer as the dense tensor that the graph reads."""
    shape = node.get("shape")
    flat = torch.zeros(elements(shape), dtype=values.dtype, device=values.device)
    return flat.index_put((node.get("positions").to(values.device),), values).reshape(shape)


@operator("Range", gradient=False, host=(0, 1, 2))
def range_(node: Node, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Numbers from ``start`` up to ``limit`` in steps of ``delta``."""
    first, last, step = start.item(), limit.item(), delta.item()
    count = max(math.ceil((last - first) / step), 0)
    bounded([count])
    return (
        (torch.arange(count, dtype=torch.float64) * step + first).to(start.dtype)
        if start.is_floating_point()
        else (torch.arange(count, dtype=torch.int64) * step + first).to(start.dtype)
    )


@operator("EyeLike", gradient=False, shape_only=True)
def eye_like(node: Node, x: Tensor) -> Tensor:
    """Ones on a diagonal, zeros elsewhere, in the input's shape."""
    dtype = torch_type(node.get("dtype")) if "dtype" in node.attributes else x.dtype
    rows, columns = x.shape
    places = torch.arange(columns).reshape(1, -1) - torch.arange(rows).reshape(-1, 1)
    return (places == node.get("k", 0)).to(dtype)
