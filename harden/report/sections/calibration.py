"""How far the networks' own confidence can be trusted, and how much chips disagree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harden.report.blocks import Bullets, Section, Table
from harden.report.conditions import Trials
from harden.report.document import Document, Reading
from harden.report.words import MISSING, clean, known, percent

ORDER = 100
TITLE = "Confidence and agreement"


def _nats(value: Any) -> str:
    return f"{value:.3f}" if known(value) else MISSING


_ROWS: tuple[tuple[str, Callable[[Trials], Any], Callable[[Any], str]], ...] = (
    ("Mean confidence without noise", lambda t: t.clean.get("confidence"), percent),
    ("Mean confidence over chips", lambda t: t.entry.get("confidence"), percent),
    ("Expected calibration error without noise", lambda t: t.clean.get("ece"), percent),
    ("Expected calibration error over chips", lambda t: t.entry.get("ece"), percent),
    ("Agreement with the network without noise", lambda t: t.entry.get("agreement"), percent),
    ("Expected KL divergence between chips (nats)", lambda t: t.entry.get("ekl"), _nats),
)


def applies(document: Document) -> bool:
    """Where at least one of these is known."""
    condition = Reading(document).hardest
    return bool(condition and any(known(_scalar(get(t))) for t in condition.trials for _, get, _ in _ROWS))


def build(document: Document) -> Section:
    """A table, and how to read it."""
    reading = Reading(document)
    condition = reading.hardest
    trials = condition.trials if condition else ()
    rows = [[title, *(write(_scalar(get(t))) for t in trials)] for title, get, write in _ROWS]
    rows = [row for row in rows if any(cell != MISSING for cell in row[1:])]
    heads = [""] if reading.kind == "eval" else [clean(t.role) for t in trials]
    table = Table(
        ["", *heads], rows, "l" + "r" * len(trials), caption=f"Noise: {condition.label}." if condition else ""
    )
    return Section(
        TITLE,
        [
            table,
            Bullets(
                [
                    "Calibration error: how far, on average, the stated confidence is from the accuracy. 0 is best.",
                    "Agreement: how often a chip gives the class that the network gives without noise.",
                    "KL divergence: how far a chip's probabilities are from the average chip's. 0: all chips agree.",
                ]
            ),
        ],
    )


def _scalar(value: Any) -> Any:
    return value.get("mean") if isinstance(value, dict) else value
