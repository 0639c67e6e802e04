"""What stands between a file and training: every missing operator at once, with the nodes that need it."""

from __future__ import annotations

from typing import TypedDict

from harden.errors import UnsupportedError
from harden.graph.program import Program

_SHOWN = 3
_INTEGER_LAYERS = ("QLinear", "QAttention", "QGemm", "DynamicQuantize", "MatMulInteger", "ConvInteger")


class Missing(TypedDict):
    """An operator that has no implementation: how many nodes need it, and their labels."""

    op: str
    domain: str
    count: int
    nodes: list[str]


def computes_on_integers(op: str) -> bool:
    """Whether an operator belongs to the form of quantisation whose layers work on integers (not QDQ)."""
    return op.startswith(_INTEGER_LAYERS)


def missing_operators(program: Program) -> list[Missing]:
    """Every operator that has no implementation."""
    labels: dict[tuple[str, str], list[str]] = {}
    for node in program.walk():
        if node.operator is None:
            labels.setdefault((node.domain, node.op), []).append(node.label)
    return [
        {"op": op, "domain": domain, "count": len(nodes), "nodes": nodes}
        for (domain, op), nodes in sorted(labels.items())
    ]


def described(entry: Missing) -> str:
    """An operator with its domain, how many nodes need it, and the first of them."""
    name = f"{entry['domain']}.{entry['op']}" if entry["domain"] else entry["op"]
    nodes = ", ".join(entry["nodes"][:_SHOWN]) + (", ..." if entry["count"] > _SHOWN else "")
    return f"{name} ({entry['count']}: {nodes})"


def raise_unsupported(program: Program) -> None:
    """Raise if an operator is missing.

    Raises:
        UnsupportedError: Names all of them, with counts and the first nodes.
    """
    missing = missing_operators(program)
    if not missing:
        return
    parts = [described(entry) for entry in missing]
    fix = "docs/operators.md lists the supported ones; export without these, or add them to harden/graph/ops"
    if any(computes_on_integers(entry["op"]) for entry in missing):
        fix = "The model is quantised with layers on integers: quantise it in QDQ form instead, or give the original"
    raise UnsupportedError(f"{len(missing)} operators are not supported: " + "; ".join(parts), fix=fix)
