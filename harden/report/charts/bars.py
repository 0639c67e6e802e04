"""Horizontal bars and ranges with a name each: shares of layers, realised noise, levers, conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harden.report.blocks import Figure
from harden.report.plots import COLOURS, MARKERS, SMALL, Plot, cut_note, drawing, percent_axis, rate_limits
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
    with drawing():
        height = 22 * len(items) + 14
        plot = Plot(width, height)
        plot.margins(left=left, right=70, top=4, bottom=10)
        axis = plot.axis
        rows = range(len(items))
        axis.barh(
            rows, [item.value for item in items], height=0.62, color=[COLOURS[i.colour] for i in items], alpha=0.75
        )
        axis.set_yticks(rows, labels)
        axis.set_ylim(len(items) - 0.5, -0.5)
        low, high = min(0.0, *(i.value for i in items)), max(0.0, *(i.value for i in items))
        axis.set_xlim(low, high if high > low else low + 1.0)
        axis.axvline(0, color=COLOURS["muted"], linewidth=1)
        _bare(plot)
        for row, item in enumerate(items):
            place = {"xytext": (5, -4), "textcoords": "offset points", "fontsize": SMALL}
            axis.annotate(item.text, (max(item.value, 0.0), row), **place)
        return plot.svg(name if width == WIDE else f"{name}-narrow", alt)


def _ranges(name: str, items: Sequence[Range], measure: str, alt: str, width: int) -> Markup:
    labels, left = _labels([item.label for item in items], width)
    with drawing():
        height = 22 * len(items) + 52
        plot = Plot(width, height)
        plot.margins(left=left, right=20, top=4, bottom=44)
        axis = plot.axis
        for row, item in enumerate(items):
            colour = COLOURS[item.colour]
            if item.low is not None and item.high is not None:
                axis.plot([item.low, item.high], [row, row], color=colour, linewidth=5, alpha=0.3)
            hollow = item.colour == "before"
            face = "none" if hollow else colour
            marker = MARKERS[item.colour]
            axis.plot([item.mean], [row], marker=marker, markersize=6, color=colour, markerfacecolor=face)
            if item.worst is not None:
                axis.plot([item.worst], [row], marker="|", markersize=9, markeredgewidth=1.6, color=colour)
        axis.set_yticks(range(len(items)), labels)
        axis.set_ylim(len(items) - 0.5, -0.5)
        low, high = rate_limits([v for i in items for v in (i.mean, i.low, i.high, i.worst) if v is not None])
        percent_axis(axis, "x", low, high, ticks=5 if width == NARROW else 10)
        axis.set_xlabel(f"{measure} of a chip{cut_note(low)}")
        axis.grid(axis="x")
        _bare(plot, bottom=True)
        return plot.svg(name if width == WIDE else f"{name}-narrow", alt)


def _bare(plot: Plot, *, bottom: bool = False) -> None:
    axis = plot.axis
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.tick_params(axis="y", left=False, labelcolor=COLOURS["ink"], pad=6)
    axis.tick_params(axis="x", bottom=bottom, labelbottom=bottom)


def _labels(labels: Sequence[str], width: int) -> tuple[list[str], int]:
    """Labels shortened in the middle to what fits beside the plot, and the margin in pixels they take."""
    most = 20 if width == NARROW else 48
    short = [
        text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}" for text in map(clean, labels)
    ]
    return short, 16 + int(6.6 * max((len(text) for text in short), default=0))
