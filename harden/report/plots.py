"""Drawing surface for the report's plots: inline SVG, written as it is.

Colours are CSS variables with a fallback, so one drawing serves light, dark and paper. Text stays text, in the page's
font, so it can be searched and read aloud. One unit of the drawing is one CSS pixel. Equal plots give equal bytes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from markupsafe import Markup, escape

from harden.words import rate

# Name of the CSS variable -> its value on paper. The series are Okabe and Ito's colours (https://jfly.uni-koeln.de/color/),
# told apart in the common kinds of colour blindness; the style sheet gives the lighter ones of the set in the dark.
COLOURS = {
    "ink": "#1c2128",
    "muted": "#5f6b7a",
    "grid": "#dde2e8",
    "before": "#d55e00",
    "after": "#0072b2",
    "limit": "#009e73",
    "series-3": "#cc79a7",
    "series-4": "#56b4e9",
    "series-5": "#e69f00",
}
MARKERS = {"before": "o", "after": "o", "limit": "s", "series-3": "^", "series-4": "D", "series-5": "v"}
SERIES = ("after", "before", "limit", "series-3", "series-4", "series-5")
TEXT = 12
SMALL = 11

Ticks: TypeAlias = "Sequence[tuple[float, str]]"
Span: TypeAlias = "tuple[float, float]"
Anchor: TypeAlias = Literal["start", "middle", "end"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICK, _PAD, _ASCENT = 3.5, 3.5, 8.4  # of a tick, between it and its label, and of the label's letters
# Corners of a marker of size 2 around 0.
_CORNERS = {
    "s": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "^": ((0, -1), (1, 1), (-1, 1)),
    "v": ((0, 1), (-1, -1), (1, -1)),
    "D": ((0, -math.sqrt(2)), (math.sqrt(2), 0), (0, math.sqrt(2)), (-math.sqrt(2), 0)),
    "|": ((0, -1), (0, 1)),
}


def colour(role: str, position: int = 0) -> str:
    """Name of the colour of a network: before and after have their own, others take turns."""
    return role if role in ("before", "after") else SERIES[position % len(SERIES)]


@dataclass(frozen=True)
class Stroke:
    """A line: its colour's name, its width in pixels, the lengths of dash and gap in widths, and its opacity."""

    colour: str
    width: float = 2.0
    dashes: tuple[float, float] | None = None
    opacity: float = 1.0

    @property
    def style(self) -> str:
        """As CSS."""
        dashes = [length * self.width for length in self.dashes or ()]
        ends = f"butt; stroke-dasharray: {_pair(*dashes)}" if dashes else "square"
        faint = f"; opacity: {_number(self.opacity)}" if self.opacity < 1 else ""
        width = _number(self.width)
        return f"fill: none; stroke: {_paint(self.colour)}; stroke-width: {width}; stroke-linecap: {ends}{faint}"


@dataclass(frozen=True)
class Marker:
    """A dot: its colour's name, form, size in pixels, width of its edge, whether it is hollow, and its opacity."""

    colour: str
    form: str = "o"
    size: float = 5.0
    edge: float = 1.0
    hollow: bool = False
    opacity: float = 1.0

    @property
    def style(self) -> str:
        """As CSS."""
        paint = _paint(self.colour)
        edge = f"stroke: {paint}; stroke-width: {_number(self.edge)}" if self.edge else "stroke: none"
        share = _number(self.opacity)
        faint = f"; fill-opacity: {share}; stroke-opacity: {share}" if self.opacity < 1 else ""
        return f"fill: {'none' if self.hollow else paint}; {edge}{faint}"


class Plot:
    """One drawing.

    Args:
        name: Makes identifiers unique within the page.
        width: Width in pixels.
        height: Height in pixels.
    """

    def __init__(self, name: str, width: int, height: int) -> None:
        self.name, self.width, self.height = name, width, height
        self._parts: list[str] = []

    @property
    def parts(self) -> int:
        """How many elements there are."""
        return len(self._parts)

    def add(self, part: str) -> None:
        """Put an element on top of what is drawn."""
        self._parts.append(part)

    def text(
        self, x: float, y: float, words: str, *, colour: str = "ink", size: int = SMALL, anchor: Anchor = "start"
    ) -> None:
        """Write a line whose baseline is at ``y``."""
        style = f"font-size: {size}px; text-anchor: {anchor}; fill: {_paint(colour)}"
        self.add(f'<text x="{_number(x)}" y="{_number(y)}" style="{style}">{escape(words)}</text>')

    def heading(self, words: str) -> None:
        """What the vertical axis shows, in the upper left corner."""
        self.text(4, 4 + _ASCENT, words, colour="muted")

    def svg(self, alt: str) -> Markup:
        """The drawing as an ``<svg>`` element with this alternative text."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-label="{escape(alt)}">'
        )
        return Markup("\n".join([head, *self._parts, "</svg>"]))


@dataclass(frozen=True)
class Box:
    """A rectangle of a drawing, in pixels from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def within(cls, plot: Plot, left: float, right: float, top: float, bottom: float) -> Box:
        """What margins leave; fixed rather than fitted, so that no font can move it."""
        return cls(left, top, plot.width - right, plot.height - bottom)

    def rows(self, ratios: Sequence[float], gap: float) -> list[Box]:
        """Boxes one above the other of these relative heights; the gap is in units of their mean height."""
        mean = (self.bottom - self.top) / (len(ratios) + gap * (len(ratios) - 1))
        heights = [mean * len(ratios) * ratio / sum(ratios) for ratio in ratios]
        tops = [self.top + sum(heights[:i]) + i * gap * mean for i in range(len(ratios))]
        return [Box(self.left, top, self.right, top + height) for top, height in zip(tops, heights, strict=True)]


