"""A model on the test bench: copied for ONNX Runtime, checked, its clean outputs scored; and scores of single chips."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from harden.engines import LocalEngine
from harden.errors import DataError, SettingsError
from harden.evaluation.custom import Judged, Metric, WithMetrics, measure_of
from harden.evaluation.input_feed import Feed
from harden.evaluation.layout import available_cores
from harden.evaluation.periphery import ANALYSIS, EvaluationPeriphery
from harden.evaluation.recount import recount
from harden.evaluation.rows import check_rows
from harden.evaluation.where import Where
from harden.graph.analog import AnalogWeight
from harden.graph.inspection import exact_products
from harden.noise.profile import Profile
from harden.records.evaluation import Clean
from harden.records.measure import ACCURACY, Measure
from harden.runtime.canary import Canary, check_noise
from harden.runtime.copy import RuntimeCopy
from harden.runtime.sessions import Session, choose_device
from harden.runtime.threads import torch_threads
from harden.statistics.requirements import METRIC
from harden.store import scratch
from harden.tasks import AUTO, Scorer, Scores, Task, task_of
from harden.tasks._second_count import size_of_outputs

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

Weights = Mapping[str, torch.Tensor]

_CHECKED_IMAGES = 4


@dataclass
class Bench:
    """A model on the test bench: copied, checked, its clean outputs scored."""

    copy: RuntimeCopy
    weights: dict[str, AnalogWeight]
    feed: Feed
    task: Task
    judge: WithMetrics
    clean: Clean
    clean_scores: Scores
    canary: Canary
    identity: Mapping[str, object]
    periphery: EvaluationPeriphery
    measure: Measure

    @property
    def scorer(self) -> Scorer:
        """The task's."""
        return self.judge.scorer

    def headline(self, scores: Scores) -> float:
        """The figure that the report is about, of one chip; NaN where it has none."""
        value = scores.values[self.scorer.headline.name]
        return float("nan") if value is None else value

    @property
    def clean_headline(self) -> float:
        """That figure of the network without noise."""
        return self.headline(self.clean_scores)

    @property
    def labels(self) -> np.ndarray | None:
        """[N, ...], or None."""
        return self.task.examples.labels


def open_bench(
    model: Model,
    data: Dataset,
    folder: Path,
    where: Where,
    metrics: Mapping[str, Metric] | None = None,
    task: str = AUTO,
    headline: str = AUTO,
    reference: Model | None = None,
) -> Bench:
    """Copy a model for ONNX Runtime, check that noise arrives, and score the clean network.

    Args:
        model: The model.
        data: The examples.
        folder: Gets the copy, and what sessions need of it; must outlive the bench.
        where: The device, the batch size, and which weights are not on a crossbar.
        metrics: More metrics, by name.
        task: What the network is for; see :mod:`harden.tasks`.
        headline: The figure that the report is about; see :func:`headline_of`.
        reference: The network that outputs without labels are compared with; None is the model itself.

    Raises:
        DataError: The outputs, or the labels, are not of the task.
        HardenError: No weight is on a crossbar, or what ONNX Runtime computes is not what torch does.
    """
    weights = model.analog_weights(where.digital)
    feed = Feed(model, data, where.batch_size)
    copy = RuntimeCopy.build(model, folder, where.digital)
    copy.device = choose_device(where.device)
    head = feed.head(_CHECKED_IMAGES)
    copy.check(*head)
    exact = tuple(exact_products(model, where.digital))
    canary = replace(check_noise(copy, model.module(), head), exact=exact)
    job = task_of(task, model, data)
    session = copy.clean_session(threads=where.cores)
    outputs = check_rows(job, session, feed)
    scorer = job.scorer(outputs, folder)
    names = [item.name for item in model.proto.graph.output]
    judge = WithMetrics(scorer, metrics or {}, data.labels, names, partial(_named_inputs, model, feed))
    asked = reference is not None and job.needs_clean and reference.sha256 != model.sha256
    right = Session(reference.runnable, threads=where.cores) if asked and reference is not None else session
    judged = _score_clean(judge, feed, session, right)
    measure = headline_of(headline, job, scorer.headline, metrics or {})
    values = {**judged.scores.values, **{f"metrics.{name}": value for name, value in judged.metrics.items()}}
    own = {"metrics": judged.metrics} if judged.metrics else {}
    score = {} if measure.name == ACCURACY.name else {"score": values[measure.name]}
    clean = Clean.model_validate(
        {"accuracy": judged.scores.values.get(ACCURACY.name), **score, **scorer.clean_record(judged.scores), **own}
    )
    identity = {
        "model": model.sha256,
        "data": data.sha256,
        "examples": len(data),
        "metrics": sorted(metrics or {}),
        **({} if headline == AUTO else {"headline": headline}),
        **({"reference": reference.sha256} if asked and reference is not None else {}),
        **({} if copy.device == "cpu" else {"device": copy.device}),
        **({} if model.crossbars == "tensor" else {"crossbars": model.crossbars}),
    }
    periphery = EvaluationPeriphery(model, copy, weights, feed)
    judge = replace(judge, scorer=scorer.knowing(judged.scores))
    return Bench(copy, weights, feed, job, judge, clean, judged.scores, canary, identity, periphery, measure)


