"""Lines over a number: accuracy against noise strength, time or a swept parameter; yield; training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from harden.report.blocks import Figure
from harden.report.plots import COLOURS, MARKERS, SMALL, Plot, drawing, percent_axis
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


def curves(
    name: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    caption: str,
    levels: Sequence[Level] = (),
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = (0.0, 1.0),
    x_rate: bool = False,
    x_ticks: Sequence[tuple[float, str]] = (),
) -> Figure:
    """Draw curves under a legend.

    Args:
        name: Name of the figure.
        lines: The curves.
        x_label: Title of the horizontal axis.
        y_label: Title of the vertical axis.
        alt: Alternative text.
        caption: How to read it.
        levels: Reference lines.
        x_limits: Range of the horizontal axis; None fits it.
        y_limits: Range of the vertical axis of rates; None means a plain number from zero.
        x_rate: Whether the horizontal axis is a rate.
        x_ticks: Positions and texts of the horizontal ticks, where they are not numbers.
    """
    with drawing():
        plot = Plot(WIDTH, HEIGHT)
        plot.margins(left=46, right=16, top=28 + legend(plot, lines), bottom=48)
        axis = plot.axis
        axis.grid(axis="y")
        for line in lines:
            draw_line(axis, line)
        if x_limits:
            axis.set_xlim(*x_limits)
        _scales(axis, lines, y_limits, x_rate, x_ticks)
        for level in levels:
            _level(axis, level)
        axis.set_xlabel(x_label)
        plot.canvas.text(4 / WIDTH, 1 - 4 / HEIGHT, y_label, va="top", fontsize=SMALL, color=COLOURS["muted"])
        return Figure(name, plot.svg(name, alt), alt, caption, width=WIDTH)


def _tone(line: Line) -> dict[str, Any]:
    tone: dict[str, Any] = {"color": COLOURS[line.colour], "alpha": 0.35 if line.faint else 1.0}
    tone["linewidth"] = 1.0 if line.faint else 2.0
    # Before is drawn hollow and dashed, so that the two differ without colour as well.
    hollow = line.colour == "before"
    if line.markers:
        tone |= {"marker": MARKERS[line.colour], "markerfacecolor": "none" if hollow else COLOURS[line.colour]}
    if hollow and not line.faint:
        tone["linestyle"] = (0, (6, 1.5))
    return tone


def draw_line(axis: Axes, line: Line) -> None:
    """Draw one curve, and its band where it has one."""
    if line.low is not None and line.high is not None:
        step = "post" if line.steps else None
        axis.fill_between(line.x, line.low, line.high, step=step, color=COLOURS[line.colour], alpha=0.16, linewidth=0)
    axis.plot(line.x, line.y, drawstyle="steps-post" if line.steps else "default", **_tone(line))


def _scales(
    axis: Axes,
    lines: Sequence[Line],
    y_limits: tuple[float, float] | None,
    x_rate: bool,
    x_ticks: Sequence[tuple[float, str]],
) -> None:
    if y_limits:
        percent_axis(axis, "y", *y_limits)
    else:
        top = max((float(np.max(line.y)) for line in lines if len(line.y)), default=1.0)
        axis.set_ylim(0, 1.08 * top or 1.0)
        axis.yaxis.set_major_locator(MaxNLocator(5))
    if x_rate:
        percent_axis(axis, "x", *axis.get_xlim())
    elif x_ticks:
        names = dict(x_ticks)
        axis.xaxis.set_major_locator(FixedLocator(list(names)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: names.get(value, "")))
    else:
        axis.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 9), 4)))


def _level(axis: Axes, level: Level) -> None:
    dashes = (1.5, 2) if level.colour == "limit" else (5, 3)
    style: dict[str, Any] = {"color": COLOURS[level.colour], "linewidth": 1.4, "linestyle": (0, dashes)}
    text: dict[str, Any] = {"textcoords": "offset points", "fontsize": SMALL}
    if level.y is not None:
        axis.axhline(level.y, **style)
        axis.annotate(level.label, (0, level.y), xycoords=("axes fraction", "data"), xytext=(4, 3), **text)
    if level.x is not None:
        left, right = axis.get_xlim()
        end = level.x > left + 0.6 * (right - left)
        axis.axvline(level.x, **style)
        place: dict[str, Any] = {"xytext": (-4 if end else 4, -10 if level.high else 10)}
        place["ha"] = "right" if end else "left"
        axis.annotate(level.label, (level.x, float(level.high)), xycoords=("data", "axes fraction"), **place, **text)


def legend(plot: Plot, lines: Sequence[Line]) -> int:
    """Name the curves in rows under the plot's title; returns the rows' height in pixels."""
    named = [(clean(line.label)[:40], line) for line in lines if line.label]
    if len(named) < 2:
        return 0
    columns = max(1, int((plot.width - 60) // (7 * max(len(text) for text, _ in named) + 48)))
    rows = -(-len(named) // columns)
    handles = [_handle(line) for _, line in named]
    plot.canvas.legend(
        handles,
        [text for text, _ in named],
        loc="upper left",
        bbox_to_anchor=(46 / plot.width, 1 - 20 / plot.height),
        ncols=min(columns, len(named)),
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=2.4,
        columnspacing=1.4,
        labelspacing=0.35,
        fontsize=SMALL,
    )
    return 18 * rows + 2


def _handle(line: Line) -> Line2D:
    return Line2D([], [], **_tone(line))
