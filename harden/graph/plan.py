"""How a program runs on inputs of one shape: what depends on shapes alone once, the rest as a list of steps.

Running a program for the first time on a shape traces it. A value is *static* if it follows from the input's shape and
from constants: the arithmetic that exporters emit around Reshape, Slice and Pad. Static values are kept, their nodes
dropped. A value whose very shape depends on numbers (NonZero, a data-dependent slice) never counts as static, nor does
its Shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from harden.errors import HardenError, ModelError
from harden.graph.entries import Crossbars, Entering
from harden.graph.program import Body, Node

Values = list[Any]
Observer = Callable[[Node, list[Any], tuple[Any, ...]], None]
PeripheryHook = Callable[[str, str, torch.Tensor], torch.Tensor]
"""Called with a use's place, ``"input"`` or ``"output"``, and what goes in or comes out; gives what takes its place."""
MOST_CONSTANT = 4 << 30
"""Bytes that values computed from shapes and constants alone may take in one run."""
NO_OVERRIDES: Mapping[str, torch.Tensor] = {}


@dataclass
class Frame:
    """One run in progress.

    Attributes:
        values: Every value of the program by number.
        training: Whether batch norms use the batch's statistics.
        update: Whether their running statistics move.
        crossbars: Where crossbars' numbers enter, and which products they meet.
        overrides: Weights to use in place of the program's own, by key.
        device: Where data live.
        frozen: Values whose tensors belong to the caller and are never written to.
        periphery: What stands around analog nodes, such as converters.
    """

    values: Values
    training: bool
    update: bool
    crossbars: Crossbars
    overrides: Mapping[str, torch.Tensor]
    device: torch.device
    frozen: frozenset[int] = frozenset()
    periphery: PeripheryHook | None = None

    def run(self, body: Body, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Run a nested graph."""
        for value, argument in zip(body.inputs, arguments, strict=True):
            self.values[value] = argument
        for node in body.nodes:
            self.call(node)
        results = [self.values[value] for value in body.outputs]
        if self.overrides:
            override(results, self.crossbars.entering(body.label), self.overrides)
        return tuple(results)

    def call(self, node: Node) -> tuple[Any, ...]:
        """Run one node and keep its outputs."""
        values = self.values
        arguments = [values[value] for value in node.inputs]
        if self.overrides:
            override(arguments, self.crossbars.entering(node.label), self.overrides)
        outputs = invoke(node, self, arguments)
        for value, output in zip(node.outputs, outputs, strict=False):
            values[value] = output
        values[0] = None
        return outputs


@dataclass
class Step:
    """A node of a plan, ready to run."""

    node: Node
    function: Callable[..., Any]
    framed: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    entries: tuple[Entering, ...] = ()
    products: tuple[tuple[int, str], ...] = ()
    dead: tuple[int, ...] = ()


@dataclass
class ExecutionPlan:
    """What is left to do for inputs of one shape.

    Attributes:
        constants: Static values that steps read.
        steps: Everything that has to be done each time.
        size: The number of values.
    """

    constants: dict[int, Any]
    steps: list[Step]
    size: int

    def run(self, frame: Frame) -> None:
        """Do every step on the frame's values."""
        values = frame.values
        for value, constant in self.constants.items():
            values[value] = constant
        overrides = frame.overrides
        for step in self.steps:
            arguments = [values[value] for value in step.inputs]
            if overrides and step.entries:
                override(arguments, step.entries, overrides)
            periphery = frame.periphery if step.products else None
            if periphery is not None:
                enter(arguments, step.products, periphery)
            node = step.node
            outputs = step.function(node, frame, *arguments) if step.framed else step.function(node, *arguments)
            if periphery is not None:
                outputs = leave(outputs, step.products, periphery)
            if len(step.outputs) == 1 and not isinstance(outputs, tuple):
                values[step.outputs[0]] = outputs
            else:
                for value, output in zip(step.outputs, outputs, strict=False):
                    values[value] = output
                values[0] = None
            for value in step.dead:
                values[value] = None


def override(arguments: list[Any], entries: tuple[Entering, ...], overrides: Mapping[str, torch.Tensor]) -> None:
    """Put given weights in the place of those that are read at a node."""
    for position, key, index in entries:
        if key in overrides:
            weight = overrides[key]
            if index is not None:
                weight = weight.flatten()[index.to(weight.device)]
            if weight.shape != arguments[position].shape:
                takes = list(arguments[position].shape)
                raise ModelError(f"the weight given for '{key}' has shape {list(weight.shape)}, its node takes {takes}")
            arguments[position] = weight


def enter(arguments: list[Any], products: tuple[tuple[int, str], ...], periphery: PeripheryHook) -> None:
    """Pass what meets a weight on a crossbar through the periphery: of two operands, the other one."""
    for position, place in products:
        if position <= 1:
            arguments[1 - position] = periphery(place, "input", arguments[1 - position])


def leave(outputs: Any, products: tuple[tuple[int, str], ...], periphery: PeripheryHook) -> Any:
    """Pass what comes out of a crossbar through the periphery."""
    first, *others = outputs if isinstance(outputs, tuple) else (outputs,)
    for _, place in products:
        first = periphery(place, "output", first)
    return (first, *others) if isinstance(outputs, tuple) else first


def invoke(node: Node, frame: Frame, arguments: list[Any]) -> tuple[Any, ...]:
    """Run a node's function; what torch rejects becomes an error that names the node.

    Raises:
        ModelError: The node cannot be computed on these inputs.
    """
    operator = node.operator
    if operator is None:
        raise ModelError(f"operator {node.op} is not supported", where=node.label)
    try:
        result = operator.function(node, frame, *arguments) if operator.frame else operator.function(node, *arguments)
    except HardenError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, ArithmeticError, AttributeError) as error:
        shapes = ", ".join(str(list(a.shape)) if isinstance(a, torch.Tensor) else "-" for a in arguments)
        reason = str(error).split("\n")[0]
        raise ModelError(f"cannot compute {node.op} on shapes {shapes}: {reason}", where=node.label) from error
    return result if isinstance(result, tuple) else (result,)


