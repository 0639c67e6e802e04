"""Horizontal bars and ranges with a name each: shares of layers, realised noise, levers, conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harden.report.blocks import Figure
from harden.report.plots import MARKERS, Axes, Box, Marker, Plot, Stroke, cut_note, percent_ticks, rate_limits
from harden.words import clean

WIDE, NARROW = 880, 360


@dataclass(frozen=True)
class Bar:
    """A bar: its name, length (may be negative), and the text at its end."""

    label: str
    value: float
    text: str
    colour: str = "after"


@dataclass(frozen=True)
class Range:
    """Chips of one network under one condition: 5th to 95th percentile as a line, mean as a dot, worst as a tick."""

    label: str
    colour: str
    mean: float
    low: float | None
    high: float | None
    worst: float | None


def bars(name: str, items: Sequence[Bar], *, alt: str, caption: str) -> Figure:
    """Draw bars from zero, longest label deciding the margin."""
    drawings = [_bars(name, items, alt, width) for width in (WIDE, NARROW)]
    return Figure(name, drawings[0], alt, caption, narrow=drawings[1], width=WIDE)


def ranges(name: str, items: Sequence[Range], *, measure: str, alt: str, caption: str) -> Figure:
    """Draw one line per network and condition on one scale; a cut axis says so."""
    drawings = [_ranges(name, items, measure, alt, width) for width in (WIDE, NARROW)]
    return Figure(name, drawings[0], alt, caption, narrow=drawings[1], width=WIDE)


def _bars(name: str, items: Sequence[Bar], alt: str, width: int) -> Markup:
    labels, left = _labels([item.label for item in items], width)
    low, high = min(0.0, *(i.value for i in items)), max(0.0, *(i.value for i in items))
    plot = Plot(name if width == WIDE else f"{name}-narrow", width, 22 * len(items) + 14)
    axes = _rows(plot, labels, (low, high if high > low else low + 1.0), left=left, right=70, bottom=10)
    for row, item in enumerate(items):
        axes.bars([(min(item.value, 0.0), row - 0.31, max(item.value, 0.0), row + 0.31)], item.colour, 0.75)
        plot.text(axes.across(max(item.value, 0.0)) + 5, axes.down(row) + 4, item.text)
    axes.level(Stroke("muted", 1), x=0)
    return plot.svg(alt)


def _ranges(name: str, items: Sequence[Range], measure: str, alt: str, width: int) -> Markup:
    labels, left = _labels([item.label for item in items], width)
    low, high = rate_limits([v for i in items for v in (i.mean, i.low, i.high, i.worst) if v is not None])
    plot = Plot(name if width == WIDE else f"{name}-narrow", width, 22 * len(items) + 52)
    axes = _rows(plot, labels, (low, high), left=left, right=20, bottom=44)
    axes.x_ticks(percent_ticks(low, high, 5 if width == NARROW else 10), grid=True)
    for row, item in enumerate(items):
        if item.low is not None and item.high is not None:
            axes.line([item.low, item.high], [row, row], Stroke(item.colour, 5, opacity=0.3))
        form, hollow = MARKERS[item.colour], item.colour == "before"
        axes.dots([item.mean], [row], Marker(item.colour, form, 6, hollow=hollow))
        if item.worst is not None:
            axes.dots([item.worst], [row], Marker(item.colour, "|", 9, edge=1.6))
    axes.x_label(f"{measure} of a chip{cut_note(low)}")
    return plot.svg(alt)


def _rows(plot: Plot, labels: Sequence[str], x: tuple[float, float], *, left: int, right: int, bottom: int) -> Axes:
    """Axes with one labelled row for each item, from top to bottom, and nothing around them."""
    box = Box.within(plot, left=left, right=right, top=4, bottom=bottom)
    axes = Axes(plot, box, x=x, y=(len(labels) - 0.5, -0.5))
    for row, label in enumerate(labels):
        plot.text(left - 9.5, axes.down(row) + 4.2, label, anchor="end")
    return axes


def _labels(labels: Sequence[str], width: int) -> tuple[list[str], int]:
    """Labels shortened in the middle to what fits beside the plot, and the margin in pixels they take."""
    most = 20 if width == NARROW else 48
    short = [
        text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}" for text in map(clean, labels)
    ]
    return short, 16 + int(6.6 * max((len(text) for text in short), default=0))
