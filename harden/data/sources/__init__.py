"""Forms of data, one file each. A form says which sources it accepts and reads them.

A member defines ``ACCEPTS`` (one line for messages), ``accepts(source) -> bool`` and ``read(source, request) ->
Examples``. At most one member accepts a source. Third parties add forms through the entry points ``harden.sources``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harden.data.sources.base import Examples, Request, unreadable
from harden.errors import DataError
from harden.registry import Registry
from harden.store import similar

SOURCES = Registry("form of data", "harden.data.sources", "harden.sources")


def read(source: str, request: Request) -> Examples:
    """Read a source with the member that accepts it.

    Raises:
        DataError: Nothing accepts it, or its member cannot read it.
    """
    return member(source).read(source, request)


def member(source: str) -> Any:
    """The form of data that a source has.

    Raises:
        DataError: Nothing accepts it.
    """
    members = [SOURCES.module(name) for name in SOURCES]
    with unreadable("name", source, "Check the name and its permissions"):
        source_kind = next((member for member in members if member.accepts(source)), None)
        exists = Path(source).exists()
    if source_kind:
        return source_kind
    forms = "; ".join(member.ACCEPTS for member in members)
    if not exists:
        fix = similar(Path(source)).rstrip() or f"Accepted: {forms}"
        raise DataError("no such file or folder", where=source, fix=fix)
    raise DataError("not a form of data that harden reads", where=source, fix=f"Accepted: {forms}")
