"""Numbers as people read them: percentages, points, times, digests.

Missing numbers are an en dash, negative ones carry a true minus sign, so columns align.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

MISSING = "–"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # and lone surrogates; not tab and newline
_UNITS = ((31_557_600.0, "y"), (86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def known(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a number that can be shown: not None, not NaN, not infinite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def percent(value: Any, digits: int = 1) -> str:
    """A rate as a percentage.

    Example:
        >>> percent(0.8161), percent(None), percent(1.0)
        ('81.6%', '–', '100.0%')
    """
    return f"{_minus(f'{100 * value:.{digits}f}')}%" if known(value) else MISSING


def rate(value: Any) -> str:
    """A rate that somebody chose, without digits they did not write.

    Example:
        >>> rate(0.8), rate(0.855)
        ('80%', '85.5%')
    """
    return f"{100 * value:.4g}%" if known(value) else MISSING


def points(value: Any, digits: int = 1) -> str:
    """A difference of two rates in percentage points, with its sign.

    Example:
        >>> points(0.532), points(-0.004)
        ('+53.2', '−0.4')
    """
    if not known(value):
        return MISSING
    text = f"{100 * value:+.{digits}f}"
    return _minus(text) if float(text) else "±" + text.lstrip("+-")


def number(value: Any, digits: int = 3) -> str:
    """A plain number with ``digits`` significant digits; thousands are grouped.

    Example:
        >>> number(0.0123456), number(270000), number(0.1), number(1e-7)
        ('0.0123', '270,000', '0.1', '1e-07')
    """
    if not known(value):
        return MISSING
    if float(value).is_integer() and abs(value) < 1e15:
        return _minus(f"{int(value):,}")
    return _minus(f"{value:.{digits}g}")


def duration(seconds: Any) -> str:
    """A time span in its largest whole unit, or the unit that reads best.

    Example:
        >>> duration(0), duration(3600), duration(30 * 86400), duration(90), duration(31557600.0), duration(0.25)
        ('0 s', '1 h', '30 d', '1.5 min', '1 y', '0.25 s')
    """
    if not known(seconds):
        return MISSING
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def interval(bounds: Any) -> str:
    """Two rates as a range.

    Example:
        >>> interval([0.86, 0.971]), interval(None)
        ('86.0% to 97.1%', '–')
    """
    if isinstance(bounds, Sequence) and len(bounds) == 2 and all(map(known, bounds)):
        return f"{percent(bounds[0])} to {percent(bounds[1])}"
    return MISSING


def span(bounds: Any) -> str:
    """Two rates as a range, short enough for a table's cell.

    Example:
        >>> span([0.86, 0.971]), span(None)
        ('86.0–97.1%', '–')
    """
    return interval(bounds).replace("% to ", "–")


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    Example:
        >>> plural(1, "chip"), plural(10000, "image")
        ('1 chip', '10,000 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def ordinal(rank: int) -> str:
    """A position counted from the worst.

    Example:
        >>> ordinal(1), ordinal(2), ordinal(3), ordinal(13)
        ('worst', '2nd worst', '3rd worst', '13th worst')
    """
    if rank == 1:
        return "worst"
    ending = "th" if 10 <= rank % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending} worst"


def clean(text: object) -> str:
    """Text without the control characters that neither XML nor a terminal may see.

    Example:
        >>> clean("conv\\x001\\x1b[31m")
        'conv�1�[31m'
    """
    return _CONTROL.sub("�", str(text))


def file_name(path: object) -> str:
    """The last part of a path, of either kind of slash.

    Example:
        >>> file_name("data/test.npz"), file_name("C:\\\\data\\\\images\\\\")
        ('test.npz', 'images')
    """
    return clean(path).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def shown(value: Any) -> str:
    """Any value of a document as one short line.

    Example:
        >>> shown({"sigma": 0.1, "on": True, "layers": ["a", "b"], "none": None})
        'sigma 0.1, on yes, layers a b, none –'
    """
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value, 4)
    if isinstance(value, Mapping):
        return ", ".join(f"{label(key)} {shown(item)}" for key, item in value.items()) or MISSING
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(shown(item) for item in value) or MISSING
    return clean(value)


def label(key: object) -> str:
    """A key of a document as words.

    Example:
        >>> label("max_abs_error")
        'max abs error'
    """
    return clean(key).replace("_", " ")


def _minus(text: str) -> str:
    return text.replace("-", "−") if "e" not in text else text
