"""Where to listen to a network: tensors through which everything passes on its way from input to output.

Block outputs of residual networks and transformers are such tensors; a branch within a block is not. Heads that
early-exit objectives attach, and features that consistency objectives compare, hang on these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from harden.errors import ModelError
from harden.graph.analog import Use
from harden.graph.module import GraphModule
from harden.graph.plan import Step
from harden.graph.program import Node


@dataclass(frozen=True)
class Tap:
    """A value of the graph to listen to: its name, and its shape for the example it was chosen with."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Candidate:
    value: int
    shape: tuple[int, ...]
    work: int


def choose_taps(
    module: GraphModule, example_inputs: tuple[torch.Tensor, ...], count: int, names: Sequence[str] = ()
) -> tuple[Tap, ...]:
    """Choose taps at equal shares of the multiply-adds on crossbars, or take the named ones.

    Args:
        module: The network.
        example_inputs: Inputs to trace it with.
        count: How many taps; fewer are chosen where the graph has fewer places.
        names: Names of values to take instead.

    Returns:
        Taps, shallowest first.

    Raises:
        ModelError: Fewer than two places, or a name that the graph does not have.
    """
    trace = _Trace(module)
    steps = module.observe(trace.see, *example_inputs)
    if names:
        return tuple(_named(module, trace, name) for name in names)
    groups = _groups(_candidates(module, steps, trace), trace.work)
    if len(groups) < 2:
        raise ModelError(
            f"the graph has {len(groups)} tensors through which everything passes, at least two are needed",
            fix="Name tensors to listen to with -o taps=NAME,NAME",
        )
    count = min(count, len(groups))
    chosen = _nearest([g.work for g in groups], [trace.work * (i + 1) / (count + 1) for i in range(count)])
    return tuple(Tap(module.program.names[groups[i].value], groups[i].shape) for i in chosen)


class _Trace:
    """What a traced run shows: shapes, and multiply-adds on crossbars up to each value."""

    def __init__(self, module: GraphModule) -> None:
        self.uses: dict[str, list[Use]] = {}
        for use in module.uses:
            self.uses.setdefault(use.node, []).append(use)
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.works: dict[int, int] = {}
        self.work = 0

    def see(self, node: Node, arguments: list[torch.Tensor], outputs: tuple[torch.Tensor, ...]) -> None:
        for use in self.uses.get(node.label, ()):
            self.work += _multiply_adds(use, arguments, outputs[0])
        for value, output in zip(node.outputs, outputs, strict=False):
            if isinstance(output, torch.Tensor) and output.is_floating_point():
                self.shapes[value] = tuple(output.shape)
                self.works[value] = self.work


def _multiply_adds(use: Use, arguments: list[torch.Tensor], output: torch.Tensor) -> int:
    weight = arguments[use.position]
    if use.op == "ConvTranspose":
        return arguments[0].numel() * weight[0].numel()
    if use.op in ("LSTM", "GRU", "RNN"):
        return arguments[0].shape[0] * arguments[0].shape[1] * weight.numel()
    columns = weight.shape[use.output_axis(weight.dim())]
    return output.numel() * weight.numel() // max(columns, 1)


def _candidates(module: GraphModule, steps: list[Step], trace: _Trace) -> list[_Candidate]:
    """Values that are alone alive right after they are made: all paths from input to output pass through them.

    Were another value alive then, it would reach an output through nodes that come later, past this one.
    """
    program, fed = module.program, module.roles.fed
    on_path = _on_path(steps, set(program.outputs), fed)
    last: dict[int, int] = dict.fromkeys(program.outputs, len(steps))
    for index, step in enumerate(steps):
        if on_path[index]:
            for value in (*step.inputs, *step.node.captured):
                last[value] = max(last.get(value, 0), index)
    alive = {value for value in program.inputs if value in last}
    candidates = []
    for index, step in enumerate(steps):
        if not on_path[index]:
            continue
        alive |= {value for value in step.outputs if value in last and fed[value]}
        alive = {value for value in alive if last[value] > index}
        if len(alive) == 1:
            (value,) = alive
            if value in step.outputs and value in trace.shapes and value not in program.outputs:
                candidates.append(_Candidate(value, trace.shapes[value], trace.works[value]))
    return candidates


def _on_path(steps: list[Step], outputs: set[int], fed: list[bool]) -> list[bool]:
    needed = set(outputs)
    on_path = [False] * len(steps)
    for index in reversed(range(len(steps))):
        step = steps[index]
        if any(value in needed for value in step.outputs) and any(fed[value] for value in step.outputs):
            on_path[index] = True
            needed.update((*step.inputs, *step.node.captured))
    return on_path


def _groups(candidates: list[_Candidate], total: int) -> list[_Candidate]:
    """One candidate for each amount of work: the last that still has positions, else the last."""
    best: dict[int, _Candidate] = {}
    for candidate in candidates:
        if not 0 < candidate.work < total or len(candidate.shape) < 2:
            continue
        if candidate.work in best and len(candidate.shape) < 3 <= len(best[candidate.work].shape):
            continue
        best[candidate.work] = candidate
    return sorted(best.values(), key=lambda item: item.work)


def _nearest(works: list[int], targets: list[float]) -> list[int]:
    """Rising indices of amounts of work, one for each target, with the smallest sum of distances."""
    costs: list[tuple[float, list[int]]] = [(0.0, [])] * (len(works) + 1)
    for target in targets:
        fresh: list[tuple[float, list[int]]] = [(float("inf"), [])]
        for index, work in enumerate(works):
            cost, chosen = costs[index]
            candidate = (cost + abs(work - target), [*chosen, index])
            fresh.append(min(fresh[-1], candidate, key=lambda item: item[0]))
        costs = fresh
    return costs[-1][1]


def _named(module: GraphModule, trace: _Trace, name: str) -> Tap:
    value = module.value(name)
    if value not in trace.shapes:
        raise ModelError(f"'{name}' is not a floating-point tensor that the inputs feed", fix="Name an activation")
    return Tap(name, trace.shapes[value])
