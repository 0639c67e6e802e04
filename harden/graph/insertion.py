"""Nodes put behind values of a graph; everything else stays, names included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from harden.graph.storage import node_label

if TYPE_CHECKING:
    from harden.graph.file import Model


@dataclass(frozen=True)
class Insertion:
    """A node to put behind a value: everything that read the value reads what the node makes of it.

    Attributes:
        value: The value's name, made by a node of the main graph; afterwards it names the new node's output.
        op: The node's type.
        operands: Its inputs beside the value, in order; None leaves one out.
    """

    value: str
    op: str
    operands: tuple[np.ndarray | None, ...]

    def operand(self, position: int) -> str:
        """The name of an operand's tensor in the file."""
        return f"{self.value}.harden.{self.op}.{position}"


def insert(model: Model, insertions: Iterable[Insertion]) -> Model:
    """The model with nodes inserted.

    Nodes without a name get the one they go by (their type and position), which an insertion would move.

    Args:
        model: The model; it stays as it is.
        insertions: At most one for each value; values that no node of the main graph makes are left alone.
    """
    from harden.graph.file import Model

    wanted = {item.value: item for item in insertions}
    if not wanted:
        return model
    proto = ModelProto()
    proto.CopyFrom(model.proto)
    nodes = []
    for index, node in enumerate(proto.graph.node):
        node.name = node_label(node, index)
        nodes.append(node)
        for place, name in enumerate(node.output):
            item = wanted.get(name)
            if item is None:
                continue
            node.output[place] = f"{name}.harden.raw"
            operands = ["" if array is None else item.operand(i) for i, array in enumerate(item.operands)]
            made = helper.make_node(item.op, [node.output[place], *operands], [name], name=f"{name}.harden.{item.op}")
            nodes.append(made)
            arrays = ((i, array) for i, array in enumerate(item.operands) if array is not None)
            proto.graph.initializer.extend(numpy_helper.from_array(a, item.operand(i)) for i, a in arrays)
    copies = []
    for node in nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copies.append(copy)
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
    return Model(proto, model.source)
