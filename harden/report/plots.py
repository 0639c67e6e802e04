"""Drawing surface for the report's plots: matplotlib in, inline SVG out.

Uses matplotlib's object interface only, so no state of pyplot is touched. The SVG carries no date, no random identifier
and no colour of its own: colours are CSS variables with a fallback, so one drawing serves light, dark and paper. Text
stays text, in the page's font, so it can be searched and read aloud. One unit of the drawing is one CSS pixel.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

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

_STYLE = {
    "svg.hashsalt": "harden",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["muted"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "text.color": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 1.0,
    "axes.unicode_minus": True,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 1.0,
    "lines.linewidth": 2.0,
    "lines.markersize": 5.0,
}


def colour(role: str, position: int = 0) -> str:
    """Name of the colour of a network: before and after have their own, others take turns."""
    return role if role in ("before", "after") else SERIES[position % len(SERIES)]


class Plot:
    """One drawing of a given size, with the habits that all plots of a report share.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        rows: Number of axes, one above the other, sharing the horizontal axis.
        ratios: Relative heights of the axes.
    """

    def __init__(self, width: int, height: int, rows: int = 1, ratios: list[float] | None = None) -> None:
        self.width, self.height = width, height
        self.canvas = Canvas(figsize=(width / 72, height / 72), dpi=72)
        self.axes: list[Axes] = list(
            self.canvas.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=ratios or [1.0] * rows)[:, 0]
        )

    @property
    def axis(self) -> Axes:
        """The first axes."""
        return self.axes[0]

    def margins(self, left: int, right: int, top: int, bottom: int, gap: float = 0.15) -> None:
        """Room around the axes in pixels; fixed rather than fitted, so that no font can move it."""
        self.canvas.subplots_adjust(
            left=left / self.width,
            right=1 - right / self.width,
            top=1 - top / self.height,
            bottom=bottom / self.height,
            hspace=gap,
        )

    def svg(self, name: str, alt: str) -> Markup:
        """The drawing as an ``<svg>`` element.

        Args:
            name: Makes identifiers unique within the page.
            alt: Alternative text.
        """
        buffer = io.StringIO()
        with warnings.catch_warnings():
            # The browser draws the text in its own fonts; what matplotlib's font lacks does not matter.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            self.canvas.savefig(buffer, format="svg", transparent=True, metadata=metadata)
        return _inline(buffer.getvalue(), name, alt, self.width, self.height)


@contextmanager
def drawing() -> Iterator[None]:
    """The report's style, whatever the reader's own matplotlibrc says; restores it afterwards."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def percent_axis(axis: Axes, which: str, low: float, high: float, *, ticks: int = 5) -> None:
    """Label one axis of rates in percent, from ``low`` to ``high``."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    target = axis.xaxis if which == "x" else axis.yaxis
    (axis.set_xlim if which == "x" else axis.set_ylim)(low, high)
    target.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    digits = 1 if high - low < 0.035 else 0
    target.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.{digits}f}%"))


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


def _inline(text: str, name: str, alt: str, width: int, height: int) -> Markup:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", text)
    text = re.sub(r"<svg[^>]*>", "", text, count=1)
    used = set(re.findall(r"(?:url\(#|xlink:href=\"#)([\w.-]+)", text))
    text = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(url\(#|xlink:href="#)([\w.-]+)', lambda m: f"{m[1]}{name}-{m[2]}", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r"font(-family)?: ?(\d+px )?'DejaVu Sans'[^;\"]*;? ?", lambda m: _font(m[2]), text)
    for variable, value in COLOURS.items():
        text = text.replace(value, f"var(--{variable},{value})")
    text = re.sub(r"\s*\n\s*", "\n", text).strip()
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(alt)}">'
    )
    return Markup(head + "\n" + text)


def _font(size: str | None) -> str:
    return f"font-size: {size.strip()}; " if size else ""
