"""Workers of this process: threads, because ONNX Runtime and torch release Python's lock while they compute."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from harden.errors import SettingsError

T = TypeVar("T")
R = TypeVar("R")


class LocalEngine:
    """Threads of this process; with one worker everything runs in the caller's thread.

    Args:
        workers: How many tasks run at a time, at least 1.

    Example:
        >>> list(LocalEngine(2).run(lambda x: x * x, range(4)))
        [0, 1, 4, 9]
    """

    name = "local"

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise SettingsError(f"an engine needs at least one worker, not {workers}", where="workers")
        self.workers = workers

    def run(
        self, function: Callable[[T], R], tasks: Iterable[T], on_stop: Callable[[], None] | None = None
    ) -> Generator[R, None, None]:
        """The results in the order of the tasks; at most two tasks per worker are taken ahead of the consumer."""
        if self.workers == 1:
            for task in tasks:
                yield function(task)
            return
        waiting: deque[Future[R]] = deque()
        source = iter(tasks)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="harden") as pool:
            try:
                for task in source:
                    waiting.append(pool.submit(function, task))
                    if len(waiting) >= 2 * self.workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BaseException:
                for future in waiting:
                    future.cancel()
                if on_stop is not None:
                    on_stop()
                raise
