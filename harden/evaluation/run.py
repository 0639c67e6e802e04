"""The trials of a plan, run where they are fastest and resumed where they ended."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harden import pacing
from harden.engines import LocalEngine
from harden.errors import HardenError
from harden.evaluation.bench import Bench
from harden.evaluation.chip_sums import Sums, sums_path
from harden.evaluation.layout import Layout, candidates, choose_layout, clean_rate
from harden.evaluation.log import TrialLog
from harden.evaluation.plan import TrialPlan
from harden.evaluation.trials import Trial, TrialRunner, draw_chip
from harden.evaluation.where import Where
from harden.memory import out_of_memory
from harden.noise.rms import rms_noise
from harden.records.evaluation import Runtime, TensorRecord
from harden.store import sync

_PROBE_SHARE, _PROBE_SECONDS = 0.03, 1.5  # of the expected time of the trials, and at most
_SHORT_S = 5.0  # trials that end sooner do not repay the search for their fastest layout


class Run:
    """All trials of a plan on one bench.

    Args:
        bench: The model and its data.
        plan: Conditions and chips.
        where: The threads, layout and engine of the trials.
        trial_log: The log on disk; None for none.

    Attributes:
        log: The trials, finished ones of earlier processes included.
        sums: Sums over chips; None where the task has none.
        fewer: Workers that were left where memory did not suffice for more; 0 where it did.
    """

    def __init__(self, bench: Bench, plan: TrialPlan, where: Where, trial_log: Path | None) -> None:
        self.bench, self.plan, self.cores = bench, plan, where.cores
        self._engine = where.engine
        self.log = TrialLog(trial_log, plan)
        self.fewer = 0
        self._pacing, self._committed = pacing.current(), time.monotonic()
        self.sums: Sums | None = None
        self._identity = plan.digest(**bench.identity)
        self._path = None if trial_log is None else sums_path(trial_log)
        self._scorer, shapes = bench.scorer.summed(len(plan.conditions))
        earlier = None
        if shapes:
            self.sums = Sums(len(plan.conditions), shapes)
            earlier = self.sums.load(self._path, self._identity) if self._path is not None else None
        self._batches = bench.feed.some_batches()
        if where.engine is not None:
            self._layout: Layout | None = Layout(where.engine.workers, 1)
        else:
            self._layout = where.layout or (Layout.parse(earlier) if earlier else None)
        self._clean_rates: list[float] = []
        self._rough_rate: float | None = None  # of the clean model on all cores, images per second
        self._images, self._seconds = 0, 0.0

    def finish(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Run every trial that is not in the log yet (and those after the last written sums, for the sums).

        Where memory does not suffice, half as many workers go on.
        """
        while True:
            try:
                return self._finish(progress)
            except (HardenError, RuntimeError, MemoryError) as error:
                layout = self._layout
                if self._engine is not None or layout is None or layout.workers == 1 or not out_of_memory(error):
                    raise
            self.fewer = layout.workers // 2
            self._layout = Layout(self.fewer, layout.threads)

    def _finish(self, progress: Callable[[int, int], None] | None) -> None:
        start = min(self.log.count, self.sums.done if self.sums is not None else len(self.plan))
        if start == len(self.plan):
            return
        layout, fastest = (self._layout, self._layout) if self._layout else self._probe(len(self.plan) - start)
        self._layout = layout
        spare = 1 if layout.threads > 1 else 0  # draws the next chip while all slots run
        runner = TrialRunner(
            self.bench.periphery,
            self.bench.weights,
            self.bench.feed,
            replace(self.bench.judge, scorer=self._scorer),
            self.plan,
            layout,
        )
        engine = self._engine or LocalEngine(layout.workers + spare)
        self._measure_clean(fastest, len(self.plan) - start)
        began = time.perf_counter()
        results = engine.run(runner, self.plan.tasks(start), runner.cancelled.set)
        try:
            with contextlib.closing(results):
                for number, trial in enumerate(results, start):
                    self._take(number, trial)
                    if progress is not None:
                        progress(number + 1, len(self.plan))
        except KeyboardInterrupt:
            self._commit()
            raise
        self._seconds = time.perf_counter() - began
        self._images = (len(self.plan) - start) * self.bench.feed.examples
        self._commit()
        self._measure_clean(fastest, len(self.plan) - start)

    def runtime(self, seconds: float) -> Runtime:
        """How fast the trials went that this process ran; rates are None where it ran none."""
        layout = self._layout
        return Runtime(
            seconds=seconds,
            images_per_second=self._images / self._seconds if self._images else None,
            clean_images_per_second=sum(self._clean_rates) / len(self._clean_rates) if self._clean_rates else None,
            workers=layout.workers if layout else None,
            threads_per_worker=layout.threads if layout else None,
            batch_size=self.bench.feed.batch,
            engine=(self._engine or LocalEngine).name,
        )

    def perturbed(self) -> tuple[TensorRecord, ...]:
        """The analog weights, and how strongly chip 0 of the first condition perturbs each."""
        weights, condition = self.bench.weights, self.plan.conditions[0]
        chip = draw_chip(condition, weights, seed=self.plan.seed, index=0)
        noise = rms_noise(condition.profile, weights, chip)
        return tuple(
            TensorRecord(
                key=key,
                node=w.node,
                op=w.op,
                shape=tuple(w.tensor.shape),
                **({"uses": w.uses} if w.uses > 1 else {}),
                rms_noise_relative=_finite(noise[key]["relative_to_rms"]),
                rms_noise_relative_to_max=_finite(noise[key]["relative_to_max"]),
            )
            for key, w in weights.items()
        )

    def _take(self, number: int, trial: Trial) -> None:
        self.log.add(number, trial.record)
        # A log that lost lines is filled up again; the sums may hold those trials already.
        if self.sums is not None and number >= self.sums.done:
            self.sums.add(trial.task.condition, trial.scores.sums)
            waited = time.monotonic() - self._committed
            if self.sums.done % self._pacing.commit_trials == 0 or waited >= self._pacing.commit_s:
                self._commit()

    def _commit(self) -> None:
        if self.sums is not None and self._path is not None:
            if self.log.path is not None:
                sync(self.log.path)  # the sums must not outlive the lines they are made of
            # Where the next process runs is its own affair: a cluster's layout would not suit this machine.
            self.sums.save(self._path, self._identity, "" if self._engine else str(self._layout))
            self._committed = time.monotonic()

    def _measure_clean(self, layout: Layout, trials: int) -> None:
        """The clean model's speed, to compare with; only for trials on this machine."""
        if self._engine is None:
            seconds = self._measuring_s(trials)
            self._clean_rates.append(clean_rate(self.bench.copy, self._batches, layout, seconds))

    def _probe(self, trials: int) -> tuple[Layout, Layout]:
        if self._expected_s(trials) < _SHORT_S:
            usual = candidates(self.cores)[0]
            return usual, usual
        return choose_layout(self.bench.copy, self._batches, self.cores, self._measuring_s(trials))

    def _measuring_s(self, trials: int) -> float:
        """Seconds to spend on one measurement."""
        return min(_PROBE_SECONDS, _PROBE_SHARE * self._expected_s(trials))

    def _expected_s(self, trials: int) -> float:
        """Seconds that so many trials take by a first rough rate."""
        if self._rough_rate is None:
            self._rough_rate = clean_rate(self.bench.copy, self._batches, Layout(1, self.cores), 0.0)
        return trials * self.bench.feed.examples / self._rough_rate


def _finite(value: float) -> float | None:
    """JSON knows no infinity: a flipped exponent bit can make one."""
    return value if math.isfinite(value) else None
