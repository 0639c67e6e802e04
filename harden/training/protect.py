"""Protection: keep the layers that noise hurts most off the crossbars, within a budget of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harden.analyses.layer_ranking import rank_layers
from harden.analyses.sensitivity import accuracies
from harden.evaluation.judge import Judge
from harden.evaluation.pseudo_labels import answered

if TYPE_CHECKING:
    from harden.graph.file import Model


def protect(
    judge: Judge, model: Model, budget: float, *, passes: int = 48, check: int = 5, check_chips: int = 20
) -> tuple[tuple[str, ...], dict[str, object]]:
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
        Names to add to ``digital``, and a record: ``budget``, ``used`` (share of the weights), ``layers`` (the chosen
        keys), ``share`` (of the loss's variance, that they stand for), ``before`` and ``after`` (mean accuracy of the
        check's chips with and without noise in them) and the ranking.

    Raises:
        DataError: The data has no labels, and the network is no classifier.
    """
    if judge.data.labels is None:
        judge = replace(judge, data=answered(judge.data, model))
    ranking = rank_layers(judge, model, passes=passes, check=check, check_chips=check_chips)
    sizes = {key: weight.tensor.numel() for key, weight in model.analog_weights(judge.where.digital).items()}
    chosen = choose(ranking["sensitivity"], sizes, budget)
    names = tuple(_escaped(key) for key in chosen)
    share = sum(row["share"] for row in ranking["sensitivity"] if row["key"] in chosen)
    used = sum(sizes[key] for key in chosen) / max(sum(sizes.values()), 1)
    before, after = _bought(judge, model, chosen, check_chips)
    return names, {
        "budget": budget,
        "used": used,
        "layers": chosen,
        "share": share,
        "before": before,
        "after": after,
        **ranking,
    }


def _bought(judge: Judge, model: Model, chosen: Sequence[str], chips: int) -> tuple[float | None, float | None]:
    """Mean accuracy of chips as they are, and of the same chips with the chosen layers clean; None for no layers."""
    if not chosen:
        return None, None
    with judge.bench(model) as bench:
        noisy = accuracies(judge, bench, chips, lambda chip: chip)
        spared = accuracies(judge, bench, chips, lambda chip: {k: w for k, w in chip.items() if k not in chosen})
    return float(noisy.mean()), float(spared.mean())


def choose(rows: Sequence[Mapping[str, Any]], sizes: Mapping[str, int], budget: float) -> list[str]:
    """Layers in the order of the ranking, each as long as it fits into what is left of the budget.

    Example:
        >>> rows = [{"key": "a", "share": 0.6}, {"key": "b", "share": 0.3}, {"key": "c", "share": 0.1}]
        >>> choose(rows, {"a": 90, "b": 6, "c": 4}, 0.1)
        ['b', 'c']
    """
    left = budget * sum(sizes.values())
    chosen = []
    for row in rows:
        size = sizes.get(row["key"], 0)
        if 0 < size <= left + 1e-9 and row["share"] > 0:
            chosen.append(row["key"])
            left -= size
    return chosen


def _escaped(key: str) -> str:
    """A glob that matches this name and nothing else."""
    return re.sub(r"([*?[])", r"[\1]", key)