@dataclass
class Axes:
    """A box of a plot with its two scales.

    What is drawn first lies below: ticks and grid, then areas, lines and dots, then :meth:`frame`.

    Args:
        plot: The drawing.
        box: Where in it.
        x: What is at the left and at the right end.
        y: What is at the lower and at the upper end.
    """

    plot: Plot
    box: Box
    x: Span
    y: Span
    _clip: str = field(init=False)

    def __post_init__(self) -> None:
        box = self.box
        self._clip = f"{self.plot.name}-{self.plot.parts}"
        inside = _rectangle(box.left, box.top, box.right, box.bottom)
        self.plot.add(f'<clipPath id="{self._clip}"><path d="{inside}"/></clipPath>')

    def across(self, value: float) -> float:
        """Where a value is, in pixels from the left."""
        return self.box.left + (value - self.x[0]) / (self.x[1] - self.x[0]) * (self.box.right - self.box.left)

    def down(self, value: float) -> float:
        """Where a value is, in pixels from the top."""
        return self.box.bottom - (value - self.y[0]) / (self.y[1] - self.y[0]) * (self.box.bottom - self.box.top)

    def x_ticks(self, ticks: Ticks, *, marks: bool = True, words: bool = True, grid: bool = False) -> None:
        """Label the horizontal axis."""
        bottom = self.box.bottom
        if grid:
            self._rules([(self.across(v), self.box.top, self.across(v), bottom) for v, _ in ticks], "grid", 1.0)
        if marks:
            self._rules([(self.across(v), bottom, self.across(v), bottom + _TICK) for v, _ in ticks], "muted", 0.8)
        for value, label in ticks if words else ():
            place = (self.across(value), bottom + _TICK + _PAD + _ASCENT)
            self.plot.text(*place, label, colour="muted", anchor="middle")

    def y_ticks(self, ticks: Ticks, *, marks: bool = True, grid: bool = True, colour: str = "muted") -> None:
        """Label the vertical axis."""
        left = self.box.left
        if grid:
            self._rules([(left, self.down(v), self.box.right, self.down(v)) for v, _ in ticks], "grid", 1.0)
        if marks:
            self._rules([(left - _TICK, self.down(v), left, self.down(v)) for v, _ in ticks], "muted", 0.8)
        for value, label in ticks:
            self.plot.text(left - _TICK - _PAD, self.down(value) + _ASCENT / 2, label, colour=colour, anchor="end")

    def line(self, x: Iterable[float], y: Iterable[float], stroke: Stroke, *, steps: bool = False) -> None:
        """Draw a curve; with ``steps``, a value holds until the next."""
        self._path(_polyline(self._points(x, y, steps)), stroke.style)

    def area(
        self, x: Sequence[float], low: Iterable[float], high: Iterable[float], colour: str, *, steps: bool = False
    ) -> None:
        """Fill the band between two curves."""
        edge = [*self._points(x, high, steps), *reversed(self._points(x, low, steps))]
        self._path(_polyline(edge) + "z", f"fill: {_paint(colour)}; opacity: 0.16")

    def bars(self, corners: Iterable[tuple[float, float, float, float]], colour: str, opacity: float) -> None:
        """Fill rectangles from (x, y) to (x, y)."""
        path = "".join(_rectangle(self.across(a), self.down(b), self.across(c), self.down(d)) for a, b, c, d in corners)
        self._path(path, f"fill: {_paint(colour)}; opacity: {_number(opacity)}")

    def dots(self, x: Iterable[float], y: Iterable[float], marker: Marker) -> None:
        """Draw a marker at each point, over the edge where it is at the edge."""
        paths = "".join(f'<path d="{_form(marker, *point)}"/>' for point in self._points(x, y))
        self.plot.add(f'<g style="{marker.style}">{paths}</g>')

    def level(self, stroke: Stroke, *, x: float | None = None, y: float | None = None) -> None:
        """Draw a line through the whole box, at ``x`` or at ``y``."""
        if x is not None:
            self.line([x, x], self.y, stroke)
        if y is not None:
            self.line(self.x, [y, y], stroke)

    def frame(self, *, left: bool = True) -> None:
        """The line at the bottom, and the one at the left."""
        box = self.box
        self._rules([(box.left, box.bottom, box.right, box.bottom)], "muted", 1.0)
        if left:
            self._rules([(box.left, box.top, box.left, box.bottom)], "muted", 1.0)

    def x_label(self, words: str) -> None:
        """What the horizontal axis shows, below its labels."""
        middle = (self.box.left + self.box.right) / 2
        self.plot.text(middle, self.box.bottom + 30.4, words, colour="muted", anchor="middle")

    def _path(self, path: str, style: str) -> None:
        self.plot.add(f'<path d="{path}" clip-path="url(#{self._clip})" style="{style}"/>')

    def _rules(self, ends: Iterable[tuple[float, float, float, float]], colour: str, width: float) -> None:
        path = "".join(f"M{_pair(a, b)}L{_pair(c, d)}" for a, b, c, d in ends)
        self.plot.add(f'<path d="{path}" style="{Stroke(colour, width).style}"/>')

    def _points(self, x: Iterable[float], y: Iterable[float], steps: bool = False) -> list[tuple[float, float]]:
        points = [(self.across(a), self.down(b)) for a, b in zip(x, y, strict=True) if math.isfinite(a + b)]
        if not steps:
            return points
        corners = [((right[0], left[1]), right) for left, right in itertools.pairwise(points)]
        return points[:1] + [point for pair in corners for point in pair]


