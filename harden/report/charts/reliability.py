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

    def points(self, least: float) -> list[tuple[float, float]]:
        """Confidence and accuracy of each bin that holds at least this share of the images."""
        bins = zip(self.share, self.confidence, self.accuracy, strict=True)
        return [(c, a) for share, c, a in bins if share >= least and c is not None and a is not None]


def diagram(name: str, networks: Sequence[Bins], *, least: float, alt: str, caption: str) -> Figure:
    """Draw the networks over the diagonal of perfect calibration.

    Args:
        name: Name of the figure.
        networks: One or several.
        least: Bins with a smaller share of the images are left out of the upper plot.
        alt: Alternative text.
        caption: How to read it.
    """
    lines = [Line(n.label, n.colour, [x for x, _ in p], [y for _, y in p]) for n in networks for p in [n.points(least)]]
    with drawing():
        plot = Plot(WIDTH, HEIGHT, rows=2, ratios=[3.2, 1.0])
        plot.margins(left=46, right=16, top=28 + legend(plot, lines), bottom=48, gap=0.42)
        upper, lower = plot.axes
        for axis in plot.axes:
            axis.grid(axis="y")
        upper.plot([0.0, 1.0], [0.0, 1.0], color=COLOURS["muted"], linewidth=1.2, linestyle=(0, (2, 2)))
        for line in lines:
            draw_line(upper, line)
        for network in networks:
            edges = np.linspace(0.0, 1.0, 1 + len(network.share))
            lower.stairs(network.share, edges, color=COLOURS[network.colour], linewidth=1.6)
            lower.stairs(network.share, edges, color=COLOURS[network.colour], alpha=0.16, fill=True)
        percent_axis(upper, "y", 0.0, 1.0)
        percent_axis(lower, "y", 0.0, 1.08 * max(max(network.share) for network in networks), ticks=2)
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
