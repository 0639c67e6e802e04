"""Nodes put behind values of a graph; everything else stays, names included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from onnx import helper

from harden.graph.editor import Editor
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
    by_value = {item.value: item for item in insertions}
    if not by_value:
        return model
    editor = Editor(model.proto)
    editor.name_nodes()
    for value in [name for node in editor.graph.node for name in node.output if name in by_value]:
        item, raw = by_value[value], editor.fresh_name(f"{value}.harden.raw")
        operands = [""] * len(item.operands)
        for position, array in enumerate(item.operands):
            if array is not None:
                operands[position] = editor.add_constant(item.operand(position), array)
        node = editor.rename_output(value, raw)
        if node is not None:
            made = helper.make_node(item.op, [raw, *operands], [value], name=f"{value}.harden.{item.op}")
            editor.insert_after(node, [made])
    return model.replaced(editor.proto)
