"""The record of an evaluation, from its finished trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from harden.data.dataset import Dataset
from harden.evaluation.run import Run
from harden.evaluation.summary import summarise
from harden.graph.analog import AnalogWeight
from harden.graph.inspection import weights_table
from harden.records import ConditionRecord, EvalRecord
from harden.records.evaluation import (
    Canary,
    Classes,
    DataRecord,
    ExactProduct,
    ExactTensor,
    ModelRecord,
    Runtime,
)
from harden.runtime.sessions import deciding_options
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
    rows = weights_table(model, plan.digital)
    return EvalRecord(
        model=model_part(model, bench.weights),
        data=data_part(data, with_classes=True),
        seed=plan.seed,
        clean=bench.clean,
        conditions=tuple(_condition(run, number, data, threshold, demands) for number in range(len(plan.conditions))),
        perturbed=run.perturbed(),
        not_perturbed=tuple(
            ExactTensor(name=row["name"], reason=reason)
            for row in rows
            if (reason := row["digital_reason"]) is not None
        ),
        canary=Canary(
            tensors=bench.canary.tensors,
            inert=tuple(bench.canary.inert),
            exact=tuple(ExactProduct(**asdict(item)) for item in bench.canary.exact),
        ),
        runtime=runtime,
    )


def _condition(
    run: Run, number: int, data: Dataset, threshold: float | None, demands: Sequence[Requirement]
) -> ConditionRecord:
    condition, bench = run.plan.conditions[number], run.bench
    record = summarise(
        condition,
        run.log.of(number),
        clean=bench.clean,
        threshold=threshold,
        requirements=demands,
        scorer=bench.scorer,
        measure=bench.measure,
        sums=run.sums.of(number) if run.sums else None,
    )
    periphery = condition.profile.periphery
    return record.replaced(periphery=bench.periphery.record(periphery)) if periphery.on else record


def data_part(data: Dataset, *, with_classes: bool = False) -> DataRecord:
    """Which examples, and with labels on request their classes."""
    part = DataRecord(source=str(data.source), examples=len(data), sha256=data.sha256)
    if data.labels is None or not data.classes or not with_classes:
        return part
    commonest = float(np.bincount(data.labels).max() / len(data))
    return part.replaced(classes=Classes(count=data.classes, commonest=commonest, names=data.class_names or None))


def model_part(model: Model, weights: Mapping[str, AnalogWeight] | None = None) -> ModelRecord:
    """Which network; with its analog weights, also how large it is."""
    size = {}
    if weights is not None:
        analog = sum(weight.tensor.numel() for weight in weights.values())
        size = {"parameters": model.parameters, "analog_parameters": analog}
    options = deciding_options(model)
    return ModelRecord.read(
        {
            "path": str(model.source),
            "sha256": model.sha256,
            "opset": model.opset,
            **size,
            "batch_norm": model.batch_norm,
            **({"crossbars": model.crossbars} if model.crossbars != "tensor" else {}),
            **({"session": options} if options else {}),
        }
    )
