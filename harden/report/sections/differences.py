"""Models compared chip by chip: who is better on the same chips, and how surely."""

from __future__ import annotations

from harden.report.blocks import Paragraph, Section, Table
from harden.report.document import Document, Reading
from harden.report.words import clean, known, number, points

ORDER = 32
TITLE = "On the same chips"


def applies(document: Document) -> bool:
    """Where differences between models were computed."""
    return bool(Reading(document).rows("differences"))


def build(document: Document) -> Section:
    """A table of differences with their intervals."""
    reading = Reading(document)
    labels = [c.label for c in reading.conditions]
    rows, unpaired = [], False
    for row in reading.rows("differences"):
        index = row.get("condition")
        low, high = row.get("ci95") or (None, None)
        paired = row.get("paired") is not False
        sure = known(low) and known(high) and not low <= 0 <= high
        unpaired = unpaired or not paired
        rows.append(
            [
                f"{clean(row.get('b', ''))} − {clean(row.get('a', ''))}",
                labels[index] if isinstance(index, int) and index < len(labels) else "",
                points(row.get("mean")),
                f"{points(low)} to {points(high)}",
                f"{row['better']} : {row['worse']}" if known(row.get("better")) and known(row.get("worse")) else "",
                f"{number(row.get('p_value'), 2)} ({'sign test' if paired else 'Welch'})",
                "yes" if sure else "no",
            ]
        )
    head = ["difference", "noise", "points", "95% interval", "chips better : worse", "p", "clear"]
    table = Table(head, rows, "llrrrrl", caption="Differences over chips; paired where both models see the same draws.")
    note = Paragraph(
        "Chips are unpaired where the models' tensors differ in name or shape: the same seed then gives other draws.",
        tone="note",
    )
    return Section(TITLE, [table, *([note] if unpaired else [])])
