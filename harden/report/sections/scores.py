"""Measures beside the accuracy: other scores, the user's own metrics, fidelity, the accuracy of each class."""

from __future__ import annotations

from harden.records import Spread
from harden.report.blocks import Block, Details, Section, Table
from harden.report.conditions import Row, Trials, table_rows
from harden.report.document import Reading
from harden.words import clean, known, label, number, percent

ORDER = 95
TITLE = "Other measures"


def _mean(spread: Spread | None) -> float | None:
    return spread.mean if spread else None


_ROWS: tuple[Row, ...] = (
    ("Top-5 accuracy", lambda t: t.entry.top5, percent),
    ("Balanced accuracy", lambda t: t.entry.balanced_accuracy, percent),
    ("F1, mean over classes", lambda t: t.entry.f1, percent),
    ("Area under the ROC curve", lambda t: t.entry.auroc, percent),
    (
        "Signal to noise of the outputs, dB",
        lambda t: _mean(t.entry.fidelity.sqnr_db) if t.entry.fidelity else None,
        number,
    ),
    (
        "Relative error of the outputs (RMS)",
        lambda t: _mean(t.entry.fidelity.nrmse) if t.entry.fidelity else None,
        number,
    ),
)


def build(reading: Reading) -> Section:
    """Means over chips, and the accuracy of each class folded away."""
    condition = reading.hardest
    if condition is None:
        return Section(TITLE, [])
    heads = ["mean over chips"] if reading.kind == "eval" else [clean(t.role) for t in condition.trials]
    blocks: list[Block] = []
    if rows := _rows(condition.trials):
        caption = f"Means over chips. Noise: {condition.label}."
        blocks.append(Table(["", *heads], rows, "l" + "r" * len(heads), caption=caption))
    if classes := _classes(condition.trials):
        table = Table(["class", *heads], classes, "r" * (1 + len(heads)))
        blocks.append(Details("Accuracy of each class, mean over chips", [table]))
    return Section(TITLE, blocks)


def _rows(trials: tuple[Trials, ...]) -> list[list[str]]:
    rows = list(_ROWS)
    known_rows = {"loss", "balanced_accuracy", "f1", "auroc", "top5"}
    for name in dict.fromkeys(n for t in trials for n in t.entry.spreads if n not in known_rows):
        rows.append((_title(name), lambda t, name=name: _mean(t.entry.spreads.get(name)), number))
        rows.append((f"{_title(name)}, without noise", lambda t, name=name: t.clean.values.get(name), number))
    for name in dict.fromkeys(n for t in trials for n in t.entry.metrics):
        rows.append((label(name), lambda t, name=name: _mean(t.entry.metrics.get(name)), number))
    return table_rows(trials, rows)


def _title(name: str) -> str:
    """What a measure is called; an output without labels is compared with that of the network as given."""
    return f"Concordance of the {name} with the given network's" if name.startswith("output ") else label(name)


def _classes(trials: tuple[Trials, ...]) -> list[list[str]]:
    columns = [t.entry.class_accuracy for t in trials]
    count = max((len(c) for c in columns), default=0)
    rows = [[str(i), *(percent(c[i] if i < len(c) else None) for c in columns)] for i in range(count)]
    return rows if any(known(v) for c in columns for v in c) else []
