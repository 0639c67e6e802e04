"""Reliability diagram: accuracy against confidence, above the share of images at each confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harden.report.blocks import Figure
from harden.report.charts.curves import WIDTH, Line, draw_line, legend
from harden.report.plots import COLOURS, SMALL, Plot, drawing, percent_axis

HEIGHT = 360


@dataclass(frozen=True)
class Bins:
    """The images of one network by confidence: its label, colour, and of each bin share, accuracy and confidence."""

    label: str
    colour: str
    share: Sequence[float]
    accuracy: Sequence[float | None]
    confidence: Sequence[float | None]


def diagram(name: str, networks: Sequence[Bins], *, least: float, alt: str, caption: str) -> Figure:
    """Draw the networks over the diagonal of perfect calibration.

    Args:
        name: Name of the figure.
        networks: One or several.
        least: Bins with a smaller share of the images are left out of the upper plot.
        alt: Alternative text.
        caption: How to read it.
    """
    lines = [_line(one, least) for one in networks]
    with drawing():
        plot = Plot(WIDTH, HEIGHT, rows=2, ratios=[3.2, 1.0])
        plot.margins(left=46, right=16, top=28 + legend(plot, lines), bottom=48, gap=0.42)
        upper, lower = plot.axes
        for axis in plot.axes:
            axis.grid(axis="y")
        upper.plot([0.0, 1.0], [0.0, 1.0], color=COLOURS["muted"], linewidth=1.2, linestyle=(0, (2, 2)))
        for line in lines:
            draw_line(upper, line)
        for one in networks:
            edges = np.linspace(0.0, 1.0, 1 + len(one.share))
            lower.stairs(one.share, edges, color=COLOURS[one.colour], linewidth=1.6)
            lower.stairs(one.share, edges, color=COLOURS[one.colour], alpha=0.16, fill=True)
        percent_axis(upper, "y", 0.0, 1.0)
        percent_axis(lower, "y", 0.0, 1.08 * max(max(one.share) for one in networks), ticks=2)
        percent_axis(lower, "x", 0.0, 1.0)
        lower.set_xlabel("confidence: the largest probability")
        words = {"va": "top", "fontsize": SMALL, "color": COLOURS["muted"]}
        plot.canvas.text(4 / WIDTH, 1 - 4 / HEIGHT, "accuracy of the images with this confidence", **words)
        lower.annotate(
            "share of the images",
            (0, 1),
            (-42, 10),
            "axes fraction",
            textcoords="offset points",
            fontsize=SMALL,
            color=COLOURS["muted"],
        )
        return Figure(name, plot.svg(name, alt), alt, caption, width=WIDTH)


def _line(one: Bins, least: float) -> Line:
    points = [
        (c, a)
        for share, a, c in zip(one.share, one.accuracy, one.confidence, strict=True)
        if share >= least and a is not None and c is not None
    ]
    return Line(one.label, one.colour, [c for c, _ in points], [a for _, a in points])
