"""The numbers that decide, before and after, under the hardest condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harden.report.blocks import Block, Paragraph, Section, Table
from harden.report.document import Condition, Document, Reading, Trials
from harden.report.words import MISSING, clean, known, percent, plural, points, rate, span

ORDER = 10
TITLE = "In short"


def applies(document: Document) -> bool:
    """Wherever chips were tried."""
    return Reading(document).hardest is not None


def build(document: Document) -> Section:
    """A table of the hardest condition, and whether the requirements are met."""
    reading = Reading(document)
    condition = reading.hardest
    blocks: list[Block] = []
    if condition:
        blocks.append(_table(reading, condition))
        blocks.append(Paragraph(_reading_aid(reading, condition), tone="note"))
    if reading.requirements:
        blocks.append(_requirements(reading.requirements))
    return Section(TITLE, blocks)


def _table(reading: Reading, condition: Condition) -> Table:
    measure = reading.measure

    def of(key: str) -> Callable[[Trials], Any]:
        return lambda t: t.spread.get(key)

    def bounds(key: str) -> Callable[[Trials], str]:
        return lambda t: span(t.spread.get(key))

    rows: list[tuple[str, Callable[[Trials], Any]]] = [
        (f"Mean {measure} over chips", of("mean")),
        ("95% interval of the mean (over chips)", bounds("ci95")),
        ("95% interval of the mean (over chips and images)", bounds("ci95_images")),
        ("Standard deviation over chips", of("std")),
        ("5th percentile of the chips", of("p05")),
        ("Worst chip", of("min")),
        (
            "With 95% confidence, 90% of chips have at least (90/95)",
            lambda t: (t.entry.get("tolerance") or {}).get("90/95"),
        ),
        (f"Chips with at least {rate(condition.last.threshold)} (yield)", lambda t: t.yields.get("value")),
        ("95% interval of the yield", lambda t: span(t.yields.get("ci95"))),
        (f"{measure.capitalize()} without noise", lambda t: t.clean.get(measure)),
    ]
    changes = reading.kind == "fit" and len(condition.trials) == 2
    shown = []
    for title, value in rows:
        cells = [value(t) for t in condition.trials]
        if all(cell in (None, MISSING) for cell in cells):
            continue
        change = [_change(cells)] if changes else []
        shown.append([title, *(c if isinstance(c, str) else percent(c) for c in cells), *change])
    single = reading.kind == "eval"
    roles = [measure] if single else [clean(t.role) for t in condition.trials]
    head = ["", *roles, *(["change, points"] if changes else [])]
    return Table(head, shown, "l" + "r" * (len(head) - 1), strong=(0,))


def _change(cells: Sequence[Any]) -> str:
    return points(cells[1] - cells[0]) if known(cells[0]) and known(cells[1]) else ""


def _reading_aid(reading: Reading, condition: Condition) -> str:
    examples = reading.data.get("examples")
    images = f", each on the same {examples:,} examples" if known(examples) else ""
    which = f"Noise: {condition.described}"
    if len(reading.conditions) > 1:
        which += f", the hardest of {len(reading.conditions)}"
    return (
        f"{which}. A chip is one draw of all noisy weights: {plural(condition.last.chips, 'chip')}{images}. "
        "All numbers were measured on the ONNX file in ONNX Runtime."
    )


def _requirements(requirements: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for item in requirements:
        met = item.get("met")
        state = MISSING if met is None else "met" if met else "NOT met"
        rows.append([clean(item.get("expression") or item.get("expr") or ""), percent(item.get("value")), state])
    return Table(["requirement", "found", ""], rows, "lrl")
