"""A model on the test bench: copied for ONNX Runtime, checked, its clean outputs scored; and scores of single chips."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from harden.engines import LocalEngine
from harden.errors import DataError
from harden.evaluation.custom import Judged, Metric, WithMetrics
from harden.evaluation.input_feed import Feed
from harden.evaluation.layout import available_cores
from harden.evaluation.periphery import ANALYSIS, EvaluationPeriphery
from harden.evaluation.where import Where
from harden.graph.analog import AnalogWeight
from harden.graph.inspection import exact_products
from harden.noise.profile import Profile
from harden.records.evaluation import Clean
from harden.runtime.canary import Canary, check_noise
from harden.runtime.copy import RuntimeCopy
from harden.runtime.sessions import Session, choose_device
from harden.runtime.threads import torch_threads
from harden.store import scratch
from harden.tasks import AUTO, Scorer, Scores, Task, task_of

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
    scorer: Scorer
    clean: Clean
    clean_scores: Scores
    canary: Canary
    identity: Mapping[str, object]
    periphery: EvaluationPeriphery
    metrics: Mapping[str, Metric]

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
) -> Bench:
    """Copy a model for ONNX Runtime, check that noise arrives, and score the clean network.

    Args:
        model: The model.
        data: The examples.
        folder: Gets the copy, and what sessions need of it; must outlive the bench.
        where: The device, the batch size, and which weights are not on a crossbar.
        metrics: More metrics, by name.
        task: What the network is for; see :mod:`harden.tasks`.

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
    scorer = job.scorer(session.run(*feed.head(feed.batch)), feed.batch, folder)
    judged = _score_clean(WithMetrics(scorer, metrics or {}, data.labels), feed, session)
    own = {"metrics": judged.metrics} if judged.metrics else {}
    clean = Clean.model_validate({"accuracy": None, **scorer.clean_record(judged.scores), **own})
    identity = {
        "model": model.sha256,
        "data": data.sha256,
        "examples": len(data),
        "metrics": sorted(metrics or {}),
        **({} if copy.device == "cpu" else {"device": copy.device}),
        **({} if model.crossbars == "tensor" else {"crossbars": model.crossbars}),
    }
    periphery = EvaluationPeriphery(model, copy, weights, feed)
    scorer = scorer.knowing(judged.scores)
    return Bench(
        copy, weights, feed, job, scorer, clean, judged.scores, canary, identity, periphery, dict(metrics or {})
    )


def _score_clean(judge: WithMetrics, feed: Feed, session: Session) -> Judged:
    """What the network without noise scores, by the user's metrics and by the task."""
    tally = judge.tally()
    for batch, count in feed:
        outputs = [output[:count] for output in session.run(*batch)]
        judge.scorer.remember(outputs)
        tally.add(outputs)
    return tally.result()


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
