"""How a long step tells that it is alive: stage, done, total."""

from __future__ import annotations

from collections.abc import Callable

Notify = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
