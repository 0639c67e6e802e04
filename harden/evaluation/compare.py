"""Models side by side on the same chips: who is better, by how much, and how surely."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from harden.errors import SettingsError
from harden.records import ComparedModel, CompareRecord, Difference, EvalRecord
from harden.statistics.difference import paired_difference, unpaired_difference


def compare(evaluations: Mapping[str, EvalRecord]) -> CompareRecord:
    """Compare finished evaluations of the same data, seed and conditions.

    Two models have the same chips if their analog weights have the same names and shapes: equal streams then give equal
    standard draws, scaled by each model's own weights. Their difference is then taken chip by chip, which needs far
    fewer chips. Where names or shapes differ, the models are compared as independent samples and marked as unpaired.

    Args:
        evaluations: Evaluations by the name a model has in the report.

    Returns:
        The record; ``differences`` holds, for each pair of models and each condition with labels, b minus a.

    Raises:
        SettingsError: Fewer than two models, or evaluations that are not of the same data, seed and noise.
    """
    if len(evaluations) < 2:
        raise SettingsError("a comparison needs at least two models with names of their own")
    _check_same(evaluations)
    differences = [
        difference(a, b, evaluations, index)
        for a, b in itertools.combinations(evaluations, 2)
        for index, condition in enumerate(evaluations[a].conditions)
        if condition.accuracies is not None
    ]
    return CompareRecord(
        models=tuple(ComparedModel(name=name, evaluation=record) for name, record in evaluations.items()),
        differences=tuple(differences),
    )


def difference(a: str, b: str, evaluations: Mapping[str, EvalRecord], index: int) -> Difference:
    """b minus a under one condition, paired where the models have the same chips.

    Args:
        a: Name of one model.
        b: Name of another.
        evaluations: Evaluations by name.
        index: Which of their conditions.
    """
    x, y = evaluations[a].accuracies(index), evaluations[b].accuracies(index)
    same = paired(evaluations[a], evaluations[b]) and len(x) == len(y)
    result = paired_difference(x, y) if same else unpaired_difference(x, y)
    return Difference.model_validate({"a": a, "b": b, "condition": index, **result})


def paired(a: EvalRecord, b: EvalRecord) -> bool:
    """Whether equal chip numbers mean equal standard draws: same names and shapes of the analog weights."""
    return _tensors(a) == _tensors(b)


def _tensors(record: EvalRecord) -> list[tuple[str, tuple[int, ...]]]:
    return sorted((tensor.key, tensor.shape) for tensor in record.perturbed)


def _check_same(evaluations: Mapping[str, EvalRecord]) -> None:
    problems = []
    (first, reference), *others = evaluations.items()
    for name, record in others:
        for what, part in (("data", _data), ("seed", lambda record: record.seed), ("noise", _noise)):
            if part(record) != part(reference):
                problems.append(f"{name} and {first} differ in their {what}")
    if problems:
        raise SettingsError("these evaluations cannot be compared", problems=problems)


def _data(record: EvalRecord) -> tuple[object, ...]:
    return (record.data.sha256, record.data.examples) if record.data else ()


def _noise(record: EvalRecord) -> list[tuple[object, ...]]:
    return [(condition.digest, condition.at_s) for condition in record.conditions]