def ticks(low: float, high: float, most: int, *, integer: bool = False) -> list[float]:
    """Round numbers between two ends: at most so many intervals, and at least two numbers where some step gives them.

    Example:
        >>> ticks(0.0, 1.0, 5), ticks(0.93, 0.97, 3, integer=False)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.94, 0.96])
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [step * scale for scale in (0.1 * power, power) for step in _STEPS[:-1]] + [10 * power]
    steps = [step for step in steps if not integer or step % 1 == 0] or [1.0]
    first = next((i for i, step in enumerate(steps) if step >= rough * (1 - 1e-9)), len(steps) - 1)
    between: list[float] = []
    for step in reversed(steps[: first + 1]):
        numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        between = [round(number * step, 12) for number in numbers]
        if len(between) >= 2:
            break
    return between


def percent_ticks(low: float, high: float, most: int = 5) -> Ticks:
    """Ticks of an axis of rates, in percent."""
    digits = 1 if high - low < 0.035 else 0
    return [(value, f"{100 * value:.{digits}f}%") for value in ticks(low, high, most)]


def rate_limits(values: list[float]) -> tuple[float, float]:
    """Limits for an axis of rates: the whole of 0 to 100% unless the values fill less than a quarter of it.

    Example:
        >>> rate_limits([0.2, 0.9]), rate_limits([0.81, 0.88])
        ((0.0, 1.0), (0.8, 0.9))
    """
    if not values or max(values) - min(values) > 0.25:
        return 0.0, 1.0
    pad = max(0.1 * (max(values) - min(values)), 0.005)
    step = 0.05 if max(values) - min(values) > 0.05 else 0.01
    low = max(0.0, step * ((min(values) - pad) // step))
    high = min(1.0, -step * ((-max(values) - pad) // step))
    return round(low, 4), round(high, 4)


def cut_note(low: float) -> str:
    """What an axis that does not start at zero says of itself.

    Example:
        >>> cut_note(0.85), cut_note(0.0)
        (' (axis starts at 85%)', '')
    """
    return f" (axis starts at {rate(low)})" if low > 0 else ""


def _paint(colour: str) -> str:
    return f"var(--{colour},{COLOURS[colour]})"


def _number(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _pair(x: float, y: float) -> str:
    return f"{_number(x)} {_number(y)}"


def _polyline(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(_pair(x, y) for x, y in points)


def _rectangle(left: float, top: float, right: float, bottom: float) -> str:
    return f"M{_pair(left, top)}H{_number(right)}V{_number(bottom)}H{_number(left)}z"


def _form(marker: Marker, x: float, y: float) -> str:
    radius = marker.size / 2
    if marker.form == "o":
        arc = f"a{_pair(radius, radius)} 0 1 0"
        return f"M{_pair(x - radius, y)}{arc} {_pair(2 * radius, 0)}{arc} {_pair(-2 * radius, 0)}z"
    return _polyline((x + radius * a, y + radius * b) for a, b in _CORNERS[marker.form]) + "z"
