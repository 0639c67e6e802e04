"""Recurrent layers, step by step in torch, so that every weight of theirs trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.program import Node

Tensor = torch.Tensor
Activation = Callable[[Tensor], Tensor]
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_ALPHA = {"LeakyRelu": 0.01, "Elu": 1.0, "HardSigmoid": 0.2, "ThresholdedRelu": 1.0, "ScaledTanh": 1.0, "Affine": 1.0}
_BETA = {"HardSigmoid": 0.5, "ScaledTanh": 1.0, "Affine": 0.0}


@dataclass
class _Layer:
    """One direction of a recurrent node."""

    node: Node
    direction: int
    weight: Tensor
    recurrent: Tensor
    bias: Tensor | None
    peephole: Tensor | None

    def __post_init__(self) -> None:
        node = self.node
        per = len(_DEFAULTS[node.op])
        names = node.get("activations", list(_DEFAULTS[node.op]) * 2)[self.direction * per :][:per]
        alphas, betas = list(node.get("activation_alpha", ())), list(node.get("activation_beta", ()))
        if self.direction:
            skipped = node.get("activations", list(_DEFAULTS[node.op]))[:per]
            alphas = alphas[sum(name in _ALPHA for name in skipped) :]
            betas = betas[sum(name in _BETA for name in skipped) :]
        self.activations = []
        for name in names:
            alpha = alphas.pop(0) if alphas and name in _ALPHA else _ALPHA.get(name, 0.0)
            beta = betas.pop(0) if betas and name in _BETA else _BETA.get(name, 0.0)
            self.activations.append(_activation(name, alpha, beta, node))
        self.clip = node.get("clip")
        self.hidden = self.recurrent.shape[1]

    def clipped(self, x: Tensor) -> Tensor:
        """The argument of an activation, within the node's bounds."""
        return x if self.clip is None else x.clamp(-self.clip, self.clip)

    def run(self, x: Tensor, lengths: Tensor | None, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All steps over ``x`` [time, batch, inputs]; outputs [time, batch, hidden] and the last state."""
        steps, backward = x.shape[0], _directions(self.node)[self.direction] == "reverse"
        step = {"LSTM": self._lstm, "GRU": self._gru, "RNN": self._rnn}[self.node.op]
        bias = None if self.bias is None else self.bias.chunk(2)
        gates = functional.linear(x, self.weight, None if bias is None else bias[0])
        outputs: list[Tensor] = [x] * steps
        for time in reversed(range(steps)) if backward else range(steps):
            fresh = step(state, gates[time], None if bias is None else bias[1])
            if lengths is None:
                state, outputs[time] = fresh, fresh[0]
            else:
                inside = (lengths > time).reshape(-1, 1)
                state = tuple(torch.where(inside, new, old) for new, old in zip(fresh, state, strict=True))
                outputs[time] = torch.where(inside, fresh[0], torch.zeros_like(fresh[0]))
        if not steps:
            return x.new_zeros(0, x.shape[1], self.hidden), state
        return torch.stack(outputs), state

    def _lstm(self, state: tuple[Tensor, ...], gates: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        hidden, cell = state
        f, g, h = self.activations
        total = gates + functional.linear(hidden, self.recurrent, bias)
        i, o, forget, c = total.chunk(4, -1)
        if self.peephole is not None:
            pi, po, pf = self.peephole.chunk(3)
            i, forget = i + pi * cell, forget + pf * cell
        else:
            po = None
        gate_in = f(self.clipped(i))
        gate_forget = 1 - gate_in if self.node.get("input_forget", 0) else f(self.clipped(forget))
        new_cell = gate_forget * cell + gate_in * g(self.clipped(c))
        o = o if po is None else o + po * new_cell
        return f(self.clipped(o)) * h(self.clipped(new_cell)), new_cell

    def _gru(self, state: tuple[Tensor, ...], gates: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        (hidden,) = state
        f, g = self.activations
        size = self.hidden
        wide, narrow = self.recurrent[: 2 * size], self.recurrent[2 * size :]
        zr = gates[:, : 2 * size] + functional.linear(hidden, wide, None if bias is None else bias[: 2 * size])
        z, r = f(self.clipped(zr)).chunk(2, -1)
        last = None if bias is None else bias[2 * size :]
        if self.node.get("linear_before_reset", 0):
            memory = r * functional.linear(hidden, narrow, last)
        else:
            memory = functional.linear(r * hidden, narrow, last)
        new = g(self.clipped(gates[:, 2 * size :] + memory))
        return ((1 - z) * new + z * hidden,)

    def _rnn(self, state: tuple[Tensor, ...], gates: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        return (self.activations[0](self.clipped(gates + functional.linear(state[0], self.recurrent, bias))),)


@operator("LSTM", learned=(1, 2, 3, 7), analog=(1, 2), fixed=(4,))
def lstm(
    node: Node,
    x: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor | None = None,
    lengths: Tensor | None = None,
    hidden: Tensor | None = None,
    cell: Tensor | None = None,
    peepholes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Long short-term memory; gates in ONNX's order: input, output, forget, cell."""
    return _run(node, x, weight, recurrent, bias, lengths, (hidden, cell), peepholes)


@operator("GRU", "RNN", learned=(1, 2, 3), analog=(1, 2), fixed=(4,))
def gated(
    node: Node,
    x: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor | None = None,
    lengths: Tensor | None = None,
    hidden: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Gated recurrent unit (gates: update, reset, hidden), or the plain recurrent layer."""
    return _run(node, x, weight, recurrent, bias, lengths, (hidden,), None)


def _run(
    node: Node,
    x: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor | None,
    lengths: Tensor | None,
    initial: tuple[Tensor | None, ...],
    peepholes: Tensor | None,
) -> tuple[Tensor, ...]:
    batch_first = bool(node.get("layout", 0))
    if batch_first:
        x = x.transpose(0, 1)
        initial = tuple(None if item is None else item.transpose(0, 1) for item in initial)
    outputs, finals = [], []
    for direction in range(len(_directions(node))):
        layer = _Layer(
            node,
            direction,
            weight[direction],
            recurrent[direction],
            None if bias is None else bias[direction],
            None if peepholes is None else peepholes[direction],
        )
        zero = x.new_zeros(x.shape[1], layer.hidden)
        state = tuple(zero if item is None else item[direction] for item in initial)
        output, final = layer.run(x, lengths, state)
        outputs.append(output)
        finals.append(final)
    sequence = torch.stack(outputs, 1)
    states = tuple(torch.stack(parts) for parts in zip(*finals, strict=True))
    if batch_first:
        return sequence.permute(2, 0, 1, 3), *(state.transpose(0, 1) for state in states)
    return sequence, *states


def _directions(node: Node) -> tuple[str, ...]:
    direction = node.get("direction", "forward")
    return ("forward", "reverse") if direction == "bidirectional" else (direction,)


def _activation(name: str, alpha: float, beta: float, node: Node) -> Activation:
    activations: dict[str, Activation] = {
        "Sigmoid": torch.sigmoid,
        "Tanh": torch.tanh,
        "Relu": torch.relu,
        "Softsign": functional.softsign,
        "Softplus": functional.softplus,
        "LeakyRelu": lambda x: functional.leaky_relu(x, alpha),
        "Elu": lambda x: functional.elu(x, alpha),
        "HardSigmoid": lambda x: torch.clamp(alpha * x + beta, 0, 1),
        "ThresholdedRelu": lambda x: torch.where(x > alpha, x, torch.zeros_like(x)),
        "ScaledTanh": lambda x: alpha * torch.tanh(beta * x),
        "Affine": lambda x: alpha * x + beta,
    }
    if name not in activations:
        raise ModelError(f"activation '{name}' is not known", where=node.label)
    return activations[name]
