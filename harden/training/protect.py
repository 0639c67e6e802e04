"""Protection: keep the layers that noise hurts most off the crossbars, within a budget of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harden.analyses.layer_ranking import rank_layers
from harden.analyses.sensitivity import accuracies
from harden.evaluation.judge import Judge
from harden.evaluation.pseudo_labels import answered
from harden.levers.protect import Record
from harden.records.evaluation import LayerRow

if TYPE_CHECKING:
    from harden.graph.file import Model


def protect(
    judge: Judge, model: Model, budget: float, *, passes: int = 48, check: int = 5, check_chips: int = 20
) -> Record:
    """Choose the layers to keep digital.

    Layers are ranked by their share of the loss's variance under noise, from about 50 noisy backward passes, and taken
    in that order while they fit. The first ones are checked by leaving that layer's noise out.

    Args:
        judge: The noise, its first condition, and validation examples, never those that are reported on. Without
            labels the network's own answers count as right.
        model: The model.
        budget: Largest share of the analog weights that may be kept digital, in (0, 1).
        passes: Noisy backward passes of the ranking.
        check: How many of the first places are checked by trials.
        check_chips: Chips of that check.

    Returns:
        The choice; its ``names`` are to be added to ``digital``.

    Raises:
        DataError: The data has no labels, and the network is no classifier.
    """
    if judge.data.labels is None:
        judge = replace(judge, data=answered(judge.data, model))
    ranking = rank_layers(judge, model, passes=passes, check=check, check_chips=check_chips)
    sizes = {key: weight.tensor.numel() for key, weight in model.analog_weights(judge.where.digital).items()}
    chosen = choose(ranking.sensitivity, sizes, budget)
    share = sum(row.share or 0.0 for row in ranking.sensitivity if row.key in chosen)
    used = sum(sizes[key] for key in chosen) / max(sum(sizes.values()), 1)
    before, after = _bought(judge, model, chosen, check_chips)
    return Record(
        names=tuple(_escaped(key) for key in chosen),
        budget=budget,
        used=used,
        layers=tuple(chosen),
        share=share,
        before=before,
        after=after,
        sensitivity=ranking.sensitivity,
        sensitivity_r2=ranking.sensitivity_r2,
        passes=ranking.passes,
        chips=ranking.chips,
    )


def _bought(judge: Judge, model: Model, chosen: Sequence[str], chips: int) -> tuple[float | None, float | None]:
    """Mean accuracy of chips as they are, and of the same chips with the chosen layers clean; None for no layers."""
    if not chosen:
        return None, None
    with judge.bench(model) as bench:
        noisy = accuracies(judge, bench, chips, lambda chip: chip)
        spared = accuracies(judge, bench, chips, lambda chip: {k: w for k, w in chip.items() if k not in chosen})
    return float(noisy.mean()), float(spared.mean())


def choose(rows: Sequence[LayerRow], sizes: Mapping[str, int], budget: float) -> list[str]:
    """Layers in the order of the ranking, each as long as it fits into what is left of the budget.

    Example:
        >>> rows = [LayerRow(key=key, share=share) for key, share in (("a", 0.6), ("b", 0.3), ("c", 0.1))]
        >>> choose(rows, {"a": 90, "b": 6, "c": 4}, 0.1)
        ['b', 'c']
    """
    left = budget * sum(sizes.values())
    chosen = []
    for row in rows:
        size = sizes.get(row.key, 0)
        if 0 < size <= left + 1e-9 and (row.share or 0.0) > 0:
            chosen.append(row.key)
            left -= size
    return chosen


def _escaped(key: str) -> str:
    """A glob that matches this name and nothing else."""
    return re.sub(r"([*?[])", r"[\1]", key)
