"""The record of an evaluation, from its finished trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harden.data.dataset import Dataset
from harden.evaluation.run import Run
from harden.evaluation.summary import summarise
from harden.graph.analog import AnalogWeight
from harden.graph.inspection import weights_table
from harden.records import EvalRecord
from harden.records.evaluation import (
    Canary,
    Classes,
    Clean,
    DataRecord,
    ExactTensor,
    ModelRecord,
    Runtime,
    TensorRecord,
)
from harden.statistics.requirements import Requirement

if TYPE_CHECKING:
    from harden.graph.file import Model


def record_of(
    model: Model, data: Dataset, run: Run, threshold: float | None, demands: Sequence[Requirement], runtime: Runtime
) -> EvalRecord:
    """The record of a finished run.

    Args:
        model: The model that was judged.
        data: The examples.
        run: All trials, finished.
        threshold: Accuracy that a good chip reaches, for the yield.
        demands: What is judged in each condition's record.
        runtime: How fast it went.
    """
    bench, plan = run.bench, run.plan
    conditions = [
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
            periphery=bench.periphery.record(periphery) if (periphery := condition.profile.periphery).on else None,
        )
        for index, condition in enumerate(plan.conditions)
    ]
    rows = weights_table(model, plan.digital)
    return EvalRecord(
        model=_model_part(model, bench.weights),
        data=data_part(data, with_classes=True),
        seed=plan.seed,
        clean=Clean.model_validate(bench.clean),
        conditions=tuple(conditions),
        perturbed=tuple(TensorRecord.model_validate(row) for row in run.perturbed()),
        not_perturbed=tuple(
            ExactTensor(name=row["name"], reason=reason)
            for row in rows
            if (reason := row["digital_reason"]) is not None
        ),
        canary=Canary(tensors=bench.canary.tensors, inert=tuple(bench.canary.inert)),
        runtime=runtime,
    )


def data_part(data: Dataset, *, with_classes: bool = False) -> DataRecord:
    """Which examples, and with labels on request their classes."""
    part = DataRecord(source=str(data.source), examples=len(data), sha256=data.sha256)
    if data.labels is None or not with_classes:
        return part
    commonest = float(np.bincount(data.labels).max() / len(data))
    return part.replaced(classes=Classes(count=data.classes, commonest=commonest, names=data.class_names or None))


def model_part(model: Model) -> ModelRecord:
    """Which network."""
    return ModelRecord(path=str(model.source), sha256=model.sha256, opset=model.opset, batch_norm=model.batch_norm)


def _model_part(model: Model, weights: Mapping[str, AnalogWeight]) -> ModelRecord:
    return ModelRecord(
        path=str(model.source),
        sha256=model.sha256,
        opset=model.opset,
        parameters=model.parameters,
        analog_parameters=sum(w.tensor.numel() for w in weights.values()),
        batch_norm=model.batch_norm,
    )
