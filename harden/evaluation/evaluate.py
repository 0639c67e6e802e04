"""Plan, trials, metrics, summary: how accurate are the chips that this file will run on?

Everything comes from the file in ONNX Runtime, one session per chip, after the canary has shown that noise reaches
every analog tensor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harden.data.dataset import Dataset, check_data
from harden.engines import Engine, opened
from harden.errors import HardenError
from harden.evaluation.batch_size import BatchSize
from harden.evaluation.bench import open_bench, single_threaded_torch
from harden.evaluation.custom import Metric, load_metrics
from harden.evaluation.layout import Layout, available_cores
from harden.evaluation.plan import Condition, Plan, as_conditions, check_numbers
from harden.evaluation.record import SCHEMA, Evaluation
from harden.evaluation.run import Run
from harden.evaluation.summary import summarise
from harden.graph.analog import AnalogWeight
from harden.graph.inspection import weights_table
from harden.memory import out_of_memory
from harden.noise.profile import Profile
from harden.statistics.requirements import Requirement, check_meetable
from harden.store import scratch

if TYPE_CHECKING:
    from harden.graph.file import Model


def evaluate(
    model: Model,
    profile: str | Profile | Condition | Sequence[str | Profile | Condition],
    data: Dataset,
    *,
    chips: int = 100,
    seed: int = 0,
    threshold: float | None = None,
    requirements: Sequence[str] = (),
    threads: int | None = None,
    batch_size: int | None = None,
    digital: tuple[str, ...] = (),
    trials: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    metrics: Sequence[str] | Mapping[str, Metric] = (),
    layout: Layout | None = None,
    engine: Engine | str | None = None,
    workers: int | None = None,
    device: str = "cpu",
) -> Evaluation:
    """Measure the accuracy of virtual chips.

    Args:
        model: The model, as it would be saved.
        profile: The noise: a profile or its text (``rram1:sigma_d=0.1``), a condition (a profile at a time), or
            several.
        data: The examples. Without labels, chips are compared with the clean network instead (``fidelity``).
        chips: Chips per condition; chip k has the same random numbers in every condition.
        seed: Root of all random streams.
        threshold: Accuracy a good chip reaches, for the yield.
        requirements: Demands such as ``p05_accuracy>=0.85``; judged in the document, not enforced here.
        threads: Cores to use; None takes all.
        batch_size: Images per batch; None chooses by the input's size.
        digital: Globs of weights that are not on a crossbar.
        trials: Log of trials; an evaluation that was interrupted goes on where its log ends.
        progress: Called with (trials done, all trials).
        metrics: More metrics: names ``module:function``, or functions by name.
        layout: Sessions and threads; None measures which is fastest. It changes no number.
        engine: Where trials run: ``local``, ``ray``, ``ray://HOST:PORT``, or an engine. It changes no number.
        device: What ONNX Runtime runs on: ``cpu``, ``cuda``, or ``auto``.
        workers: Trials at a time on a Ray cluster; None takes every processor of it.

    Returns:
        The evaluation; ``document`` follows ``harden.eval/1``.

    Raises:
        SettingsError: Numbers that make no sense, a metric that fails.
        UnmeetableError: A requirement that so few chips can never meet.
        DataError: The model's output is not logits of the data's classes, or shapes differ.
        CanaryError: Noise does not reach a tensor in ONNX Runtime.
        RunFolderError: The log holds another run.
        OutOfMemoryError: Memory does not suffice for one image at a time on one worker.
        MissingExtraError: The engine needs Ray, and it is not installed.
    """
    check_data(data)
    check_numbers(chips, threshold, batch_size, threads)
    demands = [Requirement.parse(text) for text in requirements]
    check_meetable(demands, chips)
    custom = dict(metrics) if isinstance(metrics, Mapping) else load_metrics(metrics)
    conditions = as_conditions(profile)
    began = time.perf_counter()
    size = BatchSize(model, data, batch_size, trials)

    def opened_run(place: Engine | None, folder: Path) -> Run:
        bench = open_bench(model, data, folder, batch_size=size.images, digital=digital, custom=custom, device=device)
        plan = Plan(conditions, chips, seed, bench.feed.batch, digital)
        return Run(bench, plan, trials, threads or available_cores(), layout, place)

    with opened(engine, workers) as place:
        while True:
            try:
                with scratch() as folder, single_threaded_torch():
                    run = opened_run(place, folder)
                    run.finish(progress)
                    document = _document(model, data, run, threshold=threshold, demands=demands)
                break
            except (HardenError, RuntimeError, MemoryError) as error:
                if place is not None or not out_of_memory(error):
                    raise
            size.halve()
    document["runtime"] = {"seconds": time.perf_counter() - began, **run.speed()}
    if size.halved or run.fewer:
        document["runtime"]["memory"] = _said(run, size)
    return Evaluation(document)


def _said(run: Run, size: BatchSize) -> str:
    workers = f"{run.fewer} worker{'s' if run.fewer > 1 else ''}" if run.fewer else ""
    batch = f"batches of {run.bench.feed.batch}" if size.halved else ""
    return f"ran short: {' and '.join(part for part in (workers, batch) if part)} instead"


def _document(
    model: Model, data: Dataset, run: Run, *, threshold: float | None, demands: Sequence[Requirement]
) -> dict[str, Any]:
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
            entry["periphery"] = bench.around.record(condition.profile.periphery)
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
