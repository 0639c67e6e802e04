"""Scores of chips that come as weights, for analyses beside the main trials."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from harden.engines import LocalEngine
from harden.evaluation.bench import Bench, open_bench, single_threaded_torch
from harden.evaluation.layout import available_cores
from harden.evaluation.periphery import ANALYSIS
from harden.evaluation.scores import ChipScores
from harden.noise.profile import Profile
from harden.store import scratch

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

Weights = Mapping[str, torch.Tensor]


@contextlib.contextmanager
def bench_of(
    model: Model, data: Dataset, *, digital: tuple[str, ...] = (), batch_size: int | None = None
) -> Iterator[Bench]:
    """A bench for classifying, in a folder of its own that is gone afterwards.

    Raises:
        DataError: The data has no labels.
    """
    with scratch() as folder, single_threaded_torch():
        bench = open_bench(model, data, folder, digital=digital, batch_size=batch_size)
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
    session = bench.around.session(profile, weights, threads=threads, seed=seed, path=path)
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
) -> list[dict[str, Any]]:
    """Scores of many chips, side by side, in their order; each is drawn only when its turn has come."""

    def one(numbered: tuple[int, Callable[[], Weights]]) -> dict[str, Any]:
        return score(bench, numbered[1](), profile, seed=seed, path=("chip", numbered[0])).values

    engine = LocalEngine(threads or available_cores())
    with contextlib.closing(engine.run(one, enumerate(chips))) as results:
        return list(results)
