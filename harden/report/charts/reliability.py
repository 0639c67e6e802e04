"""Reliability diagram: accuracy against confidence, above the share of images at each confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harden.report.blocks import Figure
from harden.report.charts.curves import WIDTH, Line, draw_line, legend
from harden.report.plots import Axes, Box, Plot, Stroke, percent_ticks

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
    plot = Plot(name, WIDTH, HEIGHT)
    box = Box.within(plot, left=46, right=16, top=28 + legend(plot, lines), bottom=48)
    above, below = box.rows([3.2, 1.0], gap=0.42)
    whole, top = percent_ticks(0.0, 1.0), 1.08 * max(max(network.share) for network in networks)
    upper, lower = Axes(plot, above, (0.0, 1.0), (0.0, 1.0)), Axes(plot, below, (0.0, 1.0), (0.0, top))
    upper.y_ticks(whole)
    upper.x_ticks(whole, words=False)
    lower.y_ticks(percent_ticks(0.0, top, 2))
    lower.x_ticks(whole)
    upper.line([0.0, 1.0], [0.0, 1.0], Stroke("muted", 1.2, (2, 2)))
    for line in lines:
        draw_line(upper, line)
    for network in networks:
        edges = np.linspace(0.0, 1.0, 1 + len(network.share)).tolist()
        heights = [*network.share, network.share[-1]]
        lower.area(edges, [0.0] * len(edges), heights, network.colour, steps=True)
        outline = Stroke(network.colour, 1.6)
        lower.line([0.0, *edges, 1.0], [0.0, *heights, 0.0], outline, steps=True)
    upper.frame()
    lower.frame()
    lower.x_label("confidence: the largest probability")
    plot.heading("accuracy of the images with this confidence")
    plot.text(4, below.top - 10, "share of the images", colour="muted")
    return Figure(name, plot.svg(alt), alt, caption, width=WIDTH)
