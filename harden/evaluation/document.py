"""The document of an evaluation, from its finished trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harden.data.dataset import Dataset
from harden.evaluation.record import SCHEMA
from harden.evaluation.run import Run
from harden.evaluation.summary import summarise
from harden.graph.analog import AnalogWeight
from harden.graph.inspection import weights_table
from harden.statistics.requirements import Requirement

if TYPE_CHECKING:
    from harden.graph.file import Model


def document_of(
    model: Model, data: Dataset, run: Run, threshold: float | None, demands: Sequence[Requirement]
) -> dict[str, Any]:
    """The ``harden.eval/1`` document of a finished run, but for its ``runtime``.

    Args:
        model: The model that was judged.
        data: The examples.
        run: All trials, finished.
        threshold: Accuracy that a good chip reaches, for the yield.
        demands: What is judged in each condition's entry.
    """
    bench, plan = run.bench, run.plan
    conditions, digital = plan.conditions, plan.digital
    entries = [
        summarise(
            condition,
            run.log.of(index),
            clean=bench.clean,
            threshold=threshold,
            requirements=demands,
            hits=None if run.sums is None else run.sums.hits[index],
            mean_p=None if run.sums is None else run.sums.mean_probabilities(index, plan.chips),
            labels=data.labels,
            bins=None if run.sums is None else run.sums.bins[index],
        )
        for index, condition in enumerate(conditions)
    ]
    for entry, condition in zip(entries, conditions, strict=True):
        if condition.profile.periphery.on:
            entry["periphery"] = bench.periphery.record(condition.profile.periphery)
    return {
        "schema": SCHEMA,
        "model": _model_part(model, bench.weights),
        "data": _data_part(data),
        "seed": plan.seed,
        "clean": bench.clean,
        "profiles": entries,
        "perturbed": run.perturbed(),
        "not_perturbed": [
            {"name": row["name"], "reason": row["digital_reason"]}
            for row in weights_table(model, digital)
            if not row["analog"]
        ],
        "canary": {"tensors": bench.canary.tensors, "inert": list(bench.canary.inert)},
    }


def _data_part(data: Dataset) -> dict[str, Any]:
    part: dict[str, Any] = {"source": str(data.source), "examples": len(data), "sha256": data.sha256}
    if data.labels is not None:
        commonest = float(np.bincount(data.labels).max() / len(data))
        names = list(data.class_names) if data.class_names else None
        part["classes"] = {"count": data.classes, "commonest": commonest, "names": names}
    return part


def _model_part(model: Model, weights: Mapping[str, AnalogWeight]) -> dict[str, Any]:
    return {
        "path": str(model.source),
        "sha256": model.sha256,
        "opset": model.opset,
        "parameters": model.parameters,
        "analog_parameters": sum(w.tensor.numel() for w in weights.values()),
        "batch_norm": model.batch_norm,
    }
