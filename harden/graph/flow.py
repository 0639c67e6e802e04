"""Which values follow the inputs, by their numbers or by their shapes, and what loops carry along.

A weight that is expanded to the batch, or that a Loop carries to its products unchanged, is still the file's own: the
numbers that reach a product are told from the numbers that inputs feed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harden.graph.program import Body, Node, Program, walk


@dataclass(frozen=True)
class Carried:
    """One state of a Loop or Scan: the operand it begins with, the body's view of it, and what comes out.

    Attributes:
        position: Of the operand that it begins with.
        begins: The operand.
        inside: The body's input.
        goes_on: The body's output.
        ends: The node's output; 0 where that is left out.
    """

    position: int
    begins: int
    inside: int
    goes_on: int
    ends: int


def carried(node: Node) -> Iterator[Carried]:
    """The states of a Loop or Scan."""
    body = node.bodies.get("body")
    if body is None:
        return
    if node.op == "Loop":
        states, begins, goes_on = range(2, len(node.inputs)), 2, 1
    else:
        states, begins, goes_on = range(len(node.inputs) - node.get("num_scan_inputs", 0)), 0, 0
    for position in states:
        index = position - begins
        ends = node.outputs[index] if index < len(node.outputs) else 0
        if position < len(body.inputs) and index + goes_on < len(body.outputs):
            yield Carried(position, node.inputs[position], body.inputs[position], body.outputs[index + goes_on], ends)


def scanned(node: Node) -> Iterator[tuple[int, int]]:
    """The inputs that a Scan takes slice by slice: their positions, and the body's inputs."""
    body = node.bodies.get("body")
    if node.op == "Scan" and body is not None:
        first = len(node.inputs) - node.get("num_scan_inputs", 0)
        yield from ((position, body.inputs[position]) for position in range(first, len(node.inputs)))


def yielded(node: Node) -> Iterator[tuple[int, int]]:
    """What leaves nested graphs, apart from states: outputs of the graphs, and those of the node."""
    if "body" not in node.bodies:
        for body in node.bodies.values():
            yield from zip(body.outputs, node.outputs, strict=False)
        return
    states = len(list(carried(node)))
    results = node.bodies["body"].outputs[states + (1 if node.op == "Loop" else 0) :]
    yield from zip(results, node.outputs[states:], strict=False)


def unchanged(node: Node) -> Iterator[Carried]:
    """The states that every turn hands on as they are."""
    for state in carried(node):
        if _origin(node.bodies["body"], state.goes_on) == state.inside:
            yield state


def _origin(body: Body, value: int) -> int:
    """The value that Identity nodes of a nested graph have copied."""
    copies = {inner.outputs[0]: inner.inputs[0] for inner in body.nodes if inner.op == "Identity"}
    while value in copies:
        value = copies[value]
    return value


def same_values(program: Program) -> dict[int, int]:
    """For each value of a loop that is another one in every turn and after it, the outermost such value."""
    same: dict[int, int] = {}
    for node in program.walk():
        for state in unchanged(node):
            outer = same.get(state.begins, state.begins)
            same[state.inside] = outer
            if state.ends:
                same[state.ends] = outer
    return same


def follows(program: Program, *, shapes: bool) -> list[bool]:
    """Whether each value depends on the numbers of the graph's inputs, or on draws.

    Args:
        program: The graph.
        shapes: Whether what depends on the shapes of inputs counts as well.
    """
    fed = [False] * len(program.names)
    for value in program.inputs:
        fed[value] = True
    _follow(program.nodes, fed, shapes)
    return fed


def _follow(nodes: list[Node], fed: list[bool], shapes: bool) -> None:
    for node in nodes:
        if node.operator is not None and node.operator.shape_only and not shapes:
            continue
        draws = any(_draws(item) for item in walk([node]))
        is_fed = draws or any(fed[value] for value in (*node.inputs, *node.captured))
        for body in node.bodies.values():
            for value in body.inputs:
                fed[value] = is_fed
            for state in unchanged(node):
                fed[state.inside] = fed[state.begins]
            _follow(body.nodes, fed, shapes)
        for value in node.outputs:
            fed[value] = is_fed
        for state in unchanged(node):
            fed[state.ends] = fed[state.begins]
        fed[0] = False


def _draws(node: Node) -> bool:
    return node.op.startswith("Random") or node.op in ("Bernoulli", "Multinomial")
