"""Rescaling that may add a ``Mul`` per channel, where no batch norm takes an output channel's scale back.

Behind every layer on a crossbar without a batch norm stands a ``Mul`` by ones; :mod:`harden.transforms.rescale` then
finds a free scale for each output channel, and the digital ``Mul`` undoes it. One that stays at ones is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harden.graph.insertion import Insertion, insert
from harden.transforms.rescale import Gain, rescale

_TYPES = (torch.float32, torch.float64, torch.float16)


class GainOfNodes(Gain):
    """With the number of new nodes."""

    new_nodes: int


def rescale_model(model: Any, inputs: tuple[Tensor, ...], digital: Sequence[str] = ()) -> tuple[Any, GainOfNodes]:
    """The rescaled model, with new nodes where they help.

    Args:
        model: The model; it stays as it is.
        inputs: Example inputs to weigh channels by; random ones will do.
        digital: Globs of tensors or nodes that are off the crossbars; they get no node.

    Returns:
        The model, and what was won.
    """
    places = output_scales(model.module().eval(), inputs, digital)
    grown = insert(model, places)
    changed, record = rescale(grown.module().eval(), inputs, digital)
    result, count = pruned(model, grown.with_weights(changed), places)
    return result, {**record, "new_nodes": count}


def pruned(model: Any, grown: Any, places: Sequence[Insertion]) -> tuple[Any, int]:
    """The numbers of the grown model in a graph without the ``Mul`` by ones; and how many others there are."""
    numbers = grown.module().export_weights()
    ones = {place.operand(0) for place in places if bool((numbers[place.operand(0)] == 1).all())}
    kept = [place for place in places if place.operand(0) not in ones]
    return insert(model, kept).with_weights({n: v for n, v in numbers.items() if n not in ones}), len(kept)


def output_scales(net: Any, inputs: tuple[Tensor, ...], digital: Sequence[str] = ()) -> list[Insertion]:
    """A ``Mul`` by ones behind each layer on a crossbar that no batch norm follows.

    Args:
        net: The network, in eval mode.
        inputs: Example inputs.
        digital: Globs of tensors or nodes that are off the crossbars.
    """
    program = net.program
    analog = {use.node: use for use in net.analog_weights(digital).values() if use.op in ("Conv", "Gemm", "MatMul")}
    main = {node.label for node in program.nodes}
    norms = {node.inputs[0] for node in program.walk() if node.op == "BatchNormalization"}
    found = []

    def look(node: Any, arguments: list[Any], outputs: tuple[Any, ...]) -> None:
        known = node.label in analog and node.label in main and node.outputs[0] not in norms
        if known and outputs[0].dtype in _TYPES and arguments[1] is not None and arguments[1].dim() >= 2:
            rank = outputs[0].dim()
            tail = rank - 2 if node.op == "Conv" else 0
            channels = outputs[0].shape[1 if node.op == "Conv" else -1]
            ones = np.ones((channels, *[1] * tail), dtype=torch.empty(0, dtype=outputs[0].dtype).numpy().dtype)
            found.append(Insertion(program.names[node.outputs[0]], "Mul", (ones,)))

    net.observe(look, *inputs)
    return found
