"""Count the passes that a step really makes, so that what a method declares can be checked and priced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harden.methods.base import listed


@dataclass
class Passes:
    """Passes of a step.

    Attributes:
        forward: Forward passes by kind: whether the network was in training, and whether a gradient was recorded.
        backward: Times that a gradient came in at the outputs of one of them.
    """

    forward: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    backward: int = 0


def count_passes(kind: type[torch.nn.Module], step: Callable[[], None]) -> Passes:
    """Run a step, and count the passes through every network of this class.

    Args:
        kind: The class of the networks, such as :class:`harden.graph.module.GraphModule`; a teacher's copy counts, too.
        step: Forward and backward.
    """
    passes = Passes()
    forward: Callable[..., Any] = kind.forward

    def counted(net: torch.nn.Module, *inputs: Any, **options: Any) -> Any:
        result = forward(net, *inputs, **options)
        outputs = [out for out in listed(result[0] if options.get("taps") else result) if out.is_floating_point()]
        graded = [out for out in outputs if out.requires_grad]
        passes.forward[net.training, bool(graded)] += 1
        if graded:
            graded[0].register_hook(_arrived)
        return result

    def _arrived(gradient: Tensor) -> None:
        passes.backward += 1

    kind.forward = counted
    try:
        step()
    finally:
        kind.forward = forward
    return passes
