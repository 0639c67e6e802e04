"""A batch in parts, for a memory that does not hold it in one: the gradient of the whole is the sum of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from harden.methods.base import Batch


def pieces(batch: Batch, parts: int) -> Iterator[tuple[Batch, float]]:
    """The batch in so many parts of nearly equal size, each with its share of the examples.

    For a loss that is a mean over examples, the sum of the parts' gradients, each times its share, is the gradient of
    the whole batch up to rounding; batch norms, however, see a part's statistics.
    """
    if parts == 1:
        yield batch, 1.0
        return
    size = len(batch.inputs[0])
    for number in range(parts):
        start, stop = size * number // parts, size * (number + 1) // parts
        if start < stop:
            part = slice(start, stop)
            yield (
                replace(batch, inputs=cut(batch.inputs, size, part), targets=cut(batch.targets, size, part)),
                (stop - start) / size,
            )


def cut(value: Any, size: int, rows: slice) -> Any:
    """The examples of a part, in tensors and in tuples of them; what has no axis of examples stays whole."""
    if isinstance(value, Tensor):
        return value[rows] if value.ndim and len(value) == size else value
    return tuple(cut(part, size, rows) for part in value) if isinstance(value, (tuple, list)) else value
