"""The ranges of converters, calibrated on data.

The clean network runs on some examples; of the sizes |x| seen at each analog layer's input and output, the range covers
the given percentile. A range starts at 0 where nothing negative was seen, and is symmetric about 0 elsewhere. With
batch norms kept, the network is the one that runs (``eval()``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harden.errors import UnsupportedError
from harden.graph.analog import AnalogWeight, Use
from harden.noise.periphery import Range
from harden.streams import numpy_generator

EXAMPLES = 128
_NODES = ("Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul", "FusedMatMul")


def examples(count: int) -> np.ndarray:
    """Which of ``count`` examples to calibrate on: at most 128, always the same."""
    return np.sort(numpy_generator(0, "ranges").permutation(count)[:EXAMPLES])


def calibrate(
    module: Any, weights: Mapping[str, AnalogWeight], batches: Sequence[tuple[Tensor, ...]], percentile: float = 99.99
) -> dict[str, tuple[Range, Range]]:
    """The ranges of each analog layer's inputs and outputs.

    Args:
        module: The network as a :class:`harden.graph.module.GraphModule`; its weights are taken as they are.
        weights: The crossbars to look at, by key.
        batches: Inputs; the first axis of the first one counts examples.
        percentile: Percent of the sizes that a range covers, by nearest rank; 100 is the largest.

    Returns:
        By the place of each use, the range of the inputs and that of the outputs.

    Raises:
        UnsupportedError: Converters cannot stand around a node; all of them are named.
    """
    uses = _uses(module, weights)
    _refuse_others(module, uses)
    seen = {use.place: (_Sizes(percentile), _Sizes(percentile)) for use in uses}
    total = sum(len(inputs[0]) for inputs in batches)
    for inputs in batches:
        part = Fraction(len(inputs[0]), total)
        for place, (inner, outer) in layers(module, weights, *inputs).items():
            seen[place][0].add(inner, part)
            seen[place][1].add(outer, part)
    return {place: (inner.range(), outer.range()) for place, (inner, outer) in seen.items()}


def layers(module: Any, weights: Mapping[str, AnalogWeight], *inputs: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What goes into each analog layer of the clean network, and what comes out, for one batch; by place."""
    at = {use.node: use for use in _uses(module, weights)}
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def look(node: Any, arguments: list[Any], outputs: tuple[Any, ...]) -> None:
        use = at.get(node.label)
        if use is not None:
            found[use.place] = (arguments[1 - use.position], outputs[0])

    training = module.training
    module.eval()
    try:
        module.observe(look, *inputs)
    finally:
        module.train(training)
    return found


class _Sizes:
    """The largest sizes seen, as many as can matter for the percentile in the end."""

    def __init__(self, percentile: float) -> None:
        self._share = Fraction(str(percentile)) / 100
        self._count = 0
        self._least = 0.0
        self._top = torch.empty(0)

    def add(self, values: Tensor, part: Fraction) -> None:
        """Take one batch's values; it is this part of all examples."""
        values = values.detach().reshape(-1).float()
        if not values.numel():
            return
        self._count += values.numel()
        self._least = min(self._least, float(values.min()))
        top = torch.cat([self._top, values.abs()])
        kept = math.ceil((1 - self._share) * values.numel() / part) + 1
        self._top = top.topk(min(kept, top.numel())).values

    def range(self) -> Range:
        """The percentile by nearest rank, and its negative where there were negative values."""
        if not self._count:
            return 0.0, 0.0
        high = float(self._top[self._count - math.ceil(self._share * self._count)])
        return (-high if self._least < 0 else 0.0), high


def _uses(module: Any, weights: Mapping[str, AnalogWeight]) -> list[Use]:
    return [use for use in module.uses if use.key in weights]


def _refuse_others(module: Any, uses: Sequence[Use]) -> None:
    main = {node.label for node in module.program.nodes}
    fits = {use.place for use in uses if use.direct and use.op in _NODES and use.node in main}
    other = [f"{use.op} '{use.node}'" for use in uses if use.place not in fits]
    if other:
        raise UnsupportedError(
            f"converters cannot be placed around {len(other)} nodes (recurrent ones, attention, inside If, Loop or "
            "Scan, or with weights that are chosen or scaled by what inputs feed): " + ", ".join(other[:5]),
            fix="Leave them off the crossbars with --digital, or leave dac_bits, adc_bits and output_noise out",
        )
