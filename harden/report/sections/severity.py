"""Accuracy against the strength of the noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harden.records.fit import SeverityRecord
from harden.report.blocks import Columns, Paragraph, Section, Table
from harden.report.charts.curves import Level, Line, Scale, curves
from harden.report.document import Reading
from harden.words import clean, known, number, percent, plural

T = TypeVar("T")

ORDER = 35
TITLE = "Weaker and stronger noise"


def build(reading: Reading) -> Section:
    """A curve a network, and its table, where the run tried several strengths."""
    severity = reading.fit.severity if reading.fit else None
    points = _points(severity) if severity else []
    if severity is None or len(points) < 2:
        return Section(TITLE, [])
    roles = [role for role in ("before", "after") if any(role in point.means for point in points)]
    lines = [_line(role, [point for point in points if role in point.means]) for role in roles]
    banded = any(line.low is not None for line in lines)
    rows = [[number(point.scale), *(_cell(point, role) for role in roles)] for point in points]
    ends = "; ".join(
        f"{line.label} {percent(line.y[0])} at {number(line.x[0])} to {percent(line.y[-1])} at {number(line.x[-1])}"
        for line in lines
    )
    chips = f" over {plural(severity.chips, 'chip')}" if severity.chips is not None else " over chips"
    examples = f", {severity.examples:,} examples" if severity.examples is not None else ""
    constant = [] if reading.constant is None else [Level("always one class", y=reading.constant, colour="muted")]
    profile = clean(severity.profile) or reading.profile
    figure = curves(
        "severity",
        lines,
        x=Scale("noise strength (1 = the device)", limits=(0.0, 1.04 * max(point.scale for point in points))),
        y=Scale(f"mean {reading.measure}{chips}", rate=True),
        alt=f"Mean {reading.measure} against noise strength: {ends}.",
        caption=f"All noise of {profile}, scaled by one factor. "
        f"{'Band: 5th to 95th percentile of the chips. ' * banded}"
        f"{'A quick measurement: fewer chips or examples than for the results above.' * bool(examples)}",
        levels=[Level("the device", x=1.0, colour="muted"), *constant],
    )
    text = Paragraph(
        "0 is no noise; 1 is the noise of the profile; beyond 1 the devices are noisier than the profile says. "
        "A curve that stays flat to the right of 1 shows a margin."
    )
    table = Table(
        ["strength", *roles],
        rows,
        "r" * (1 + len(roles)),
        caption=f"Mean {reading.measure}{chips}{examples}{'; in brackets the 5th percentile' * banded}.",
    )
    return Section(TITLE, [Columns([figure], [text, table])])


@dataclass(frozen=True)
class _Point:
    """One strength: mean accuracies, and bands of percentiles, of the networks for which they are known."""

    scale: float
    means: Mapping[str, float]
    bands: Mapping[str, tuple[float, float]]


def _line(role: str, points: Sequence[_Point]) -> Line:
    whole = all(role in point.bands for point in points)
    low, high = ([point.bands[role][side] for point in points] if whole else None for side in (0, 1))
    return Line(role, role, [p.scale for p in points], [p.means[role] for p in points], low, high)


def _cell(point: _Point, role: str) -> str:
    lower = f" ({percent(point.bands[role][0])})" if role in point.bands else ""
    return percent(point.means.get(role)) + lower


def _points(severity: SeverityRecord) -> list[_Point]:
    """The strengths at which a network was tried."""
    means = {"before": severity.before, "after": severity.after}
    bands = {"before": severity.before_band, "after": severity.after_band}
    points = []
    for index, scale in enumerate(severity.scale):
        here = {role: value for role, all_of in means.items() if known(value := _at(all_of, index))}
        around = {
            role: (low, high)
            for role, all_of in bands.items()
            for low, high in [_at(all_of, index) or (None, None)]
            if known(low) and known(high)
        }
        if known(scale) and here:
            points.append(_Point(scale, here, around))
    return points


def _at(values: Sequence[T], index: int) -> T | None:
    return values[index] if index < len(values) else None
