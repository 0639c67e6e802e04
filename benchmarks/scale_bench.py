"""How trials spread over workers: 1 and 2 of them measured, 64 and more worked out from measured costs.

``python benchmarks/scale_bench.py [--chips 150]`` starts a Ray cluster on this machine and prints the time of one
evaluation on one and on two workers, that of its trials alone, and efficiency = t1 / (2 t2) of these. It measures, in
processor time so that a busy machine shows less, what a trial costs its worker and what it costs the one process that
hands trials out and takes results in, and plays the hand-out through for more workers.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import harden
from harden.data.embedded import content
from harden.engines.cluster import joined
from harden.engines.ray import RayEngine
from harden.evaluation.layout import Layout

TRIALS = 10_000
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def makespan(trials_s: Sequence[float], workers: int, overhead_s: float) -> float:
    """Seconds until the last of the trials is done, handed out one after the other to whoever is free.

    Args:
        trials_s: What each costs its worker.
        workers: How many there are.
        overhead_s: What each costs the process that hands out.

    Example:
        >>> makespan([1.0] * 4, 2, 0.0), makespan([1.0] * 4, 2, 1.0)
        (2.0, 5.0)
    """
    free = [0.0] * workers
    clock = 0.0
    for trial in trials_s:
        clock += overhead_s
        heapq.heappush(free, max(clock, heapq.heappop(free)) + trial)
    return max(free)


@contextlib.contextmanager
def quickly_imported() -> Iterator[None]:
    """Ray's processes do without rfc3987-syntax in this block.

    jsonschema, which they all import, takes it where it is installed, and it spends seconds on its grammar: on a busy
    machine more than Ray waits for them.
    """
    before = os.environ.get("PYTHONPATH")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rfc3987_syntax.py").write_text("raise ImportError\n")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, before)))
        try:
            yield
        finally:
            os.environ["PYTHONPATH"] = before or ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, default=150)
    chips = parser.parse_args().chips
    with tempfile.TemporaryDirectory() as folder, quickly_imported(), joined("ray") as ray:
        for name in ("digits_cnn.onnx", "test.npz"):
            (Path(folder) / name).write_bytes(content(name))
        model = harden.load(Path(folder) / "digits_cnn.onnx")
        data = harden.Dataset.open(Path(folder) / "test.npz", model.preprocess)
        profile = harden.Profile.load("rram1")

        def run(count: int, clock: Callable[[], float] = time.thread_time, **where: Any) -> tuple[float, float]:
            """Seconds that pass, and processor seconds: of this thread, which on a cluster only hands out."""
            began, used = time.perf_counter(), clock()
            harden.evaluate(model, profile, data, chips=count, **where)
            return time.perf_counter() - began, clock() - used

        run(chips, engine=RayEngine(2))  # workers start, and import what they need
        processors, load = int(ray.cluster_resources()["CPU"]), os.getloadavg()[0]
        print(f"digits_cnn, {len(data)} images, {chips} chips, {processors} processors, load {load:.1f}")
        measured = {workers: [run(n * chips, engine=RayEngine(workers)) for n in (1, 2)] for workers in (1, 2)}
        # What twice as many chips take more: the set-up is in both.
        more = {workers: twice[0] - once[0] for workers, (once, twice) in measured.items()}
        for workers, ((taken, _), _) in measured.items():
            print(
                f"  {workers} worker{'s' if workers > 1 else ' '}  {taken:7.2f} s, trials alone {more[workers]:7.2f} s"
            )
        print(f"  efficiency of the trials on 2 workers: {more[1] / (2 * more[2]):.0%}")
        overhead_s = max(measured[2][1][1] - measured[2][0][1], 1e-6) / chips
        once, twice = (run(count, time.process_time, layout=Layout(1, 1))[1] for count in (chips, 2 * chips))
        trial_s = max(twice - once, 1e-6) / chips
    print(f"a trial costs its worker {1e3 * trial_s:.1f} ms, and its hand-out {1e3 * overhead_s:.2f} ms")
    for factor, label in ((1, "this network"), (100, "one that takes 100 times as long")):
        print(f"{TRIALS} chips of {label} (worked out):")
        trials = [factor * trial_s] * TRIALS
        alone = makespan(trials, 1, 0.0)
        for workers in WORKERS:
            taken = makespan(trials, workers, overhead_s)
            print(f"  {workers:4d} workers  {taken:10.1f} s  efficiency {alone / (workers * taken):6.1%}")
        print(f"  the hand-out is the limit from {factor * trial_s / overhead_s:.0f} workers on")


if __name__ == "__main__":
    main()
