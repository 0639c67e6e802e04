"""Which layers the noise hurts most."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harden.records import CompareRecord
from harden.records.base import Interval
from harden.records.evaluation import LayerRow
from harden.report.blocks import Block, Details, Paragraph, Section, Table
from harden.report.charts.bars import Bar, bars
from harden.report.document import Reading
from harden.words import clean, known, number, percent, points

ORDER = 90
TITLE = "Which layers matter"
SHOWN = 15
_POOR = 0.5


def build(reading: Reading) -> Section:
    """Bars of the most sensitive layers, all of them in the table."""
    rows = [row for row in reading.layers if known(row.share) or known(row.drop)]
    if not rows:
        return Section(TITLE, [])
    shares = any(known(row.share) for row in rows)
    write = percent if shares else points
    sizes = [(row, value if known(value := row.share if shares else row.drop) else None) for row in rows]
    sizes.sort(key=lambda item: -(item[1] or 0.0))
    ranked = [row for row, _ in sizes]
    items = [Bar(clean(row.key), float(size), write(size)) for row, size in sizes if size is not None][:SHOWN]
    what = "Share of the loss's variance under noise" if shares else "Accuracy lost, in points"
    blocks: list[Block] = []
    if items:
        first = ", ".join(f"{item.label} {item.text}" for item in items[:5])
        more = f" The {len(items)} largest of {len(rows)}." if len(rows) > len(items) else ""
        blocks.append(bars("sensitivity", items, alt=f"{what} by layer: {first}.", caption=f"{what}, by layer.{more}"))
    r2 = reading.record.sensitivity_r2 if not isinstance(reading.record, CompareRecord) else None
    if known(r2):
        hint = ": take the order as a hint, and measure the layers in question with `harden eval --also ranking`"
        explained = f"explains {percent(r2, 0)} of the variance (R² {number(r2, 2)}){hint * (r2 < _POOR)}."
        blocks.append(Paragraph(f"The linear model behind the shares {explained}"))
    blocks.append(Details("All layers", [_table(reading, ranked)]))
    return Section(TITLE, blocks)


def _table(reading: Reading, ranked: Sequence[LayerRow]) -> Table:
    nodes = {clean(tensor.key): clean(tensor.node) for tensor in (reading.last.perturbed if reading.last else ())}
    columns: list[tuple[str, Callable[[LayerRow], str]]] = []
    if any(known(row.share) for row in ranked):
        columns.append(("share", lambda row: percent(row.share)))
    measured = any(known(row.drop) or known(row.gain) for row in ranked)
    if any(known(row.drop) for row in ranked):
        columns.append(("lost by noise in it alone, points", lambda row: _bounded(row.drop, row.drop_ci95)))
    if any(known(row.gain) for row in ranked):
        columns.append(("regained by sparing it alone, points", lambda row: _bounded(row.gain, row.gain_ci95)))
    cells = [[clean(row.key), nodes.get(clean(row.key), ""), *(write(row) for _, write in columns)] for row in ranked]
    return Table(
        ["tensor", "node", *(title for title, _ in columns)],
        cells,
        "ll" + "r" * len(columns),
        caption="In brackets: 95% interval over chips." if measured else "",
    )


def _bounded(value: float | None, bounds: Interval | None) -> str:
    low, high = bounds or (None, None)
    return points(value) + (f" ({points(low)} to {points(high)})" if known(low) and known(high) else "")