@dataclass
class Tracer:
    """Runs a program once, and records what has to be done again for other numbers.

    Args:
        frame: Holds the inputs, parameters and constants to begin with.
        static: Values that are known before any input is.
        shaped: Values whose shape follows from the input's shape.
        observer: Called with each node that is not static, its arguments and its outputs.
    """

    frame: Frame
    static: set[int]
    shaped: set[int]
    observer: Observer | None = None
    steps: list[Step] = field(default_factory=list)
    spent: int = 0

    def run(self, nodes: list[Node]) -> None:
        """Trace nodes in order."""
        for node in nodes:
            if node.op == "If" and node.inputs[0] in self.static:
                self._branch(node)
            else:
                self._node(node)

    def plan(self, keep: set[int], size: int) -> ExecutionPlan:
        """The plan that the trace amounts to; ``keep`` are values that must be there at the end."""
        device = self.frame.device
        needed: dict[int, bool] = dict.fromkeys(keep & self.static, True)
        last: dict[int, int] = {}
        for index, step in enumerate(self.steps):
            operator = step.node.operator
            for position, value in enumerate(step.inputs):
                last[value] = index
                if value in self.static:
                    on_device = operator is None or position not in operator.host
                    needed[value] = needed.get(value, False) or on_device
            for value in step.node.captured:
                last[value] = index
                if value in self.static:
                    needed[value] = True
        constants = {value: _moved(self.frame.values[value], device if on else None) for value, on in needed.items()}
        made = {value for step in self.steps for value in step.outputs}
        dead: dict[int, list[int]] = {}
        for value in made - keep:
            if value:
                index = last.get(value)
                if index is not None:
                    dead.setdefault(index, []).append(value)
        for index, values in dead.items():
            self.steps[index].dead = tuple(values)
        return ExecutionPlan(constants, self.steps, size)

    def _node(self, node: Node) -> None:
        frame, operator = self.frame, node.operator
        values = frame.values
        if operator is not None and not operator.frame and self._is_static(node):
            # What is kept must serve later runs with gradients, too.
            with torch.inference_mode(False), torch.no_grad():
                self._spend(node, frame.call(node))
            self.static.update(node.outputs)
            self.shaped.update(node.outputs)
            self.static.discard(0)
            return
        arguments = [values[value] for value in node.inputs]
        if operator is not None and frame.device.type != "cpu":
            arguments = [
                _moved(a, frame.device) if v in self.static and p not in operator.host else a
                for p, (v, a) in enumerate(zip(node.inputs, arguments, strict=True))
            ]
        entries = frame.crossbars.entering(node.label)
        products = frame.crossbars.products.get(node.label, ())
        if frame.overrides:
            override(arguments, entries, frame.overrides)
        if frame.periphery is not None and products:
            enter(arguments, products, frame.periphery)
            outputs = leave(invoke(node, frame, arguments), products, frame.periphery)
        else:
            outputs = invoke(node, frame, arguments)
        for value, output in zip(node.outputs, outputs, strict=False):
            values[value] = output
        values[0] = None
        if operator is not None:
            if self._keeps_shape(node):
                self.shaped.update(node.outputs)
            self.steps.append(
                Step(node, operator.function, operator.frame, node.inputs, node.outputs, entries, products)
            )
        if self.observer:
            self.observer(node, arguments, outputs)

    def _spend(self, node: Node, outputs: tuple[Any, ...]) -> None:
        """Count what constants alone have asked for, and stop where no sensible graph would be."""
        self.spent += sum(item.numel() * item.itemsize for item in outputs if isinstance(item, torch.Tensor))
        if self.spent > MOST_CONSTANT:
            raise ModelError(f"constants of the graph take more than {MOST_CONSTANT >> 30} GiB", where=node.label)

    def _is_static(self, node: Node) -> bool:
        if node.operator is not None and node.operator.shape_only:
            return all(value in self.shaped for value in node.inputs if value)
        return all(value in self.static for value in node.inputs if value)

    def _keeps_shape(self, node: Node) -> bool:
        operator = node.operator
        if operator is None or operator.dynamic or node.bodies:
            return False
        return all(
            value in self.shaped and (position not in operator.host or value in self.static)
            for position, value in enumerate(node.inputs)
            if value
        )

    def _branch(self, node: Node) -> None:
        """Trace the branch that a static condition takes in the place of its If."""
        taken = bool(self.frame.values[node.inputs[0]])
        body = node.bodies["then_branch" if taken else "else_branch"]
        self.run(body.nodes)
        for position, (source, target) in enumerate(zip(body.outputs, node.outputs, strict=False)):
            if not target:
                continue
            results = [self.frame.values[source]]
            entries = tuple(
                item._replace(position=0)
                for item in self.frame.crossbars.entering(body.label)
                if item.position == position
            )
            override(results, entries, self.frame.overrides)
            (self.frame.values[target],) = results
            for facts in (self.static, self.shaped):
                if source in facts:
                    facts.add(target)
            if source not in self.static:
                self.steps.append(Step(node, _same, False, (source,), (target,), entries))


def ancestors(value: int, makers: Mapping[int, Node], frame: Frame, same: Mapping[int, int]) -> list[Node]:
    """The nodes that make a value from what is there already, in order."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[int, bool]] = [(value, False)]
    while stack:
        current, done = stack.pop()
        current = same.get(current, current)
        node = makers.get(current)
        if node is None or frame.values[current] is not None:
            continue
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((current, True))
            stack.extend((source, False) for source in (*node.inputs, *node.captured) if source)
    return order


def _same(node: Node, value: Any) -> Any:
    return value


def _moved(value: Any, device: torch.device | None) -> Any:
    return value.to(device) if device is not None and isinstance(value, torch.Tensor) else value
