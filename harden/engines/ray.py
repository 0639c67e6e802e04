"""Tasks on a Ray cluster: a worker that dies or hangs costs its task a second try, and nothing else."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

from harden.engines.cluster import load_ray
from harden.engines.remote import call, versions
from harden.errors import HardenError, SettingsError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # tasks per worker that are handed out, so that none waits for the next
_KEPT = 4  # tasks per worker that may be under way or finished before their turn
_DEATHS = 10  # workers that a task may cost before it is to blame
_SLOW, _LEAST_S = 4.0, 10.0  # a task that takes so many times the median, and so long at least, gets a second worker
_LOOK_S = 1.0


class RayEngine:
    """Workers of the Ray cluster that this process has joined.

    The function, with the model and the data in it, is placed in the cluster's object store once and fetched once by
    every worker. A task whose worker is killed, or whose machine leaves, runs again elsewhere; a task that takes far
    longer than the others is given to a second worker, and whoever is first counts. Tasks must therefore be pure.

    Args:
        workers: How many tasks run at a time at most; None for every processor of the cluster.
        cpus: Processors a task keeps busy.
        patience: Times the median duration after which a task is given to a second worker.
        least_s: Seconds that it gets in any case.

    Attributes:
        processors: How many the cluster has.
    """

    name = "ray"

    def __init__(
        self, workers: int | None = None, *, cpus: int = 1, patience: float = _SLOW, least_s: float = _LEAST_S
    ) -> None:
        if workers is not None and workers < 1:
            raise SettingsError(f"an engine needs at least one worker, not {workers}", where="--workers")
        self._ray = load_ray()
        self._cpus = cpus
        self._patience, self._least_s = patience, least_s
        available = int(self._ray.cluster_resources().get("CPU", 0)) // cpus
        if available < 1:
            raise SettingsError(f"no machine of the Ray cluster has {cpus} processors to spare", where="--engine ray")
        self.processors = available * cpus
        self._limited = workers is not None and workers < available
        self.workers = available if workers is None else min(workers, available)

    def run(
        self, function: Callable[[T], R], tasks: Iterable[T], on_stop: Callable[[], None] | None = None
    ) -> Generator[R, None, None]:
        """The results in the order of the tasks; ``function`` and tasks are pickled."""
        race = _Race(self, function, enumerate(tasks))
        finished = False
        try:
            yield from race.results()
            finished = True
        finally:
            if not finished and on_stop is not None:
                on_stop()
            race.stop()

    def submit(self, arguments: tuple[Any, ...]) -> Any:
        """Hand a task to the cluster; returns its reference."""
        remote = self._ray.remote(call).options(num_cpus=self._cpus, max_retries=_DEATHS, name="harden")
        return remote.remote(*arguments)

    @property
    def handed_out(self) -> int:
        """Tasks that are with the cluster at a time."""
        return self.workers if self._limited else _AHEAD * self.workers

    @property
    def machines(self) -> int:
        """How many machines of the cluster have processors to spare."""
        return sum(node["Alive"] and node["Resources"].get("CPU", 0) >= self._cpus for node in self._ray.nodes())

    @property
    def gpus(self) -> int:
        """How many GPUs the cluster has."""
        return int(self._ray.cluster_resources().get("GPU", 0))

    @property
    def ray(self) -> Any:
        """The module."""
        return self._ray

    def too_slow(self, waited_s: float, durations: list[float]) -> bool:
        """Whether a task has been away so long that someone else should try."""
        return len(durations) >= 2 and waited_s > max(self._least_s, self._patience * statistics.median(durations))


class _Race:
    """One run: which tasks are where, since when, and what came back."""

    def __init__(self, engine: RayEngine, function: Any, tasks: Iterator[tuple[int, Any]]) -> None:
        self._engine, self._tasks = engine, tasks
        box = engine.ray.put(function)
        self._fixed = (box.hex(), [box], versions())
        self._given: dict[int, Any] = {}  # tasks without a result, by number
        self._began: dict[int, float] = {}  # when their last try began
        self._running: dict[Any, int] = {}  # tries: reference to number
        self._done: dict[int, Any] = {}
        self._durations: list[float] = []
        self._all_given = False

    def results(self) -> Generator[Any, None, None]:
        following = 0
        while True:
            self._give()
            if not self._given and following not in self._done:
                return
            while following in self._done:
                yield self._done.pop(following)
                following += 1
                self._give()
            if self._given:
                self._wait()
                self._second_tries()

    def stop(self) -> None:
        """Take back what is still away; workers stay for the next run."""
        for reference in self._running:
            self._engine.ray.cancel(reference)
        self._running.clear()

    def _give(self) -> None:
        most = _KEPT * self._engine.workers
        while (
            not self._all_given
            and len(self._given) < self._engine.handed_out
            and len(self._given) + len(self._done) < most
        ):
            numbered = next(self._tasks, None)
            if numbered is None:
                self._all_given = True
                return
            self._given[numbered[0]] = numbered[1]
            self._try(numbered[0])

    def _try(self, number: int) -> None:
        self._running[self._engine.submit((*self._fixed, self._given[number]))] = number
        self._began[number] = time.monotonic()

    def _wait(self) -> None:
        ready, _ = self._engine.ray.wait(list(self._running), timeout=_LOOK_S)
        for reference in ready:
            number = self._running.pop(reference)
            if number not in self._given:
                continue  # the other try was first
            self._done[number] = self._fetch(reference)
            del self._given[number]
            self._durations = [*self._durations[-99:], time.monotonic() - self._began.pop(number)]
            for other in [attempt for attempt, of in self._running.items() if of == number]:
                self._engine.ray.cancel(other, force=True)
                del self._running[other]

    def _fetch(self, reference: Any) -> Any:
        errors = self._engine.ray.exceptions
        try:
            return self._engine.ray.get(reference)
        except errors.RayTaskError as error:
            cause = error.cause
            raise (cause if isinstance(cause, Exception) else error) from None
        except errors.RayError as error:
            raise HardenError(
                f"the Ray cluster cannot run a task ({str(error).strip().splitlines()[0]})",
                where="--engine ray",
                fix="See ray status and the workers' logs; too little memory is the usual cause",
            ) from error

    def _second_tries(self) -> None:
        now = time.monotonic()
        for number, since in list(self._began.items()):
            if self._engine.too_slow(now - since, self._durations):
                self._try(number)
