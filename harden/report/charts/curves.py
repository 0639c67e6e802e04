"""Lines over a number: accuracy against noise strength, time or a swept parameter; yield; training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harden.report.blocks import Figure
from harden.report.plots import MARKERS, Axes, Box, Marker, Plot, Span, Stroke, Ticks, percent_ticks, ticks
from harden.words import clean, number

WIDTH, HEIGHT = 440, 300


@dataclass(frozen=True)
class Line:
    """One curve: its label, colour name, points, and a band around them."""

    label: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    steps: bool = False
    markers: bool = True
    faint: bool = False


@dataclass(frozen=True)
class Level:
    """A reference line with a label: horizontal at ``y``, or vertical at ``x`` (label below, or above if ``high``)."""

    label: str
    y: float | None = None
    x: float | None = None
    colour: str = "ink"
    high: bool = False


@dataclass(frozen=True)
class Scale:
    """One axis: its title, whether it is a rate, its range (None fits it), and ticks that are not numbers."""

    label: str
    rate: bool = False
    limits: tuple[float, float] | None = None
    ticks: Sequence[tuple[float, str]] = ()


def curves(
    name: str,
    lines: Sequence[Line],
    *,
    x: Scale,
    y: Scale,
    alt: str,
    caption: str,
    levels: Sequence[Level] = (),
) -> Figure:
    """Draw curves under a legend.

    Args:
        name: Name of the figure.
        lines: The curves.
        x: The horizontal axis.
        y: The vertical axis; a plain number starts at zero.
        alt: Alternative text.
        caption: How to read it.
        levels: Reference lines.
    """
    plot = Plot(name, WIDTH, HEIGHT)
    box = Box.within(plot, left=46, right=16, top=28 + legend(plot, lines), bottom=48)
    across, up = _x_span(lines, levels, x), _y_span(lines, y)
    axes = Axes(plot, box, across, up)
    axes.y_ticks(percent_ticks(*up) if y.rate else _plain_ticks(*up, 5))
    if x.rate:
        axes.x_ticks(percent_ticks(*across))
    else:
        axes.x_ticks(x.ticks or _plain_ticks(*across, 6))
    for line in lines:
        draw_line(axes, line)
    axes.frame()
    for level in levels:
        _level(axes, level)
    axes.x_label(x.label)
    plot.heading(y.label)
    return Figure(name, plot.svg(alt), alt, caption, width=WIDTH)


def _stroke(line: Line) -> Stroke:
    # Before is drawn hollow and dashed, so that the two differ without colour as well.
    dashes = (6, 1.5) if line.colour == "before" and not line.faint else None
    return Stroke(line.colour, 1.0 if line.faint else 2.0, dashes, 0.35 if line.faint else 1.0)


def _marker(line: Line) -> Marker:
    hollow = line.colour == "before"
    return Marker(line.colour, MARKERS[line.colour], hollow=hollow, opacity=0.35 if line.faint else 1.0)


def draw_line(axes: Axes, line: Line) -> None:
    """Draw one curve, and its band where it has one."""
    if line.low is not None and line.high is not None:
        axes.area(line.x, line.low, line.high, line.colour, steps=line.steps)
    axes.line(line.x, line.y, _stroke(line), steps=line.steps)
    if line.markers:
        axes.dots(line.x, line.y, _marker(line))


def _x_span(lines: Sequence[Line], levels: Sequence[Level], scale: Scale) -> Span:
    """The range that is asked for, or the points' with a margin."""
    if scale.limits:
        return scale.limits
    values = [*(value for line in lines for value in line.x), *(level.x for level in levels if level.x is not None)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.05 * abs(low) or 0.05
    return low - margin, high + margin


def _y_span(lines: Sequence[Line], scale: Scale) -> Span:
    if scale.rate:
        return scale.limits or (0.0, 1.0)
    values = [float(value) for line in lines for value in line.y if math.isfinite(value)]
    return 0.0, 1.08 * max(values, default=1.0) or 1.0


def _plain_ticks(low: float, high: float, most: int) -> Ticks:
    return [(value, number(round(value, 9), 4)) for value in ticks(low, high, most)]


def _level(axes: Axes, level: Level) -> None:
    stroke = Stroke(level.colour, 1.4, (1.5, 2) if level.colour == "limit" else (5, 3))
    box, plot = axes.box, axes.plot
    axes.level(stroke, x=level.x, y=level.y)
    if level.y is not None:
        plot.text(box.left + 4, axes.down(level.y) - 3, level.label)
    if level.x is not None:
        end = level.x > axes.x[0] + 0.6 * (axes.x[1] - axes.x[0])
        place = axes.across(level.x) + (-4 if end else 4), box.top + 10 if level.high else box.bottom - 10
        plot.text(*place, level.label, anchor="end" if end else "start")


_HANDLE, _GAP, _LETTER, _ROW = 26.4, 8.8, 6.2, 18  # of the legend, in pixels


def legend(plot: Plot, lines: Sequence[Line]) -> int:
    """Name the curves in rows under the plot's title; returns the rows' height in pixels."""
    named = [(clean(line.label)[:40], line) for line in lines if line.label]
    if len(named) < 2:
        return 0
    columns = max(1, int((plot.width - 60) // (7 * max(len(text) for text, _ in named) + 48)))
    left = 46.0
    for column in range(min(columns, len(named))):
        entries = named[column::columns]
        for row, (text, line) in enumerate(entries):
            top = 20 + _ROW * row
            axes = Axes(plot, Box(left, top, left + _HANDLE, top + 12), (0, 1), (0, 1))
            axes.line([0, 1], [0.5, 0.5], _stroke(line))
            if line.markers:
                axes.dots([0.5], [0.5], _marker(line))
            plot.text(left + _HANDLE + _GAP, top + 10, text)
        left += _HANDLE + 2 * _GAP + _LETTER * max(len(text) for text, _ in entries)
    return _ROW * -(-len(named) // columns) + 2
