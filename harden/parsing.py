"""Text, JSON and TOML from files that may be broken or mean harm: limits, and one error in place of many.

A file's size is looked at before it is read, and how deep a document is nested before anyone walks it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harden.errors import HardenError, InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table = Mapping[str, object]
"""Parsed TOML before it is validated."""

LARGEST_TEXT = 16 * 2**20  # bytes of a text file that a person may have written
LARGEST_TOML = 2**20  # bytes; parsers of TOML take time quadratic in some texts
DEEPEST = 64  # levels of a document


def read_text(
    path: Path, most: int | None = LARGEST_TEXT, error: type[HardenError] = InputError, fix: str | None = None
) -> str:
    """A text file's content.

    Args:
        path: The file.
        most: Largest size in bytes; None for any.
        error: What is raised.
        fix: What to do about a file that cannot be read.

    Raises:
        HardenError: Of the kind ``error``: the file cannot be read, is too large, or is not UTF-8.
    """
    try:
        if path.is_dir():
            raise error("is a folder, not a file", where=str(path))
        size = path.stat().st_size
        if most is not None and size > most:
            raise error(f"is too large for what it is: {size:,} bytes, and {most:,} are allowed", where=str(path))
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:  # a ValueError: no UTF-8, or a NUL in the name
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
        remedy = fix or ("Check the path" if isinstance(problem, OSError) else "Give a text file in UTF-8")
        raise error(f"cannot be read ({reason})", where=str(path), fix=remedy) from problem


def parse_json(
    text: str | bytes,
    where: str,
    what: str = "is not valid JSON",
    fix: str | None = None,
    error: type[HardenError] = InputError,
) -> Any:
    """A JSON document.

    Args:
        text: The text.
        where: Its file, for the message.
        what: What the message says.
        fix: What to do about it.
        error: What is raised.

    Raises:
        HardenError: Of the kind ``error``: the text is no JSON, or is nested too deeply.
    """
    return _parsed(json.loads, text, where, what, fix, error)


def parse_toml(text: str, where: str | None, error: type[HardenError] = InputError) -> Table:
    """A TOML document.

    Args:
        text: The text.
        where: Its file, for the message.
        error: What is raised.

    Raises:
        HardenError: Of the kind ``error``: the text is no TOML, too long, or nested too deeply.

    Example:
        >>> parse_toml("a = 1", "harden.toml")
        {'a': 1}
    """
    if len(text) > LARGEST_TOML:
        raise error(f"is too long for TOML: {len(text):,} characters", where=where)
    return _parsed(tomllib.loads, text, where, "is not valid TOML", None, error)


def _parsed(
    parse: Callable[[Any], Any], text: Any, where: str | None, what: str, fix: str | None, error: type[HardenError]
) -> Any:
    try:
        document = parse(text)
    except (ValueError, RecursionError) as problem:
        reason = "nested too deeply" if isinstance(problem, RecursionError) else problem
        raise error(f"{what} ({reason})", where=where, fix=fix) from problem
    if _deeper_than(document, DEEPEST):
        raise error(f"{what} (nested too deeply)", where=where, fix=fix)
    return document


def _deeper_than(document: Any, most: int) -> bool:
    """Whether lists and tables are nested more than ``most`` levels; level by level, so without recursion."""
    level = [document]
    for _ in range(most + 1):
        level = [one for one in level if isinstance(one, (dict, list))]
        if not level:
            return False
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return True
