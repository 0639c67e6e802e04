"""Models compared chip by chip: who is better on the same chips, and how surely."""

from __future__ import annotations

from harden.report.blocks import Paragraph, Section, Table
from harden.report.document import Reading
from harden.words import clean, known, number, points

ORDER = 32
TITLE = "On the same chips"


def build(reading: Reading) -> Section:
    """A table of differences with their intervals."""
    labels = [c.label for c in reading.conditions]
    rows, unpaired = [], False
    for row in reading.comparison.differences if reading.comparison else ():
        low, high = row.ci95 or (None, None)
        sure = known(low) and known(high) and not low <= 0 <= high
        unpaired = unpaired or not row.paired
        rows.append(
            [
                f"{clean(row.b)} − {clean(row.a)}",
                labels[row.condition] if row.condition is not None and row.condition < len(labels) else "",
                points(row.mean),
                f"{points(low)} to {points(high)}",
                f"{row.better} : {row.worse}" if row.better is not None and row.worse is not None else "",
                f"{number(row.p_value, 2)} ({'sign test' if row.paired else 'Welch'})",
                "yes" if sure else "no",
            ]
        )
    head = ["difference", "noise", "points", "95% interval", "chips better : worse", "p", "clear"]
    table = Table(head, rows, "llrrrrl", caption="Differences over chips; paired where both models see the same draws.")
    note = Paragraph(
        "Chips are unpaired where the models' tensors differ in name or shape: the same seed then gives other draws.",
        tone="note",
    )
    return Section(TITLE, [table, *([note] if unpaired else [])] if rows else [])
