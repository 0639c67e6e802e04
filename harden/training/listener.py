"""Who is told how a training goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

OnStep = Callable[[Mapping[str, float]], None]
OnProgress = Callable[[int, int, float], None]


def _no_step(record: Mapping[str, float]) -> None:
    del record


def _no_progress(done: int, total: int, seconds_left: float) -> None:
    del done, total, seconds_left


@dataclass(frozen=True)
class Listener:
    """Who is told of a run's steps; silent by default.

    Attributes:
        on_step: Called with each step's record: ``step``, ``loss``, ``lr`` and the method's named parts. After a resume
            or a rollback the steps since the last checkpoint are reported again.
        on_progress: Called with the steps done, their total, and the seconds left.
    """

    on_step: OnStep = _no_step
    on_progress: OnProgress = _no_progress


SILENT = Listener()
