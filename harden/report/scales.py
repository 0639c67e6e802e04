"""Ends and ticks of the axes of the report's plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from harden.words import rate

Ticks: TypeAlias = "Sequence[tuple[float, str]]"

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def ticks(low: float, high: float, most: int, *, integer: bool = False) -> list[float]:
    """Round numbers between two ends: at most so many intervals, and at least two numbers where some step gives them.

    Example:
        >>> ticks(0.0, 1.0, 5), ticks(0.93, 0.97, 3, integer=False)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.94, 0.96])
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [step * scale for scale in (0.1 * power, power) for step in _STEPS[:-1]] + [10 * power]
    steps = [step for step in steps if not integer or step % 1 == 0] or [1.0]
    first = next((i for i, step in enumerate(steps) if step >= rough * (1 - 1e-9)), len(steps) - 1)
    between: list[float] = []
    for step in reversed(steps[: first + 1]):
        numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        between = [round(number * step, 12) for number in numbers]
        if len(between) >= 2:
            break
    return between


def percent_ticks(low: float, high: float, most: int = 5) -> Ticks:
    """Ticks of an axis of rates, in percent."""
    digits = 1 if high - low < 0.035 else 0
    return [(value, f"{100 * value:.{digits}f}%") for value in ticks(low, high, most)]


def rate_limits(values: list[float]) -> tuple[float, float]:
    """Limits for an axis of rates: the whole of 0 to 100% unless the values fill less than a quarter of it.

    Example:
        >>> rate_limits([0.2, 0.9]), rate_limits([0.81, 0.88])
        ((0.0, 1.0), (0.8, 0.9))
    """
    if not values or max(values) - min(values) > 0.25:
        return 0.0, 1.0
    pad = max(0.1 * (max(values) - min(values)), 0.005)
    step = 0.05 if max(values) - min(values) > 0.05 else 0.01
    low = max(0.0, step * ((min(values) - pad) // step))
    high = min(1.0, -step * ((-max(values) - pad) // step))
    return round(low, 4), round(high, 4)


def cut_note(low: float) -> str:
    """What an axis that does not start at zero says of itself.

    Example:
        >>> cut_note(0.85), cut_note(0.0)
        (' (axis starts at 85%)', '')
    """
    return f" (axis starts at {rate(low)})" if low > 0 else ""
