"""Accuracy against the strength of the noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harden.report.blocks import Columns, Paragraph, Section, Table
from harden.report.charts.curves import Level, Line, curves
from harden.report.document import Document, Reading, name_of
from harden.report.words import known, number, percent, plural

ORDER = 35
TITLE = "Weaker and stronger noise"


def applies(document: Document) -> bool:
    """Where the run tried several strengths."""
    return len(_points(document)) > 1


def build(document: Document) -> Section:
    """A curve a network, and its table."""
    reading = Reading(document)
    severity = reading.part("severity")
    points = _points(document)
    roles = [role for role in ("before", "after") if any(known(p[role]) for p in points)]
    lines = [_line(role, [p for p in points if known(p[role])]) for role in roles]
    banded = any(line.low is not None for line in lines)
    rows = [[number(p["scale"]), *(_cell(p, role) for role in roles)] for p in points]
    ends = "; ".join(
        f"{line.label} {percent(line.y[0])} at {number(line.x[0])} to {percent(line.y[-1])} at {number(line.x[-1])}"
        for line in lines
    )
    chips = f" over {plural(int(severity['chips']), 'chip')}" if known(severity.get("chips")) else " over chips"
    examples = f", {severity['examples']:,} examples" if known(severity.get("examples")) else ""
    constant = [] if reading.constant is None else [Level("always one class", y=reading.constant, colour="muted")]
    profile = name_of(severity.get("profile")) or reading.profile
    figure = curves(
        "severity",
        lines,
        x_label="noise strength (1 = the device)",
        y_label=f"mean {reading.measure}{chips}",
        alt=f"Mean {reading.measure} against noise strength: {ends}.",
        caption=f"Every noise of {profile}, scaled together. {'Band: 5th to 95th percentile of the chips. ' * banded}"
        f"{_size(severity)}",
        levels=[Level("the device", x=1.0, colour="muted"), *constant],
        x_limits=(0.0, 1.04 * max(p["scale"] for p in points)),
    )
    text = Paragraph(
        "At 0 there is no noise; at 1 it is what the profile says; beyond, it is what remains if the devices turn out "
        "worse than the profile. A flat curve to the right of 1 is margin."
    )
    table = Table(
        ["strength", *roles],
        rows,
        "r" * (1 + len(roles)),
        caption=f"Mean {reading.measure}{chips}{examples}{'; in brackets the 5th percentile' * banded}.",
    )
    return Section(TITLE, [Columns([figure], [text, table])])


def _size(severity: Mapping[str, Any]) -> str:
    few = "A quick curve: fewer chips and examples than the results above."
    return few if known(severity.get("examples")) else ""


def _line(role: str, points: list[dict[str, Any]]) -> Line:
    bands = [p[f"{role}_band"] for p in points]
    whole = all(isinstance(b, list) and len(b) == 2 and all(map(known, b)) for b in bands)
    low, high = ([b[i] for b in bands] if whole else None for i in (0, 1))
    return Line(role, role, [p["scale"] for p in points], [p[role] for p in points], low, high)


def _cell(point: Mapping[str, Any], role: str) -> str:
    band = point[f"{role}_band"]
    lower = f" ({percent(band[0])})" if isinstance(band, list) and band and known(band[0]) else ""
    return percent(point[role]) + lower


def _points(document: Document) -> list[dict[str, Any]]:
    severity = Reading(document).part("severity")
    scale = severity.get("scale") or []
    columns = {key: severity.get(key) or [] for key in ("before", "after", "before_band", "after_band")}
    points = [
        {"scale": s, **{key: c[i] if i < len(c) else None for key, c in columns.items()}} for i, s in enumerate(scale)
    ]
    return [p for p in points if known(p["scale"]) and (known(p["before"]) or known(p["after"]))]
