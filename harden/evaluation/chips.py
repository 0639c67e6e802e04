"""Scores of chips that come as weights, for analyses beside the main trials."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harden.engines import LocalEngine
from harden.evaluation.bench import Bench, open_bench, single_threaded_torch
from harden.evaluation.layout import available_cores
from harden.evaluation.scores import ChipScores

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
    with tempfile.TemporaryDirectory(prefix="harden-") as folder, single_threaded_torch():
        bench = open_bench(model, data, Path(folder), digital=digital, batch_size=batch_size)
        _ = bench.classifier  # refuses unlabelled data before anything runs
        yield bench


def score(bench: Bench, weights: Weights, *, threads: int = 1) -> ChipScores:
    """One chip in ONNX Runtime; weights that are not given are the model's own."""
    session = bench.copy.session(weights, threads=threads)
    tally = bench.classifier.tally()
    for batch, count in bench.feed:
        tally.add([output[:count] for output in session.run(batch)])
    return tally.result()


def score_each(
    bench: Bench, chips: Iterable[Callable[[], Weights]], *, threads: int | None = None
) -> list[dict[str, Any]]:
    """Scores of many chips, side by side, in their order; each is drawn only when its turn has come."""
    engine = LocalEngine(threads or available_cores())
    with contextlib.closing(engine.run(lambda make: score(bench, make()).values, chips)) as results:
        return list(results)
