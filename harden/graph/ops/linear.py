"""Matrix products."""

from __future__ import annotations

import torch
from torch.nn import functional

from harden.graph.ops import MICROSOFT, every_position, operator
from harden.graph.program import Node

Tensor = torch.Tensor


@operator("MatMul", learned=(0, 1), analog=(0, 1))
def matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """The matrix product, batched over leading axes."""
    return torch.matmul(a, b)


@operator("Gemm", learned=(0, 1, 2), analog=(0, 1))
def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """``alpha A B + beta C``, A and B perhaps transposed."""
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    a = a.t() if node.get("transA", 0) else a
    if alpha == 1 and beta == 1 and (c is None or c.dim() == 1):
        return functional.linear(a, b if node.get("transB", 0) else b.t(), c)
    product = a @ (b.t() if node.get("transB", 0) else b)
    product = product if alpha == 1 else product * alpha
    if c is None:
        return product
    return product + (c if beta == 1 else c * beta)


@operator("Einsum", learned=every_position(), analog=every_position())
def einsum(node: Node, *inputs: Tensor) -> Tensor:
    """The sum that the equation asks for."""
    return torch.einsum(node.get("equation").replace(" ", ""), *inputs)


@operator("FusedMatMul", domain=MICROSOFT, learned=(0, 1), analog=(0, 1))
def fused_matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """``alpha A B``; each of A and B may have its first axis moved behind its batch axes, and then be transposed."""
    a = a.movedim(0, -2) if node.get("transBatchA", 0) else a
    b = b.movedim(0, -2) if node.get("transBatchB", 0) else b
    a = a.transpose(-1, -2) if node.get("transA", 0) else a
    b = b.transpose(-1, -2) if node.get("transB", 0) else b
    return torch.matmul(a, b) * node.get("alpha", 1.0)


@operator("Det")
def det(node: Node, x: Tensor) -> Tensor:
    """The determinant of each matrix."""
    return torch.det(x)
