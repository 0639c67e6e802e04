"""Measures beside the accuracy: other scores, the user's own metrics, fidelity, the accuracy of each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harden.records import Spread
from harden.report.blocks import Block, Details, Section, Table
from harden.report.conditions import Trials
from harden.report.document import Reading
from harden.words import MISSING, clean, known, label, number, percent

ORDER = 95
TITLE = "Other measures"
_RATES = {
    "top5": "Top-5 accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1, mean over classes",
    "auroc": "Area under the ROC curve",
}
_FIDELITY = {"sqnr_db": "Signal to noise of the outputs, dB", "nrmse": "Relative error of the outputs (RMS)"}


def applies(reading: Reading) -> bool:
    """Where any of these is known."""
    return bool(_rows(_trials(reading)) or _classes(reading))


def build(reading: Reading) -> Section:
    """Means over chips, and the accuracy of each class folded away."""
    trials = _trials(reading)
    heads = ["mean over chips"] if reading.kind == "eval" else [clean(t.role) for t in trials]
    blocks: list[Block] = []
    if rows := _rows(trials):
        caption = f"Means over chips. Noise: {reading.hardest.label}." if reading.hardest else ""
        blocks.append(Table(["", *heads], rows, "l" + "r" * len(heads), caption=caption))
    if classes := _classes(reading):
        table = Table(["class", *heads], classes, "r" * (1 + len(heads)))
        blocks.append(Details("Accuracy of each class, mean over chips", [table]))
    return Section(TITLE, blocks)


def _trials(reading: Reading) -> tuple[Trials, ...]:
    return reading.hardest.trials if reading.hardest else ()


def _rows(trials: tuple[Trials, ...]) -> list[list[str]]:
    rows: list[tuple[str, Callable[[Trials], float | None], Callable[[Any], str]]] = []
    for key, title in _RATES.items():
        rows.append((title, lambda t, key=key: getattr(t.entry, key), percent))
    for key, title in _FIDELITY.items():
        rows.append((title, lambda t, key=key: _mean(getattr(t.entry.fidelity, key, None)), number))
    for name in dict.fromkeys(n for t in trials for n in t.entry.metrics):
        rows.append((label(name), lambda t, name=name: _mean(t.entry.metrics.get(name)), number))
    table = [[title, *(write(get(t)) for t in trials)] for title, get, write in rows]
    return [row for row in table if any(cell != MISSING for cell in row[1:])]


def _mean(spread: Spread | None) -> float | None:
    return spread.mean if spread else None


def _classes(reading: Reading) -> list[list[str]]:
    columns = [t.entry.class_accuracy for t in _trials(reading)]
    count = max((len(c) for c in columns), default=0)
    rows = [[str(i), *(percent(c[i] if i < len(c) else None) for c in columns)] for i in range(count)]
    return rows if any(known(v) for c in columns for v in c) else []
