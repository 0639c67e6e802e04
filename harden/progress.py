"""How a long step tells that it is alive: stage, done, total."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Notify = Callable[[str, int, int], None]


@contextmanager
def stage(notify: Notify, name: str) -> Iterator[None]:
    """A step that cannot say how far it is: told when it begins and when it is done."""
    notify(name, 0, 1)
    yield
    notify(name, 1, 1)


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
