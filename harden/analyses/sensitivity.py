"""Which layers the noise hurts: noise in one at a time, and in all but one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from harden.evaluation.bench import Bench, score_each
from harden.evaluation.judge import Judge
from harden.evaluation.trials import draw_chip
from harden.records.evaluation import LayerRanking, LayerRow
from harden.statistics.difference import paired_difference

if TYPE_CHECKING:
    from harden.graph.file import Model

Chip = dict[str, torch.Tensor]


def sensitivity(judge: Judge, model: Model, *, chips: int = 10, keys: Sequence[str] | None = None) -> LayerRanking:
    """Accuracy with noise in one analog weight at a time, and with noise in all but one, on the same chips.

    Args:
        judge: Labelled examples, and the noise: its first condition. The chips are those that it judges models by.
        model: The model.
        chips: Chips per layer.
        keys: The weights to look at; None looks at all.

    Returns:
        A row for each key, in their order, and the accuracy at the two ends.
    """
    with judge.bench(model) as bench:
        noisy = accuracies(judge, bench, chips, lambda chip: chip)
        rows = tuple(layer_row(judge, bench, key, noisy) for key in (keys or tuple(bench.weights)))
        clean, end = bench.clean_headline, float(noisy.mean())
        return LayerRanking(sensitivity=rows, clean=clean, noisy=end, chips=chips)


def layer_row(judge: Judge, bench: Bench, key: str, noisy: np.ndarray) -> LayerRow:
    """Both measurements of one weight.

    Args:
        judge: The noise and the chips.
        bench: The model and its data.
        key: The weight.
        noisy: [K] accuracies of the first K chips with noise everywhere.
    """
    chips = len(noisy)
    alone = accuracies(judge, bench, chips, lambda chip: {key: chip[key]})
    spared = accuracies(judge, bench, chips, lambda chip: {k: v for k, v in chip.items() if k != key})
    drop = paired_difference(alone, np.full(chips, bench.clean_headline))
    gain = paired_difference(noisy, spared)
    means = {"drop": drop["mean"], "drop_ci95": drop["ci95"], "gain": gain["mean"], "gain_ci95": gain["ci95"]}
    return LayerRow.model_validate({"key": key, **means})


def accuracies(
    judge: Judge, bench: Bench, chips: int, keep: Callable[[Chip], Mapping[str, torch.Tensor]]
) -> np.ndarray:
    """[K] accuracies of the first K chips when only some of their tensors are noisy."""
    condition, seed = judge.condition, judge.seed

    def maker(index: int) -> Callable[[], Mapping[str, torch.Tensor]]:
        return lambda: keep(draw_chip(condition, bench.weights, seed=seed, index=index))

    makers = (maker(index) for index in range(chips))
    scores = score_each(bench, makers, condition.profile, threads=judge.where.cores, seed=seed)
    return np.array([values[bench.scorer.headline.name] for values in scores])
