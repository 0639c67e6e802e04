"""Where each value of a settings file stands, so that a message can name its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harden.errors import SettingsError
from harden.parsing import Table, parse_toml, read_text, tomllib

LARGEST_SETTINGS = 2**16  # bytes
_MOST_LINES = 2000  # finding a key's line takes time quadratic in them


def read_toml(path: Path) -> tuple[Table, dict[str, int]]:
    """The values of a TOML file, and the line that each of its top-level keys begins in, from 1.

    Raises:
        SettingsError: The file cannot be read or is no TOML; names the line.
    """
    text = read_text(path, LARGEST_SETTINGS, SettingsError, fix="Check --config")
    if text.count("\n") > _MOST_LINES:
        raise SettingsError(f"has more than {_MOST_LINES:,} lines", where=str(path), fix="Check --config")
    values = parse_toml(text, str(path), SettingsError)
    return values, key_lines(text)


def key_lines(text: str) -> dict[str, int]:
    """The line that each top-level key of valid TOML begins in.

    A key begins after the longest part of the file, in whole lines, that is valid without it: the parser itself decides
    what is a key, so that texts and lists of several lines are no trap.

    Example:
        >>> key_lines('# ours\\nchips = 7\\nat = [\\n  1,\\n]\\nseed = 3\\n')
        {'chips': 2, 'at': 3, 'seed': 6}
    """
    return {path[0]: line for path, line in value_lines(text).items() if len(path) == 1}


def value_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line that each key of valid TOML begins in, by its path; the parts of a list of tables are numbered.

    Example:
        >>> lines = value_lines('[[read]]\\nlaw = "gaussian"\\n[[read]]\\nsigma = 2\\n')
        >>> lines["read", "0", "law"], lines["read", "1"], lines["read", "1", "sigma"]
        (2, 3, 4)
    """
    lines = text.splitlines()
    found: dict[tuple[str, ...], int] = {}
    begin = 0  # lines of the last valid part
    for end in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        for path in _paths(values):
            found.setdefault(path, begin + 1)
        begin = end
    return found


def _paths(table: Table, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in table.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _paths(value, (*above, name))
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield from _paths({str(position): item for position, item in enumerate(value)}, (*above, name))
