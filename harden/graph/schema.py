"""What ONNX's own schemas say about a node: how many inputs, which attributes, of which type."""

from __future__ import annotations

from functools import lru_cache

import onnx
from onnx import AttributeProto, NodeProto

from harden.graph.ops import NEWEST


@lru_cache(maxsize=4096)
def _schema(op: str, version: int, domain: str) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return None


def _kind(attribute: onnx.defs.OpSchema.Attribute) -> AttributeProto.AttributeType:
    return attribute.type.value  # type: ignore[attr-defined]


def problems(node: NodeProto, version: int, domain: str, label: str) -> list[str]:
    """Everything in which a node is not what its schema says; nothing for operators without a schema.

    Args:
        node: The node.
        version: The opset version in force.
        domain: The node's domain, ONNX's own as the empty string.
        label: What to call the node.
    """
    schema = _schema(node.op_type, version, domain) if 0 < version < NEWEST else None
    if schema is None:
        return []
    where = f"{node.op_type} '{label}'"
    faults = []
    if not schema.min_input <= len(node.input) <= schema.max_input:
        faults.append(f"{where} has {len(node.input)} inputs, not {schema.min_input} to {schema.max_input}")
    if not schema.min_output <= len(node.output) <= schema.max_output:
        faults.append(f"{where} has {len(node.output)} outputs, not {schema.min_output} to {schema.max_output}")
    seen = set()
    for attribute in node.attribute:
        if attribute.name in seen:
            faults.append(f"{where} has the attribute '{attribute.name}' twice")
        seen.add(attribute.name)
        declared = schema.attributes.get(attribute.name)
        if declared is not None and _kind(declared) != attribute.type:
            kind = AttributeProto.AttributeType.Name(_kind(declared))
            faults.append(f"{where}: the attribute '{attribute.name}' is not of the type {kind}")
    missing = [name for name, item in schema.attributes.items() if item.required and name not in seen]
    return faults + [f"{where} lacks the attribute '{name}'" for name in missing]
