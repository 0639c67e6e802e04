"""What the user sees: one document on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Any

import click


def show(document: dict[str, Any], as_json: bool, text: str) -> None:
    """Print the document as JSON, or its text for people."""
    click.echo(json.dumps(document, indent=1) if as_json else text)


class Screen:
    """Progress on stderr: a bar with the time left on a terminal, a line now and then elsewhere.

    Called with a stage, what is done and what there is in all; use as a context manager.
    """

    _PERIOD_S = 30.0

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def __enter__(self) -> Screen:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description:<28}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` parts of ``stage`` are finished."""
        if self._quiet:
            return
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(stage, total=total)
            self._bar.update(self._tasks[stage], completed=done, total=total)
        else:
            self._line(stage, done, total)

    def _line(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        start = self._started.setdefault(stage, now)
        last = self._said.setdefault(stage, start)
        finished = done >= total and self._said[stage] != float("inf")
        if not finished and now - last < self._PERIOD_S:
            return
        self._said[stage] = float("inf") if finished else now
        left = (now - start) * (total - done) / done if done else 0.0
        tail = f"{now - start:.0f} s" if finished else f"{left:.0f} s left"
        click.echo(f"{stage}: {done}/{total}, {tail}", err=True)
