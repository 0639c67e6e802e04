"""The judge: on which examples, under which noise, on how many chips and where models are measured.

A judge is passed whole to everything that measures chips, so that the chips of a curve run on the device and the
threads that the run's own chips run on, unless the code says otherwise (:meth:`Judge.here`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harden.data.dataset import Dataset, check_data
from harden.errors import HardenError
from harden.evaluation.batch_size import BatchSize
from harden.evaluation.bench import Bench, bench_of, headline_of, open_bench, recount_bench, single_threaded_torch
from harden.evaluation.custom import Metric
from harden.evaluation.document import record_of
from harden.evaluation.plan import Condition, TrialPlan, check_numbers
from harden.evaluation.run import Run
from harden.evaluation.where import Where
from harden.memory import out_of_memory
from harden.progress import Notify, silent
from harden.records import EvalRecord
from harden.records.evaluation import Runtime
from harden.statistics.requirements import Requirement, check_limits, check_meetable
from harden.store import scratch
from harden.streams import numpy_generator
from harden.tasks import AUTO, task_of

if TYPE_CHECKING:
    from harden.graph.file import Model


@dataclass(frozen=True)
class Judge:
    """Measures models on the same chips.

    Attributes:
        data: The examples. Without labels, chips are compared with the clean network instead (``fidelity``).
        conditions: The noise, in the order of the report; at least one.
        chips: Chips per condition; chip k has the same random numbers in every condition and for every model.
        seed: Root of all random streams.
        where: The threads, machines and device that chips run on.
        threshold: Accuracy that a good chip reaches, for the yield.
        requirements: Demands; judged in the document, not enforced here.
        metrics: More metrics, by name.
        task: What models are for; ``auto`` goes by the labels.
        headline: The figure that the record is about; ``auto`` is the task's own, ``metric`` the first of ``metrics``.
        reference: The network that outputs without labels are compared with; None is the model itself.
        notify: Called with stage, done and total.
        recounted: Whether the figures without noise are counted a second time; analyses build on a count that was.
    """

    data: Dataset
    conditions: tuple[Condition, ...]
    chips: int = 100
    seed: int = 0
    where: Where = field(default_factory=Where)
    threshold: float | None = None
    requirements: tuple[Requirement, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    task: str = AUTO
    headline: str = AUTO
    reference: Model | None = None
    notify: Notify = silent
    recounted: bool = True

    @property
    def condition(self) -> Condition:
        """The first condition: the one that analyses look at."""
        return self.conditions[0]

    def of(self, model: Model, *, trial_log: Path | None = None, stage: str = "chips") -> EvalRecord:
        """Measure a model.

        Where memory does not suffice, batches half as large go on.

        Args:
            model: The model, as it would be saved.
            trial_log: Log of trials; an evaluation that was interrupted goes on where its log ends.
            stage: What progress calls it.

        Returns:
            What its chips scored, condition by condition.

        Raises:
            SettingsError: Numbers that make no sense, a metric that fails.
            UnmeetableError: A requirement that so few chips can never meet.
            DataError: The model's output is not logits of the data's classes, or shapes differ.
            CanaryError: Noise does not reach a tensor in ONNX Runtime.
            VerificationError: A second count of the figures without noise differs; see harden.evaluation.recount.
            RunFolderError: The log holds another run.
            OutOfMemoryError: Memory does not suffice for one image at a time on one worker.
        """
        self.check()
        began = time.perf_counter()
        size = BatchSize(model, self.data, self.where.batch_size, trial_log)
        while True:
            try:
                with scratch() as folder, single_threaded_torch():
                    run = self._opened(model, folder, replace(self.where, batch_size=size.images), trial_log)
                    run.finish(lambda done, total: self.notify(stage, done, total))
                    runtime = _runtime(time.perf_counter() - began, run, size)
                    return record_of(model, self.data, run, self.threshold, self.requirements, runtime)
            except (HardenError, RuntimeError, MemoryError) as error:
                if self.where.engine is not None or not out_of_memory(error):
                    raise
            size.halve()

    def on(self, *conditions: Condition) -> Judge:
        """The same chips under other noise; threshold, demands and further metrics are of the run's own noise."""
        return replace(
            self,
            conditions=conditions,
            threshold=None,
            requirements=(),
            metrics={},
            headline=AUTO,
            recounted=False,
        )

    def few(self, chips: int, examples: int | None = None, stream: str = "") -> Judge:
        """The first few of the chips, on a random sample of the examples, and without demands, which need them all.

        Args:
            chips: How many chips, at most.
            examples: How many examples, at most; None takes all.
            stream: The name of the random stream that the sample comes from.
        """
        data = self.data
        if examples is not None:
            data = data.sample(examples, numpy_generator(self.seed, stream))
        return replace(self.on(*self.conditions), data=data, chips=min(self.chips, chips))

    def here(self) -> Judge:
        """The same without the engine: for what runs where the command runs, however large the cluster is."""
        return replace(self, where=replace(self.where, engine=None))

    def bench(self, model: Model) -> AbstractContextManager[Bench]:
        """A model on the bench, for analyses that score chips themselves."""
        return bench_of(model, self.data, self.where, self.task)

    def check(self) -> None:
        """Refuse data, numbers and demands that cannot be judged by.

        Raises:
            SettingsError: Numbers that make no sense.
            UnmeetableError: A requirement that so few chips can never meet.
            DataError: The data cannot be used.
        """
        check_data(self.data)
        check_numbers(self.chips, self.where.batch_size, self.where.threads)
        check_meetable(self.requirements, self.chips)

    def check_demands(self, model: Model) -> None:
        """Refuse demands on figures that the model's task does not have, before anything is measured or written.

        Raises:
            SettingsError: Lists the demands.
            DataError: The labels, or the outputs, are not of the task.
        """
        job = task_of(self.task, model, self.data)
        own = headline_of(self.headline, job, job.measures[0], self.metrics)
        check_limits(self.requirements, self.threshold, own)

    def _opened(self, model: Model, folder: Path, where: Where, trial_log: Path | None) -> Run:
        bench = open_bench(model, self.data, folder, where, self.metrics, self.task, self.headline, self.reference)
        check_limits(self.requirements, self.threshold, bench.measure)
        if self.recounted:
            recount_bench(bench, model, self.data)
        plan = TrialPlan(self.conditions, self.chips, self.seed, bench.feed.batch, where.digital)
        return Run(bench, plan, where, trial_log)


def _runtime(seconds: float, run: Run, size: BatchSize) -> Runtime:
    runtime = run.runtime(seconds)
    return runtime.replaced(memory=_shrunk(run, size)) if size.halved or run.fewer else runtime


def _shrunk(run: Run, size: BatchSize) -> str:
    workers = f"{run.fewer} worker{'s' if run.fewer > 1 else ''}" if run.fewer else ""
    batch = f"batches of {run.bench.feed.batch}" if size.halved else ""
    return f"ran short: {' and '.join(part for part in (workers, batch) if part)} instead"
