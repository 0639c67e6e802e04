"""How many sessions run side by side, with how many threads each: measured, not guessed."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from harden.errors import SettingsError
from harden.runtime.copy import RuntimeCopy
from harden.runtime.sessions import Session

_WORTH_IT = 1.2  # how much faster the clean model must be with fewer workers


@dataclass(frozen=True)
class Layout:
    """Sessions side by side, and threads within each.

    The choice changes speed only: which worker runs a chip decides no number.
    """

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers}x{self.threads}"

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Read ``2x1``.

        Raises:
            SettingsError: The text is not a layout.
        """
        workers, _, threads = text.partition("x")
        if not (workers.isdigit() and threads.isdigit() and int(workers) > 0 and int(threads) > 0):
            raise SettingsError(f"'{text}' is not a layout", fix="Write WORKERSxTHREADS, such as 2x1")
        return cls(int(workers), int(threads))


def available_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def candidates(cores: int) -> list[Layout]:
    """Layouts that use all cores: one thread a session first, then 2, 4, ..., all.

    Example:
        >>> [str(layout) for layout in candidates(4)]
        ['4x1', '2x2', '1x4']
    """
    threads = [t for t in (2**k for k in range(cores.bit_length())) if t <= cores]
    if cores not in threads:
        threads.append(cores)
    return [Layout(max(1, cores // t), t) for t in threads]


def choose_layout(
    copy: RuntimeCopy, batches: Sequence[tuple[np.ndarray, ...]], cores: int, seconds: float
) -> tuple[Layout, Layout]:
    """The layout for trials, and the one in which the clean model is fastest.

    Drawing a chip, opening its session and scoring it run beside other chips' sessions only where there are several
    workers; with one worker they cost 15% of ResNet-20's speed at 1,000 images per chip. Fewer workers with more
    threads are therefore taken for trials only where that makes the clean model faster by more.

    Args:
        copy: The model.
        batches: Batches to run, over and over.
        cores: How many threads may be busy at a time.
        seconds: How long each layout is measured.
    """
    layouts = candidates(cores)
    if len(layouts) == 1:
        return layouts[0], layouts[0]
    rates = [clean_rate(copy, batches, layout, seconds) for layout in layouts]
    return prefer_workers(layouts, rates), layouts[int(np.argmax(rates))]


def prefer_workers(layouts: Sequence[Layout], rates: Sequence[float]) -> Layout:
    """The first layout, unless another's rate is higher by a fifth and the highest of all.

    Example:
        >>> str(prefer_workers([Layout(2, 1), Layout(1, 2)], [100.0, 110.0]))
        '2x1'
        >>> str(prefer_workers([Layout(2, 1), Layout(1, 2)], [100.0, 130.0]))
        '1x2'
    """
    best = int(np.argmax(rates))
    return layouts[best] if rates[best] > _WORTH_IT * rates[0] else layouts[0]


def clean_rate(copy: RuntimeCopy, batches: Sequence[tuple[np.ndarray, ...]], layout: Layout, seconds: float) -> float:
    """Images per second of the clean model in a layout; nothing but running is timed.

    Args:
        copy: The model.
        batches: Batches to run, over and over.
        layout: Sessions and threads.
        seconds: How long to measure. Each session runs at least one batch, after one that is not counted.
    """
    sessions = [copy.clean_session(threads=layout.threads) for _ in range(layout.workers)]
    counts = [0] * layout.workers
    ready = threading.Barrier(layout.workers + 1)
    started = [0.0]

    def work(number: int, session: Session) -> float:
        session.run(*batches[number % len(batches)])
        ready.wait()
        ready.wait()  # released once the clock is read
        for batch in itertools.islice(itertools.cycle(batches), number, None):
            session.run(*batch)
            counts[number] += len(batch[0])
            now = time.perf_counter()
            if now - started[0] >= seconds:
                return now
        return 0.0

    with ThreadPoolExecutor(layout.workers) as pool:
        running = [pool.submit(work, number, session) for number, session in enumerate(sessions)]
        ready.wait()
        started[0] = time.perf_counter()
        ready.wait()
        finished = [future.result() for future in running]
    # Each worker is timed by itself: one that finished early must not count as idle.
    return sum(count / (end - started[0]) for count, end in zip(counts, finished, strict=True))
