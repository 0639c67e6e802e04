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
from harden.evaluation.custom import Metric
from harden.evaluation.fidelity import FidelityScorer
from harden.evaluation.input_feed import Feed
from harden.evaluation.layout import available_cores
from harden.evaluation.outputs import Kind, kind_of_output
from harden.evaluation.periphery import ANALYSIS, EvaluationPeriphery
from harden.evaluation.scores import ChipScores, ClassScorer, Reference
from harden.evaluation.where import Where
from harden.graph.analog import AnalogWeight
from harden.graph.inspection import exact_products
from harden.noise.profile import Profile
from harden.records.evaluation import Clean
from harden.runtime.canary import Canary, check_noise
from harden.runtime.copy import RuntimeCopy
from harden.runtime.sessions import Session, choose_device
from harden.runtime.threads import torch_threads
from harden.statistics.reliability import reliability
from harden.store import scratch

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

Weights = Mapping[str, torch.Tensor]

_CHECKED_IMAGES = 4
_CLEAN = ("accuracy", "loss", "confidence", "ece", "top5", "balanced_accuracy", "f1", "auroc")


@dataclass
class Bench:
    """A model on the test bench: copied, checked, its clean outputs scored."""

    copy: RuntimeCopy
    weights: dict[str, AnalogWeight]
    feed: Feed
    scorer: ClassScorer | FidelityScorer
    clean: Clean
    canary: Canary
    identity: Mapping[str, object]
    classes: int
    periphery: EvaluationPeriphery

    @property
    def classifier(self) -> ClassScorer:
        """The scorer, for analyses that count right answers.

        Raises:
            DataError: The data has no labels.
        """
        if not isinstance(self.scorer, ClassScorer):
            raise DataError("the examples have no labels, and this analysis counts right answers")
        return self.scorer

    @property
    def kind(self) -> Kind:
        """What the model's output means; only for data with labels."""
        return self.classifier.reference.kind


def open_bench(
    model: Model, data: Dataset, folder: Path, where: Where, metrics: Mapping[str, Metric] | None = None
) -> Bench:
    """Copy a model for ONNX Runtime, check that noise arrives, and score the clean network.

    Args:
        model: The model.
        data: The examples.
        folder: Gets the copy, and what sessions need of it; must outlive the bench.
        where: The device, the batch size, and which weights are not on a crossbar.
        metrics: More metrics, by name.

    Raises:
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
    scorer, clean, classes = _score_clean(
        model, data, feed, copy.clean_session(threads=where.cores), folder, dict(metrics or {})
    )
    identity = {
        "model": model.sha256,
        "data": data.sha256,
        "examples": len(data),
        "metrics": sorted(metrics or {}),
        **({} if copy.device == "cpu" else {"device": copy.device}),
        **({} if model.crossbars == "tensor" else {"crossbars": model.crossbars}),
    }
    periphery = EvaluationPeriphery(model, copy, weights, feed)
    return Bench(copy, weights, feed, scorer, clean, canary, identity, classes, periphery)


def _score_clean(
    model: Model, data: Dataset, feed: Feed, session: Session, folder: Path, custom: dict[str, Metric]
) -> tuple[ClassScorer | FidelityScorer, Clean, int]:
    """A scorer that knows the clean network's answers, these answers' scores, and over how many classes they go."""
    first = session.run(*feed.head(feed.batch))
    if data.labels is None:
        distant = FidelityScorer(first, feed.batch, feed.examples, folder, str(model.source))
        for batch, count in feed:
            distant.remember([output[:count] for output in session.run(*batch)])
        return distant, Clean(accuracy=None, loss=None, confidence=None, ece=None), 0
    reference = Reference(data.labels, kind_of_output(model, data, first[0]))
    tally = ClassScorer(reference, custom).tally()
    for batch, count in feed:
        tally.add([output[:count] for output in session.run(*batch)])
    scores = tally.result()
    clean = Clean.model_validate(
        {key: scores.values[key] for key in _CLEAN if key in scores.values}
        | ({"metrics": scores.metrics} if scores.metrics else {})
        | {"reliability": reliability(scores.bins)}
    )
    classes = max(data.classes, int(np.prod(first[0].shape[1:])))
    return ClassScorer(replace(reference, clean=scores.predicted), custom), clean, classes


@contextlib.contextmanager
def single_threaded_torch() -> Iterator[None]:
    """Torch on one thread while chips are drawn: the cores belong to ONNX Runtime, and sums keep their order."""
    with torch_threads(1):
        yield


@contextlib.contextmanager
def bench_of(model: Model, data: Dataset, where: Where) -> Iterator[Bench]:
    """A bench for classifying, in a folder of its own that is gone afterwards.

    Raises:
        DataError: The data has no labels.
    """
    with scratch() as folder, single_threaded_torch():
        bench = open_bench(model, data, folder, where)
        _ = bench.classifier  # refuses unlabelled data before anything runs
        yield bench


def score(
    bench: Bench,
    weights: Weights,
    profile: Profile,
    *,
    threads: int = 1,
    seed: int = 0,
    path: tuple[str | int, ...] = ANALYSIS,
) -> ChipScores:
    """One chip in ONNX Runtime; weights that are not given are the model's own.

    The profile says what stands around the crossbars; ``seed`` and ``path`` name the stream of its output noise.
    """
    session = bench.periphery.session(profile, weights, threads=threads, seed=seed, path=path)
    tally = bench.classifier.tally()
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
