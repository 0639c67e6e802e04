"""Activations held within the range that they have on the clean network.

A bit error can make a weight, and with it an activation, far larger than training ever showed. A ``Clip`` node behind
each ReLU-like activation, with bounds from calibration inputs, keeps the damage where it is. It adds nodes.

Source: Chen et al., "Ranger", arXiv 2003.13874 (range restriction); Hoang et al., "FT-ClipAct", DATE 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from harden.errors import UnsupportedError
from harden.graph.insertion import Insertion, insert

ACTIVATIONS = frozenset(
    {"Relu", "LeakyRelu", "PRelu", "Elu", "Celu", "Selu", "ThresholdedRelu", "Softplus", "HardSwish", "Gelu", "Mish"}
)
_OPSET = 11  # from here on Clip takes its bounds as inputs
_TYPES = (torch.float32, torch.float64, torch.float16)


class Clamped(TypedDict):
    """Percent of an activation's values that pass, how many activations have a clamp, and the widest bound."""

    percentile: float
    activations: int
    largest: float


def clamp_activations(
    model: Any, batches: Sequence[tuple[Tensor, ...]], percentile: float = 99.99
) -> tuple[Any, Clamped]:
    """Put a ``Clip`` behind every ReLU-like activation of the main graph.

    Args:
        model: The model; it stays as it is.
        batches: Calibration inputs, unlabelled.
        percentile: Percent of an activation's values that pass, by nearest rank, on either side; 100 is the range.

    Returns:
        The model, and what was clamped.

    Raises:
        UnsupportedError: The graph has no such activation, or its operator set is older than 11.
    """
    if model.opset < _OPSET:
        raise UnsupportedError(
            f"operator set {model.opset} has no Clip with bounds as inputs",
            where=model.source,
            fix=f"Convert the model to operator set {_OPSET} or newer, or leave --clamp-activations out",
        )
    bounds = activation_bounds(model.module().eval(), batches, percentile)
    if not bounds:
        raise UnsupportedError("the graph has no ReLU-like activation to clamp", where=model.source)
    record: Clamped = {
        "percentile": percentile,
        "activations": len(bounds),
        "largest": max(float(high) for _, high in bounds.values()),
    }
    return insert(model, [Insertion(value, "Clip", both) for value, both in bounds.items()]), record


def activation_bounds(
    net: Any, batches: Sequence[tuple[Tensor, ...]], percentile: float
) -> dict[str, tuple[np.ndarray | None, np.ndarray]]:
    """Lower and upper bound of each activation by its value's name; no lower one where nothing is negative."""
    main = {node.outputs[0] for node in net.program.nodes if node.op in ACTIVATIONS}
    seen: dict[int, tuple[_Top, _Top, torch.dtype]] = {}
    examples = sum(len(inputs[0]) for inputs in batches)
    part = 1.0

    def look(node: Any, arguments: list[Any], outputs: tuple[Any, ...]) -> None:
        value = node.outputs[0]
        if value in main and outputs[0].dtype in _TYPES:
            high, low, _ = seen.setdefault(value, (_Top(), _Top(), outputs[0].dtype))
            flat = outputs[0].flatten().double()
            kept = math.ceil((1 - percentile / 100) * flat.numel() / part) + 1
            high.add(flat, kept)
            low.add(-flat, kept)

    for inputs in batches:
        part = len(inputs[0]) / examples
        net.observe(look, *inputs)
    found: dict[str, tuple[np.ndarray | None, np.ndarray]] = {}
    for value, (high, low, dtype) in seen.items():
        top, bottom = high.at(percentile), -low.at(percentile)
        if top > 0:
            lower = None if bottom >= 0 else torch.tensor(bottom, dtype=dtype).numpy()
            found[net.program.names[value]] = lower, torch.tensor(top, dtype=dtype).numpy()
    return found


class _Top:
    """The largest of the values seen, as many as can decide a percentile."""

    def __init__(self) -> None:
        self._count = 0
        self._largest = torch.empty(0, dtype=torch.float64)

    def add(self, values: Tensor, kept: int) -> None:
        """Take one batch's values."""
        self._count += values.numel()
        together = torch.cat([self._largest, values])
        self._largest = together.topk(min(kept, together.numel())).values

    def at(self, percentile: float) -> float:
        """The percentile by nearest rank."""
        beyond = self._count - math.ceil(percentile / 100 * self._count - 1e-9)
        return float(self._largest[min(beyond, len(self._largest) - 1)])
