"""Where each value of a settings file stands, so that a message can name its line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from harden.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The values of a TOML file, and the line that each of its top-level keys begins in, from 1.

    Raises:
        SettingsError: The file cannot be read or is no TOML; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("cannot read the settings file", where=str(path), fix="Check --config") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"is not valid TOML ({error})", where=str(path)) from error
    return values, key_lines(text)


def key_lines(text: str) -> dict[str, int]:
    """The line that each top-level key of valid TOML begins in.

    A key begins after the longest part of the file, in whole lines, that is valid without it: the parser itself decides
    what is a key, so that texts and lists of several lines are no trap.

    Example:
        >>> key_lines('# ours\\nchips = 7\\nat = [\\n  1,\\n]\\nseed = 3\\n')
        {'chips': 2, 'at': 3, 'seed': 6}
    """
    lines = text.splitlines()
    found: dict[str, int] = {}
    begin = 0  # lines of the last valid part
    for end in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        for name in values:
            found.setdefault(name, begin + 1)
        begin = end
    return found
