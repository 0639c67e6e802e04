"""Protection: keep the layers that noise hurts most off the crossbars, within a budget of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harden.analyses.layer_ranking import rank_layers
from harden.analyses.sensitivity import accuracies
from harden.errors import SettingsError
from harden.evaluation.bench import bench_of
from harden.evaluation.plan import Condition
from harden.evaluation.pseudo_labels import answered
from harden.evaluation.where import Where


def budget_of(text: str) -> float:
    """The share of weights that a setting such as ``auto:5%`` allows.

    Raises:
        SettingsError: The text is no such setting.

    Example:
        >>> budget_of("auto:5%")
        0.05
    """
    match = re.fullmatch(r"auto:([0-9]+(?:\.[0-9]+)?)%", text.strip())
    if match is None or not 0 < float(match[1]) < 100:
        raise SettingsError(f"'{text}' is not a protection", fix="Write auto:5% for five per cent of the weights")
    return float(match[1]) / 100


def protect(
    model: Any,
    condition: Condition,
    data: Any,
    budget: float,
    *,
    digital: Sequence[str] = (),
    passes: int = 48,
    check: int = 5,
    check_chips: int = 20,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Choose the layers to keep digital.

    Layers are ranked by their share of the loss's variance under noise, from about 50 noisy backward passes, and taken
    in that order while they fit. The first ones are checked by leaving that layer's noise out.

    Args:
        model: The model.
        condition: The noise.
        data: Validation examples, never those that are reported on. Without labels the network's own answers count as
            right.
        budget: Largest share of the analog weights that may be kept digital, in (0, 1).
        digital: Globs of weights that are off the crossbars already.
        passes: Noisy backward passes of the ranking.
        check: How many of the first places are checked by trials.
        check_chips: Chips of that check.
        seed: Root of the streams.
        threads: Cores for the trials.

    Returns:
        Names to add to ``digital``, and a record: ``budget``, ``used`` (share of the weights), ``layers`` (the chosen
        keys), ``share`` (of the loss's variance, that they stand for), ``before`` and ``after`` (mean accuracy of the
        check's chips with and without noise in them) and the ranking.

    Raises:
        DataError: The data has no labels, and the network is no classifier.
    """
    if data.labels is None:
        data = answered(data, model)
    ranking = rank_layers(
        model,
        condition,
        data,
        passes=passes,
        check=check,
        check_chips=check_chips,
        seed=seed,
        digital=tuple(digital),
        threads=threads,
    )
    sizes = {key: weight.tensor.numel() for key, weight in model.analog_weights(digital).items()}
    chosen = choose(ranking["sensitivity"], sizes, budget)
    names = tuple(_escaped(key) for key in chosen)
    share = sum(row["share"] for row in ranking["sensitivity"] if row["key"] in chosen)
    used = sum(sizes[key] for key in chosen) / max(sum(sizes.values()), 1)
    before, after = _bought(model, condition, data, chosen, digital, check_chips, seed, threads)
    return names, {
        "budget": budget,
        "used": used,
        "layers": chosen,
        "share": share,
        "before": before,
        "after": after,
        **ranking,
    }


def _bought(
    model: Any,
    condition: Condition,
    data: Any,
    chosen: Sequence[str],
    digital: Sequence[str],
    chips: int,
    seed: int,
    threads: int | None,
) -> tuple[float | None, float | None]:
    """Mean accuracy of chips as they are, and of the same chips with the chosen layers clean; None for no layers."""
    if not chosen:
        return None, None
    with bench_of(model, data, Where(digital=tuple(digital))) as bench:
        noisy = accuracies(bench, condition, chips, seed, lambda chip: chip, threads)
        spared = accuracies(
            bench, condition, chips, seed, lambda chip: {k: w for k, w in chip.items() if k not in chosen}, threads
        )
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
