"""The contract of an engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Runs a pure function over tasks.

    Attributes:
        name: As it appears in reports.
        workers: How many tasks run at a time.
    """

    name: str
    workers: int

    def run(
        self, function: Callable[[T], R], tasks: Iterable[T], on_stop: Callable[[], None] | None = None
    ) -> Generator[R, None, None]:
        """The results in the order of the tasks.

        An exception of the function ends the run and is raised here. Closing the generator cancels what has not begun.
        ``on_stop`` is called when a run ends early, before tasks under way are waited for, so that they can be told.
        """
        ...
