"""Nested graphs, sequences and optional values."""

from __future__ import annotations

from typing import Any

import torch

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.plan import Frame
from harden.graph.program import Node

Tensor = torch.Tensor
_LONGEST = 100_000


@operator("If", frame=True, dynamic=True, fixed=(0,))
def if_(node: Node, frame: Frame, condition: Tensor) -> tuple[Any, ...]:
    """The outputs of the branch that the condition takes."""
    return frame.run(node.bodies["then_branch" if bool(condition) else "else_branch"], ())


@operator("Loop", frame=True, dynamic=True, fixed=(0, 1))
def loop(node: Node, frame: Frame, count: Tensor | None, condition: Tensor | None, *carried: Any) -> tuple[Any, ...]:
    """Run the body while its condition holds, at most ``count`` times; values it yields each time are stacked."""
    body = node.bodies["body"]
    limit = int(count.item()) if count is not None else None
    goes_on = True if condition is None else bool(condition)
    state: tuple[Any, ...] = carried
    yielded: list[tuple[Any, ...]] = []
    step = 0
    while goes_on and (limit is None or step < limit):
        if step >= _LONGEST:
            raise ModelError(f"the loop runs more than {_LONGEST} times", where=node.label)
        results = frame.run(body, (torch.tensor(step), torch.tensor(True), *state))
        goes_on = bool(results[0])
        state = results[1 : 1 + len(carried)]
        yielded.append(results[1 + len(carried) :])
        step += 1
    return *state, *_stacked(yielded, len(body.outputs) - 1 - len(carried))


@operator("Scan", since=9, frame=True, dynamic=True)
def scan(node: Node, frame: Frame, *inputs: Tensor) -> tuple[Any, ...]:
    """Run the body over slices of its inputs, carrying a state along."""
    body = node.bodies["body"]
    scanned = node.get("num_scan_inputs")
    state, sources = inputs[: len(inputs) - scanned], inputs[len(inputs) - scanned :]
    axes = node.get("scan_input_axes", [0] * scanned)
    backward = node.get("scan_input_directions", [0] * scanned)
    length = sources[0].shape[axes[0]]
    yields = len(body.outputs) - len(state)
    collected: list[tuple[Any, ...]] = []
    for step in range(length):
        slices = tuple(
            source.select(axis, length - 1 - step if back else step)
            for source, axis, back in zip(sources, axes, backward, strict=True)
        )
        results = frame.run(body, (*state, *slices))
        state = results[: len(state)]
        collected.append(results[len(state) :])
    out_axes = node.get("scan_output_axes", [0] * yields)
    out_back = node.get("scan_output_directions", [0] * yields)
    outputs = []
    for position in range(yields):
        parts = [step[position] for step in collected]
        outputs.append(torch.stack(parts[::-1] if out_back[position] else parts, out_axes[position]))
    return *state, *outputs


@operator("SequenceEmpty", gradient=False)
def sequence_empty(node: Node) -> list[Tensor]:
    """No tensors."""
    return []


@operator("SequenceConstruct")
def sequence_construct(node: Node, *inputs: Tensor) -> list[Tensor]:
    """The inputs as a sequence."""
    return list(inputs)


@operator("SequenceInsert", host=(2,))
def sequence_insert(node: Node, sequence: list[Tensor], x: Tensor, place: Tensor | None = None) -> list[Tensor]:
    """The sequence with a tensor put in, at the end by default."""
    at = len(sequence) if place is None else int(place.item())
    at = at + len(sequence) if at < 0 else at
    return [*sequence[:at], x, *sequence[at:]]


@operator("SequenceErase", host=(1,))
def sequence_erase(node: Node, sequence: list[Tensor], place: Tensor | None = None) -> list[Tensor]:
    """The sequence without one tensor, the last by default."""
    at = range(len(sequence))[-1 if place is None else int(place.item())]
    return [*sequence[:at], *sequence[at + 1 :]]


@operator("SequenceAt", host=(1,))
def sequence_at(node: Node, sequence: list[Tensor], place: Tensor) -> Tensor:
    """One tensor of the sequence."""
    return sequence[int(place.item())]


@operator("SequenceLength", gradient=False)
def sequence_length(node: Node, sequence: list[Tensor]) -> Tensor:
    """How many tensors there are."""
    return torch.tensor(len(sequence))


@operator("ConcatFromSequence")
def concat_from_sequence(node: Node, sequence: list[Tensor]) -> Tensor:
    """All tensors of the sequence one after another, or stacked along a new axis."""
    return (torch.stack if node.get("new_axis", 0) else torch.cat)(sequence, node.get("axis"))


@operator("SplitToSequence", host=(1,))
def split_to_sequence(node: Node, x: Tensor, sizes: Tensor | None = None) -> list[Tensor]:
    """Parts of the input along an axis."""
    axis = node.get("axis", 0)
    if sizes is not None:
        lengths = int(sizes.item()) if sizes.dim() == 0 else [int(size) for size in sizes.tolist()]
        return list(torch.split(x, lengths, axis))
    parts = torch.split(x, 1, axis)
    return list(parts) if node.get("keepdims", 1) else [part.squeeze(axis) for part in parts]


@operator("Optional")
def optional(node: Node, value: Any = None) -> Any:
    """The value, if there is one."""
    return value


@operator("OptionalGetElement")
def optional_get(node: Node, value: Any) -> Any:
    """The value."""
    return value


@operator("OptionalHasElement", gradient=False)
def optional_has(node: Node, value: Any = None) -> Tensor:
    """Whether there is a value."""
    return torch.tensor(value is not None)


def _stacked(collected: list[tuple[Any, ...]], count: int) -> tuple[Any, ...]:
    if not collected:
        return tuple(torch.zeros(0) for _ in range(count))
    return tuple(torch.stack([step[position] for step in collected]) for position in range(count))
