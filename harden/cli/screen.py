"""What the user sees: one document on stdout, progress on stderr."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

import click

from harden import __version__

F = TypeVar("F", bound=Callable[..., Any])

_PERIOD_S = 30.0
_SHORT_S = 2.0  # stages that end sooner are not worth a line


def show(document: Mapping[str, object], as_json: bool, text: str) -> None:
    """Print the document as JSON, or its text for people."""
    click.echo(json.dumps(document, indent=1) if as_json else text)


@dataclass(frozen=True)
class Answer:
    """How a short command answers: the values of ``--json``, ``-v`` and ``-q``, and when it began."""

    as_json: bool
    verbose: bool
    quiet: bool
    began: float = field(default_factory=time.monotonic)

    def show(self, document: Mapping[str, object], text: str, detail: str = "") -> None:
        """Print the document as JSON, or its text; with ``-v`` the detail, the version and the time it took, too."""
        show(document, self.as_json, text)
        if self.verbose and not self.quiet:
            say(f"{detail}\nharden {__version__}, {time.monotonic() - self.began:.1f} s".lstrip())


def answer_options(command: F) -> F:
    """Add ``--json``, ``-v`` and ``-q``, which arrive as one ``answer``."""

    @functools.wraps(command)
    def called(*, as_json: bool, verbose: bool, quiet: bool, **others: Any) -> Any:
        return command(answer=Answer(as_json, verbose, quiet), **others)

    decorated: Any = called
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="only the result"),
        click.option("-v", "--verbose", is_flag=True, help="more detail, the version, and the time it took"),
        click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout"),
    ):
        decorated = option(decorated)
    return decorated


def say(text: str) -> None:
    """Tell what is no result: on stderr, so that a pipe gets results only."""
    click.echo(text, err=True)


class Screen:
    """Progress on stderr: a bar with the time left on a terminal, a line now and then elsewhere.

    Called with a stage, what is done and what there is in all; use as a context manager.

    Args:
        quiet: Results only: no progress at all.
        verbose: A line for every stage that ends, however short.
    """

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet, self._verbose = quiet, verbose
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self._waiting: dict[str, threading.Timer] = {}

    def __enter__(self) -> Screen:
        if not self._quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
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
        for timer in self._waiting.values():
            timer.cancel()
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
        if self._bar is None or self._verbose:
            self._line(stage, done, total)

    def _line(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        start = self._started.setdefault(stage, now)
        last = self._said.setdefault(stage, start)
        if last == float("inf"):
            return
        finished = done >= total
        whole = total == 1  # a stage that cannot say how far it is
        if finished:
            self._said[stage] = float("inf")
            if timer := self._waiting.pop(stage, None):
                timer.cancel()
            if now - start >= _SHORT_S or self._verbose:
                parts = "" if whole else f"{done}/{total}, "
                self._echo(f"{stage}: {parts}{now - start:.{0 if now - start >= 10 else 1}f} s")
        elif whole and self._bar is None and stage not in self._waiting:
            self._waiting[stage] = timer = threading.Timer(_SHORT_S, self._echo, (f"{stage} ...",))
            timer.daemon = True
            timer.start()
        elif self._bar is None and now - last >= _PERIOD_S:
            self._said[stage] = now
            left = f", {(now - start) * (total - done) / done:.0f} s left" if done else ""
            self._echo(f"{stage}: {done}/{total}{left}")

    def _echo(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            say(text)


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows below a header, columns aligned to the left."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [header, *rows]
    )
