"""Which layers the noise hurts most."""

from __future__ import annotations

from harden.report.blocks import Block, Details, Paragraph, Section, Table
from harden.report.charts.bars import Bar, bars
from harden.report.document import Document, Reading
from harden.report.words import clean, known, number, percent, points

ORDER = 90
TITLE = "Which layers matter"
SHOWN = 15
_POOR = 0.5


def applies(document: Document) -> bool:
    """Where the run ranked its layers."""
    return bool(_rows(document))


def build(document: Document) -> Section:
    """Bars of the most sensitive layers, all of them in the table."""
    reading = Reading(document)
    rows = _rows(document)
    key = "share" if any(known(r.get("share")) for r in rows) else "drop"
    ranked = sorted(rows, key=lambda r: -(r[key] if known(r.get(key)) else 0.0))
    top = [r for r in ranked if known(r.get(key))][:SHOWN]
    write = percent if key == "share" else points
    items = [Bar(clean(r.get("key", "")), float(r[key]), write(r[key])) for r in top]
    what = "Share of the loss's variance under noise" if key == "share" else "Accuracy lost, in points"
    blocks: list[Block] = []
    if items:
        first = ", ".join(f"{item.label} {item.text}" for item in items[:5])
        more = f" The {len(items)} largest of {len(rows)}." if len(rows) > len(items) else ""
        blocks.append(bars("sensitivity", items, alt=f"{what} by layer: {first}.", caption=f"{what}, by layer.{more}"))
    r2 = reading.document.get("sensitivity_r2")
    if known(r2):
        blocks.append(
            Paragraph(
                f"The linear model behind the shares explains {percent(r2, 0)} of the variance (R² {number(r2, 2)})"
                + (
                    ": take the order as a hint, and measure the layers in question with `harden eval --also ranking`."
                    if r2 < _POOR
                    else "."
                )
            )
        )
    blocks.append(Details("All layers", [_table(reading, ranked)]))
    return Section(TITLE, blocks)


def _table(reading: Reading, ranked: list[dict]) -> Table:
    nodes = {clean(r.get("key") or ""): clean(r.get("node") or "") for r in reading.rows("perturbed")}
    columns = [("share", "share", lambda r: percent(r.get("share")))]
    columns += [
        (key, title, lambda r, key=key: _bounded(r, key))
        for key, title in (
            ("drop", "lost by noise in it alone, points"),
            ("gain", "regained by sparing it alone, points"),
        )
    ]
    columns = [one for one in columns if any(known(r.get(one[0])) for r in ranked)]
    cells = [
        [clean(r.get("key", "")), nodes.get(clean(r.get("key", "")), ""), *(write(r) for _, _, write in columns)]
        for r in ranked
    ]
    measured = any(key != "share" for key, _, _ in columns)
    return Table(
        ["tensor", "node", *(title for _, title, _ in columns)],
        cells,
        "ll" + "r" * len(columns),
        caption="In brackets: 95% interval over chips." if measured else "",
    )


def _bounded(row: dict, key: str) -> str:
    low, high = row.get(f"{key}_ci95") or (None, None)
    return points(row.get(key)) + (f" ({points(low)} to {points(high)})" if known(low) and known(high) else "")


def _rows(document: Document) -> list[dict]:
    rows = Reading(document).rows("sensitivity")
    return [dict(r) for r in rows if known(r.get("share")) or known(r.get("drop"))]
