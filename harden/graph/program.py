"""A model's graph, checked and flattened: numbered values, nodes in order, and where each stored tensor lives.

Every value of the graph, of nested graphs and of inlined local functions has a number of its own, so one list holds a
whole run. Number 0 stands for an input that is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from onnx import ModelProto

from harden.graph.ops import Operator
from harden.graph.storage import Slot


@dataclass(eq=False)
class Body:
    """A nested graph of If, Loop or Scan; its label is that of the node with the attribute's name, and a slash."""

    nodes: list[Node]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    label: str


@dataclass(eq=False)
class Node:
    """One operation on numbered values.

    Attributes:
        op: The operator's type.
        domain: Its domain; the empty string is ONNX's own.
        version: The opset version that says what it means.
        label: Its name, or ``Type_number`` where it has none; unique in the program.
        inputs: The values it reads; 0 for one that is left out.
        outputs: The values it writes; 0 for one that is left out.
        attributes: Its attributes, as Python values and torch tensors.
        operator: Its implementation; None where there is none.
        bodies: Nested graphs by attribute name.
        captured: Outer values that the nested graphs read.
        carried: Whether a QuantizeLinear hands its integers on as floats, so that gradients pass.
    """

    op: str
    domain: str
    version: int
    label: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    operator: Operator | None = None
    bodies: dict[str, Body] = field(default_factory=dict)
    captured: tuple[int, ...] = ()
    carried: bool = False

    def differentiable(self, position: int) -> bool:
        """Whether gradients reach the input at ``position``."""
        if self.operator is None or (self.op == "QuantizeLinear" and not self.carried):
            return False
        return self.operator.differentiable(position)

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute called ``name``, or ``default``."""
        return self.attributes.get(name, default)


@dataclass(eq=False)
class Program:
    """The flattened graph.

    Attributes:
        names: The name of each value; ``names[0]`` is empty.
        nodes: The main graph's nodes, in an order in which they can run.
        inputs: The graph's true inputs (those without an initializer).
        outputs: The graph's outputs.
        stored: Tensors that the file holds, by the value they give.
        opsets: Opset version by domain.
        input_types: The ONNX element type that each input declares; 0 for none.
        proto: The file, to infer shapes from.
    """

    names: list[str]
    nodes: list[Node]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    stored: dict[int, Slot]
    opsets: dict[str, int]
    input_types: tuple[int, ...] = ()
    proto: ModelProto = field(default_factory=ModelProto)

    def walk(self) -> Iterator[Node]:
        """Every node, nested ones after the node that holds them."""
        yield from walk(self.nodes)

    def giving(self, names: Sequence[str]) -> Program:
        """The same program with these values of the main graph as its outputs; without any, with its own."""
        return replace(self, outputs=tuple(self.names.index(name, 1) for name in names)) if names else self


def walk(nodes: list[Node]) -> Iterator[Node]:
    """Every node of a list, nested ones after the node that holds them."""
    for node in nodes:
        yield node
        for body in node.bodies.values():
            yield from walk(body.nodes)
