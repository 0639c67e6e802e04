"""Which layers the noise hurts: noise in one at a time, and in all but one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harden.evaluation.bench import Bench, bench_of, score_each
from harden.evaluation.plan import Condition
from harden.evaluation.trials import draw_chip
from harden.evaluation.where import Where
from harden.statistics.difference import paired_difference

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

Chip = dict[str, torch.Tensor]


def sensitivity(
    model: Model,
    condition: Condition,
    data: Dataset,
    *,
    chips: int = 10,
    seed: int = 0,
    digital: tuple[str, ...] = (),
    keys: Sequence[str] | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Accuracy with noise in one analog weight at a time, and with noise in all but one, on the same chips.

    Args:
        model: The model.
        condition: The noise.
        data: Labelled examples.
        chips: Chips per layer.
        seed: Root seed; the chips are those of ``evaluate`` with this seed.
        digital: Globs of weights kept off the crossbars.
        keys: The weights to look at; None looks at all.
        threads: Cores to use.

    Returns:
        ``sensitivity``: for each key ``drop`` (accuracy lost by noise in it alone) and ``gain`` (accuracy regained by
        keeping it alone clean), each with its interval over chips; ``clean`` and ``noisy``: the two ends.
    """
    with bench_of(model, data, Where(digital=digital)) as bench:
        noisy = accuracies(bench, condition, chips, seed, lambda chip: chip, threads)
        rows = [layer_row(bench, condition, chips, seed, key, noisy, threads) for key in (keys or tuple(bench.weights))]
        return {"sensitivity": rows, "clean": bench.clean["accuracy"], "noisy": float(noisy.mean()), "chips": chips}


def layer_row(
    bench: Bench, condition: Condition, chips: int, seed: int, key: str, noisy: np.ndarray, threads: int | None
) -> dict[str, Any]:
    """Both measurements of one weight.

    Args:
        bench: The model and its data.
        condition: The noise.
        chips: How many chips.
        seed: Root seed.
        key: The weight.
        noisy: [K] accuracies of the same chips with noise everywhere.
        threads: Cores to use.
    """
    alone = accuracies(bench, condition, chips, seed, lambda chip: {key: chip[key]}, threads)
    spared = accuracies(
        bench, condition, chips, seed, lambda chip: {k: v for k, v in chip.items() if k != key}, threads
    )
    drop = paired_difference(alone, np.full(chips, bench.clean["accuracy"]))
    gain = paired_difference(noisy, spared)
    return {
        "key": key,
        "drop": drop["mean"],
        "drop_ci95": drop["ci95"],
        "gain": gain["mean"],
        "gain_ci95": gain["ci95"],
    }


def accuracies(
    bench: Bench,
    condition: Condition,
    chips: int,
    seed: int,
    keep: Callable[[Chip], Mapping[str, torch.Tensor]],
    threads: int | None = None,
) -> np.ndarray:
    """[K] accuracies of the chips when only some of their tensors are noisy."""

    def maker(index: int) -> Callable[[], Mapping[str, torch.Tensor]]:
        return lambda: keep(draw_chip(condition, bench.weights, seed=seed, index=index))

    found = score_each(bench, (maker(i) for i in range(chips)), condition.profile, threads=threads, seed=seed)
    return np.array([values["accuracy"] for values in found])
