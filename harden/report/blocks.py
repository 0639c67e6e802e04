"""What a section is made of: plain data that the templates turn into HTML.

Strings are text, never markup: the templates escape them. The one exception is the SVG of a figure, which
:mod:`harden.report.plots` makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from markupsafe import Markup


@dataclass(frozen=True)
class Paragraph:
    """Running text; ``tone`` is "plain", "note" (smaller) or "warning" (marked)."""

    text: str
    tone: str = "plain"
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Bullets:
    """A list of short statements."""

    items: Sequence[str]
    kind: ClassVar[str] = "bullets"


@dataclass(frozen=True)
class Facts:
    """Names and values, as in a data sheet. Values are set in a monospaced face where ``code`` is true."""

    items: Sequence[tuple[str, str]]
    code: bool = False
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Code:
    """Text to be copied as it stands, such as a command."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Table:
    """Rows under a head.

    Args:
        head: The columns' titles.
        rows: One string a cell.
        align: One letter a column, "l" or "r". Numbers go right.
        caption: What the table shows, one sentence.
        strong: Index of the rows that carry the message.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str
    caption: str = ""
    strong: Sequence[int] = ()
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """A plot.

    Args:
        name: Identifies the figure within the report.
        svg: The drawing.
        alt: What a reader who does not see it should know.
        caption: How to read it.
        narrow: Another drawing of the same for narrow screens, where a wide one would be too small to read.
        width: Natural width in pixels.
    """

    name: str
    svg: Markup
    alt: str
    caption: str
    narrow: Markup | None = None
    width: int = 440
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Columns:
    """Two cells side by side on wide screens and paper, one above the other on phones."""

    left: Sequence[Block]
    right: Sequence[Block]
    kind: ClassVar[str] = "columns"


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away until asked for: raw numbers."""

    summary: str
    blocks: Sequence[Block]
    kind: ClassVar[str] = "details"


Block: TypeAlias = "Paragraph | Bullets | Facts | Code | Table | Figure | Columns | Details"


@dataclass(frozen=True)
class Section:
    """One part of the report. ``name`` becomes the anchor; it is filled in by the renderer from the file's name."""

    title: str
    blocks: Sequence[Block]
    name: str = field(default="")
