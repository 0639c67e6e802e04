"""Markdown at one width: paragraphs and list items filled to 120 columns.

Tables, code, headings, images, HTML and directives stay as they are, whatever their width.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
FOLDERS = (".", "docs", "docs/tutorials", "models", "harden/data/embedded")

_FENCE = re.compile(r"\s*(```|~~~)")
_ITEM = re.compile(r"(?P<indent> *)(?P<mark>[-*]|\d+\.) +")
_AS_IT_IS = re.compile(r"\s*(#|\||<|:::|!\[|\$\$|---)| {4,}(?![ -])")
# A line that began with one of these would be a list, a heading, a quotation or a table.
_NEVER_FIRST = re.compile(r" (?=(?:[-+*>|]|#+|\d+\.|=+)(?: |$))")
_GLUE = "\x00"
_CODE = re.compile(r"`[^`]{1,90}`")  # is copied in one piece


def pages() -> list[Path]:
    """Every page of the repository that people read."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))


def fill(text: str) -> str:
    r"""The page with its paragraphs filled; what it means stays the same.

    Example:
        >>> print(fill("a\nb\n\n- c\n  d\n\n| e |\n| f |\n"), end="")
        a b
        <BLANKLINE>
        - c d
        <BLANKLINE>
        | e |
        | f |
    """
    made: list[str] = []
    paragraph: list[str] = []
    fenced = False

    def flush() -> None:
        if paragraph:
            made.extend(_filled(paragraph))
            paragraph.clear()

    for line in text.splitlines():
        fence = bool(_FENCE.match(line))
        if fence or fenced or not line.strip():
            flush()
            made.append(line)
            fenced ^= fence
        elif _ITEM.match(line):
            flush()
            paragraph.append(line)
        elif _AS_IT_IS.match(line) and not (paragraph and line.startswith(" ")):
            flush()
            made.append(line)
        else:
            paragraph.append(line)
    flush()
    return "\n".join(made) + "\n"


def _filled(lines: list[str]) -> list[str]:
    item = _ITEM.match(lines[0])
    first = item.group() if item else re.match(" *", lines[0]).group()  # pyright: ignore[reportOptionalMemberAccess]
    words = " ".join([lines[0][len(first) :], *lines[1:]]).split()
    glued = _NEVER_FIRST.sub(_GLUE, " ".join(words))
    glued = _CODE.sub(lambda code: code.group().replace(" ", _GLUE), glued)
    rest = " " * len(first)
    wrapped = textwrap.wrap(
        glued, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_GLUE, " ") for line in wrapped]
