"""Lines over a number: accuracy against noise strength, time or a swept parameter; yield; training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

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
    with drawing():
        plot = Plot(WIDTH, HEIGHT)
        plot.margins(left=46, right=16, top=28 + legend(plot, lines), bottom=48)
        axis = plot.axis
        axis.grid(axis="y")
        for line in lines:
            draw_line(axis, line)
        if x.limits:
            axis.set_xlim(*x.limits)
        _scales(axis, lines, x, y)
        for level in levels:
            _level(axis, level)
        axis.set_xlabel(x.label)
        plot.canvas.text(4 / WIDTH, 1 - 4 / HEIGHT, y.label, va="top", fontsize=SMALL, color=COLOURS["muted"])
        return Figure(name, plot.svg(name, alt), alt, caption, width=WIDTH)


class _Tone(TypedDict, total=False):
    """What matplotlib calls it."""

    color: str
    alpha: float
    linewidth: float
    marker: str
    markerfacecolor: str
    linestyle: tuple[int, tuple[float, float]]


def _tone(line: Line) -> _Tone:
    tone: _Tone = {"color": COLOURS[line.colour], "alpha": 0.35 if line.faint else 1.0}
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


def _scales(axis: Axes, lines: Sequence[Line], x: Scale, y: Scale) -> None:
    if y.rate:
        percent_axis(axis, "y", *(y.limits or (0.0, 1.0)))
    else:
        top = max((float(np.max(line.y)) for line in lines if len(line.y)), default=1.0)
        axis.set_ylim(0, 1.08 * top or 1.0)
        axis.yaxis.set_major_locator(MaxNLocator(5))
    if x.rate:
        percent_axis(axis, "x", *axis.get_xlim())
    elif x.ticks:
        names = dict(x.ticks)
        axis.xaxis.set_major_locator(FixedLocator(list(names)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: names.get(value, "")))
    else:
        axis.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 9), 4)))


def _level(axis: Axes, level: Level) -> None:
    dashes = (1.5, 2) if level.colour == "limit" else (5, 3)
    style = {"color": COLOURS[level.colour], "linewidth": 1.4, "linestyle": (0, dashes)}
    text = {"textcoords": "offset points", "fontsize": SMALL}
    if level.y is not None:
        axis.axhline(level.y, **style)
        axis.annotate(level.label, (0, level.y), xycoords=("axes fraction", "data"), xytext=(4, 3), **text)
    if level.x is not None:
        left, right = axis.get_xlim()
        end = level.x > left + 0.6 * (right - left)
        axis.axvline(level.x, **style)
        place = {"xytext": (-4 if end else 4, -10 if level.high else 10), "ha": "right" if end else "left"}
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
