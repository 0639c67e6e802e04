"""Give every crossbar an initializer of its own.

In a file one tensor may be read by several crossbars and by what is none, may be a Constant node, or may reach its node
through Identity, Transpose or DequantizeLinear. Noise belongs to the crossbar, so the runtime copy has one initializer
for each, holding the value that arrives where its numbers enter the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from onnx import ModelProto, NodeProto, helper

from harden.errors import ModelError
from harden.graph.analog import AnalogWeight, Entry
from harden.graph.editor import OVERRIDABLE, Editor, make_constant


@dataclass(frozen=True)
class Rewritten:
    """A model whose analog uses have initializers of their own.

    Attributes:
        proto: The rewritten model, values inline.
        initializers: The initializer's name of each analog key.
        readers: By the name of each crossbar's value, the places of the products that read it, in their order.
        exact: No number was re-expressed on the way: clean outputs must equal the file's bit for bit.
    """

    proto: ModelProto
    initializers: dict[str, str]
    readers: dict[str, list[str]]
    exact: bool


def split_uses(proto: ModelProto, uses: Mapping[str, AnalogWeight]) -> Rewritten:
    """Rewrite a model so that each analog use has its own initializer.

    Args:
        proto: The model; not modified.
        uses: Analog uses by key.

    Returns:
        The rewritten model and the initializers' names.

    Raises:
        ModelError: A use cannot be found in the graph.
    """
    editor = Editor(proto)
    editor.proto.ir_version = max(editor.proto.ir_version, OVERRIDABLE)
    make_constant(editor.graph)  # an initializer that stays an input would be overridable, and computed otherwise
    nodes = editor.labelled(_label(entry) for use in uses.values() for entry in use.entries)
    names: dict[str, str] = {}
    readers: dict[str, list[str]] = {}
    for key, use in uses.items():
        value = use.tensor.detach().cpu().contiguous().numpy()
        names[key] = editor.add_constant(editor.fresh_name(key), value)
        for entry in use.entries:
            node = nodes.get(_label(entry))
            if node is None:
                what = f"no node of the graph reads the tensor '{use.name}' here"
                raise ModelError(what, where=f"node '{entry.label}'", fix="Load the model again")
            turned = names[key] if entry.index is None else _turned(editor, names[key], entry.index)
            _enter(editor, node, entry, turned)
            readers.setdefault(turned, []).append(entry.place)
    editor.drop_unread({use.name for use in uses.values()})
    return Rewritten(editor.proto, names, readers, all(use.moved for use in uses.values()))


def _turned(editor: Editor, name: str, index: torch.Tensor) -> str:
    """The elements of an initializer in other places; the optimiser computes them once, when a session is opened."""
    flat = editor.add_constant(editor.fresh_name(f"{name}.flat"), np.array([-1]))
    places = editor.add_constant(editor.fresh_name(f"{name}.places"), index.numpy().astype(np.int32))
    row, turned = (editor.fresh_name(f"{name}.{what}") for what in ("row", "turned"))
    first = editor.graph.node[0]
    nodes = [helper.make_node("Reshape", [name, flat], [row]), helper.make_node("Gather", [row, places], [turned])]
    editor.insert_before(first, nodes)
    return turned


def _label(entry: Entry) -> str:
    """The node to edit: that of an entry, or that which holds the nested graph of an entry."""
    return entry.label.rstrip("/").rpartition("/")[0] if entry.label.endswith("/") else entry.label


def _enter(editor: Editor, node: NodeProto, entry: Entry, name: str) -> None:
    """Let a node, or an output of its nested graph, read a crossbar's numbers."""
    if not entry.label.endswith("/"):
        node.input[entry.position] = name
        return
    attribute = entry.label.rstrip("/").rpartition("/")[2]
    (graph,) = (item.g for item in node.attribute if item.name == attribute)
    graph.output[entry.position].name = editor.fresh_name(f"{entry.label}{entry.position}")
    graph.node.append(helper.make_node("Identity", [name], [graph.output[entry.position].name]))