def _named_inputs(model: Model, feed: Feed) -> dict[str, np.ndarray]:
    """All examples' inputs, as the model gets them, by name."""
    arrays = feed.take(np.arange(feed.examples))
    return {spec.name: array for spec, array in zip(model.inputs, arrays, strict=True)}


def headline_of(name: str, task: Task, own: Measure, metrics: Mapping[str, Metric]) -> Measure:
    """The measure of this name; ``auto`` is the one that the task has of its own, ``metric`` the user's first.

    Raises:
        SettingsError: There is none.
    """
    if name == AUTO:
        return own
    if name == METRIC and metrics:
        return measure_of(*next(iter(metrics.items())))
    chosen = next((measure for measure in task.measures if measure.name == name), None)
    if chosen is None:
        names = [measure.name for measure in task.measures] + [METRIC] * bool(metrics)
        raise SettingsError(
            f"the task {task.name} has no figure {name}", where="--headline", fix=f"Give {' or '.join(names)}"
        )
    return chosen


def _score_clean(judge: WithMetrics, feed: Feed, session: Session, right: Session) -> Judged:
    """What the network without noise scores, once what is right without labels is known."""
    tally = judge.tally()
    for batch, count in feed:
        outputs = [output[:count] for output in session.run(*batch)]
        is_right = outputs if right is session else [output[:count] for output in right.run(*batch)]
        judge.scorer.remember(is_right)
        tally.add(outputs)
    return tally.result()


def recount_bench(bench: Bench, model: Model, data: Dataset) -> None:
    """Count the figures without noise a second time.

    Raises:
        VerificationError: The two differ.
    """

    session = bench.copy.clean_session()

    def first(index: np.ndarray) -> Mapping[str, float | None]:
        batches = ([out[:count] for out in session.run(*batch)] for batch, count in bench.feed.batches(index))
        if not bench.task.labelled:
            counted = zip(*([out[head.index] for head in bench.task.heads] for out in batches), strict=True)
            return size_of_outputs([np.concatenate(parts) for parts in counted])
        tally = bench.scorer.on(index).tally()
        for outputs in batches:
            tally.add(outputs)
        return tally.result().values

    recount(model, data, first, bench.task.recounted)


@contextlib.contextmanager
def single_threaded_torch() -> Iterator[None]:
    """Torch on one thread while chips are drawn: the cores belong to ONNX Runtime, and sums keep their order."""
    with torch_threads(1):
        yield


@contextlib.contextmanager
def bench_of(model: Model, data: Dataset, where: Where, task: str = AUTO) -> Iterator[Bench]:
    """A bench in a folder of its own that is gone afterwards.

    Raises:
        DataError: The task has no labels, or the outputs are not of the task.
    """
    with scratch() as folder, single_threaded_torch():
        bench = open_bench(model, data, folder, where, task=task)
        if not bench.task.labelled:
            raise DataError("the examples have no labels, and this analysis counts right answers")
        yield bench


def score(
    bench: Bench,
    weights: Weights,
    profile: Profile,
    *,
    threads: int = 1,
    seed: int = 0,
    path: tuple[str | int, ...] = ANALYSIS,
) -> Scores:
    """One chip in ONNX Runtime; weights that are not given are the model's own.

    The profile says what stands around the crossbars; ``seed`` and ``path`` name the stream of its output noise.
    """
    session = bench.periphery.session(profile, weights, threads=threads, seed=seed, path=path)
    tally = bench.scorer.tally()
    for batch, count in bench.feed:
        tally.add([output[:count] for output in session.run(*batch)])
    return tally.result()


def score_each(
    bench: Bench,
    chips: Iterable[Callable[[], Weights]],
    profile: Profile,
    *,
    threads: int | None = None,
    seed: int = 0,
) -> list[Mapping[str, float | None]]:
    """Scores of many chips, side by side, in their order; each is drawn only when its turn has come."""

    def scored(numbered: tuple[int, Callable[[], Weights]]) -> Mapping[str, float | None]:
        return score(bench, numbered[1](), profile, seed=seed, path=("chip", numbered[0])).values

    engine = LocalEngine(threads or available_cores())
    with contextlib.closing(engine.run(scored, enumerate(chips))) as results:
        return list(results)
