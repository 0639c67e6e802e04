"""Numbers as people read them; see :mod:`harden.words`."""

from __future__ import annotations

from harden.words import (
    MISSING,
    clean,
    duration,
    interval,
    known,
    label,
    number,
    ordinal,
    percent,
    plural,
    points,
    rate,
    shown,
    span,
)

__all__ = [
    "MISSING",
    "clean",
    "duration",
    "interval",
    "known",
    "label",
    "number",
    "ordinal",
    "percent",
    "plural",
    "points",
    "rate",
    "shown",
    "span",
]
