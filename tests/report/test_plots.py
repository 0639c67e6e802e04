"""The drawing surface: where values are, worked out by hand, and which ticks an axis gets."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.ticker import MaxNLocator

from harden.report.plots import Axes, Box, Marker, Plot, Stroke, percent_ticks, ticks


@pytest.fixture
def plot():
    return Plot("p", 200, 100)


@pytest.fixture
def axes(plot):
    """100 pixels wide and 50 high, over 0 to 10 and 0 to 1."""
    return Axes(plot, Box.within(plot, left=40, right=60, top=20, bottom=30), (0.0, 10.0), (0.0, 1.0))


def paths(plot):
    return re.findall(r'<path d="([^"]*)"', plot.svg("words"))


def test_a_line_is_where_its_points_are(plot, axes):
    axes.line([0, 5, 10], [0, 0.5, 1], Stroke("ink"))
    assert paths(plot)[-1] == "M40 70L90 45L140 20"


def test_steps_hold_a_value_until_the_next(plot, axes):
    axes.line([0, 5, 10], [0, 0.5, 1], Stroke("ink"), steps=True)
    assert paths(plot)[-1] == "M40 70L90 70L90 45L140 45L140 20"


def test_what_is_not_finite_is_not_drawn(plot, axes):
    axes.line([0, 5, 10], [0, float("nan"), float("inf")], Stroke("ink"))
    assert paths(plot)[-1] == "M40 70"


def test_bars_and_dots_are_where_they_belong(plot, axes):
    axes.bars([(2, 0.0, 4, 0.5)], "after", 0.5)
    assert paths(plot)[-1] == "M60 70H80V45H60z"
    axes.dots([10], [1], Marker("after", "s", 4))
    assert paths(plot)[-1] == "M138 18L142 18L142 22L138 22z"


def test_rows_share_the_height_by_their_ratios():
    upper, lower = Box(0, 0, 10, 120).rows([3, 1], gap=0.5)  # a mean height of 48 and a gap of 24
    assert (upper.top, upper.bottom, lower.top, lower.bottom) == (0, 72, 96, 120)


@pytest.mark.parametrize("most", [2, 3, 5, 6, 10])
@pytest.mark.parametrize("span", [(0.0, 1.0), (0.8, 0.9), (0.93, 0.97), (0.0, 0.0731), (-0.5, 17.3), (3.0, 4200.0)])
def test_ticks_are_those_of_matplotlib(span, most):
    there = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(*span)
    inside = [t for t in there if span[0] - 1e-9 <= t <= span[1] + 1e-9]
    np.testing.assert_allclose(ticks(*span, most), inside, atol=1e-9)


def test_percents_have_a_decimal_where_they_are_close():
    assert percent_ticks(0.0, 1.0, 2) == [(0.0, "0%"), (0.5, "50%"), (1.0, "100%")]
    assert [text for _, text in percent_ticks(0.96, 0.99, 3)] == ["96.0%", "97.0%", "98.0%", "99.0%"]


def test_names_become_text(plot):
    plot.text(0, 0, "<b>&")
    assert "&lt;b&gt;&amp;" in plot.svg("<i>")
    assert "<i>" not in plot.svg("<i>")
