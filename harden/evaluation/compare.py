"""Models side by side on the same chips: who is better, by how much, and how surely."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harden.errors import SettingsError
from harden.evaluation.record import Evaluation
from harden.statistics.difference import paired_difference, unpaired_difference

SCHEMA = "harden.compare/1"


def compare(evaluations: Mapping[str, Evaluation | Mapping[str, Any]]) -> dict[str, Any]:
    """Compare finished evaluations of the same data, seed and conditions.

    Two models have the same chips if their analog weights have the same names and shapes: equal streams then give equal
    standard draws, scaled by each model's own weights. Their difference is then taken chip by chip, which needs far
    fewer chips. Where names or shapes differ, the models are compared as independent samples and marked as unpaired.

    Args:
        evaluations: Evaluations, or their documents, by the name a model has in the report.

    Returns:
        A ``harden.compare/1`` document; ``differences`` holds, for each pair of models and each condition, b minus a.

    Raises:
        SettingsError: Fewer than two models, or evaluations that are not of the same data, seed and noise.
    """
    documents = {name: e.document if isinstance(e, Evaluation) else dict(e) for name, e in evaluations.items()}
    if len(documents) < 2:
        raise SettingsError("a comparison needs at least two models with names of their own")
    _check_same(documents)
    differences = [
        {"a": a, "b": b, "condition": index, **difference(documents[a], documents[b], index)}
        for a, b in itertools.combinations(documents, 2)
        for index in range(len(documents[a]["profiles"]))
        if documents[a]["profiles"][index]["accuracies"] is not None
    ]
    return {
        "schema": SCHEMA,
        "models": [{"name": name, "evaluation": document} for name, document in documents.items()],
        "differences": differences,
    }


def difference(a: Mapping[str, Any], b: Mapping[str, Any], index: int) -> dict[str, Any]:
    """b minus a under one condition.

    Args:
        a: A document.
        b: Another.
        index: Which of their conditions.

    Returns:
        ``paired``, ``mean``, ``ci95``, ``better``, ``worse``, ``p_value``, and ``correlation`` where paired.
    """
    x = np.array(a["profiles"][index]["accuracies"])
    y = np.array(b["profiles"][index]["accuracies"])
    if paired(a, b) and len(x) == len(y):
        return paired_difference(x, y)
    return unpaired_difference(x, y)


def paired(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether equal chip numbers mean equal standard draws: same names and shapes of the analog weights."""
    return _tensors(a) == _tensors(b)


def _tensors(document: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...]]]:
    return sorted((w["key"], tuple(w["shape"])) for w in document["perturbed"])


def _check_same(documents: Mapping[str, Mapping[str, Any]]) -> None:
    problems = []
    (first, reference), *others = documents.items()
    for name, document in others:
        for what, part in (("data", _data), ("seed", lambda d: d["seed"]), ("noise", _noise)):
            if part(document) != part(reference):
                problems.append(f"{name} and {first} differ in their {what}")
    if problems:
        raise SettingsError("these evaluations cannot be compared", problems=problems)


def _data(document: Mapping[str, Any]) -> tuple[Any, ...]:
    return document["data"]["sha256"], document["data"]["examples"]


def _noise(document: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
    return [(e["digest"], e["at_s"]) for e in document["profiles"]]
