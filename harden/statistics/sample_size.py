"""``harden plan``: how many chips for a desired certainty, how long, and what cannot be claimed with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypedDict

from scipy import special

from harden.errors import SettingsError
from harden.statistics.intervals import proportion_lower, tolerance_trials

_CONTENTS = (0.90, 0.95, 0.99, 0.999)


class _Claims(TypedDict):
    can: list[str]
    cannot: list[str]


class SampleSize(_Claims):
    """Chips by purpose, those planned, the minutes that they take, and what can and cannot be claimed with them."""

    margin: float
    confidence: float
    chips: dict[str, int]
    planned: int
    minutes: float | None


def required_chips(
    *,
    margin: float,
    confidence: float = 0.95,
    std: float | None = None,
    yield_at_least: float | None = None,
    chips: int | None = None,
    examples: int | None = None,
    images_per_second: float | None = None,
) -> SampleSize:
    """Chips needed for the mean, for the yield and for tolerance bounds; minutes where a speed is known.

    Mean: the least n with t(n - 1) std / sqrt(n) <= margin. Yield: the least n whose Clopper-Pearson interval is
    nowhere wider than ± margin (it is widest at one half). A yield bound: the n with which all chips passing shows it.

    Args:
        margin: Half the width of the interval, such as 0.01.
        confidence: In (0, 1).
        std: Standard deviation of accuracy over chips, from earlier chips; None leaves out the mean.
        yield_at_least: A yield to be shown, such as 0.99.
        chips: How many chips there will be; None takes the most of the above.
        examples: Images per chip, for the minutes.
        images_per_second: Speed, for the minutes.

    Returns:
        ``chips`` by purpose, ``planned``, ``minutes``, and the sentences ``can`` and ``cannot``.

    Raises:
        SettingsError: A number out of range.

    Source: Leveugle et al., DATE 2009 (statistical fault injection); the exact interval in place of the normal one.

    Example:
        >>> required_chips(margin=0.05, std=0.05)["chips"]
        {'mean': 7, 'yield': 402}
    """
    _check(margin, confidence, std, yield_at_least, chips)
    needed: dict[str, int] = {}
    if std is not None:
        needed["mean"] = chips_for_mean(std, margin, confidence)
    needed["yield"] = chips_for_yield(margin, confidence)
    if yield_at_least is not None:
        needed["yield_bound"] = tolerance_trials(yield_at_least, confidence)
    planned = chips or max(needed.values())
    seconds = planned * examples / images_per_second if examples and images_per_second else None
    return {
        "margin": margin,
        "confidence": confidence,
        "chips": needed,
        "planned": planned,
        "minutes": None if seconds is None else seconds / 60,
        **_claims(planned, confidence),
    }


def chips_for_mean(std: float, margin: float, confidence: float) -> int:
    """The least n with t(n - 1) std / sqrt(n) <= margin."""
    return _least(2, lambda n: float(special.stdtrit(n - 1, 0.5 + confidence / 2)) * std / math.sqrt(n) <= margin)


def chips_for_yield(margin: float, confidence: float) -> int:
    """The least even n whose Clopper-Pearson interval at one half is no wider than ± margin."""
    return 2 * _least(1, lambda half: _half_width(2 * half, confidence) <= margin)


def _least(start: int, holds: Callable[[int], bool]) -> int:
    """The least number from ``start`` on from which something holds."""
    low = high = start
    while not holds(high):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high


def _half_width(n: int, confidence: float) -> float:
    return 0.5 - proportion_lower(n // 2, n, 0.5 + confidence / 2)


def _claims(chips: int, confidence: float) -> _Claims:
    level = f"{confidence:.0%}"
    can: list[str] = []
    cannot: list[str] = []
    for content in _CONTENTS:
        needed = tolerance_trials(content, confidence)
        text = f"with {level} confidence, {content:.1%} of chips have at least the accuracy found"
        (can if chips >= needed else cannot).append(f"{text} (needs {needed} chips)")
    shown = (1 - confidence) ** (1 / chips)
    can.append(f"if all {chips} chips pass: with {level} confidence, the yield is at least {shown:.2%}")
    cannot.append(f"that fewer than {1 - shown:.2%} of chips fail, even if none of the {chips} did")
    cannot.append("anything about noise, images or temperatures that were not sampled")
    return {"can": can, "cannot": cannot}


def _check(
    margin: float, confidence: float, std: float | None, yield_at_least: float | None, chips: int | None
) -> None:
    problems: list[str] = []
    if not 0.0005 <= margin < 0.5:
        problems.append(f"the margin must lie in [0.0005, 0.5), not {margin:g}")
    if not 0.5 <= confidence < 1:
        problems.append(f"the confidence must lie in [0.5, 1), not {confidence:g}")
    if std is not None and not 0 <= std <= 0.5:
        problems.append(f"the standard deviation of an accuracy lies in [0, 0.5], not {std:g}")
    if yield_at_least is not None and not 0 < yield_at_least < 1:
        problems.append(f"the yield to show lies in (0, 1), not {yield_at_least:g}; no number of chips shows 1")
    if chips is not None and chips < 1:
        problems.append(f"at least one chip, not {chips}")
    if problems:
        raise SettingsError("cannot plan this", problems=problems)
