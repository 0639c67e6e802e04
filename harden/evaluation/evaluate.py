"""Plan, trials, metrics, summary: how accurate are the chips that this file will run on?

Everything comes from the file in ONNX Runtime, one session a chip, after the canary has shown that noise reaches every
analog tensor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harden.engines import Engine, opened
from harden.evaluation.bench import open_bench, single_threaded_torch
from harden.evaluation.custom import Metric, load_metrics
from harden.evaluation.layout import Layout, available_cores
from harden.evaluation.plan import Condition, Plan, as_conditions, check_numbers
from harden.evaluation.record import SCHEMA, Evaluation
from harden.evaluation.requirements import Requirement, check_meetable
from harden.evaluation.run import Run
from harden.evaluation.summary import summarise
from harden.graph.analog import AnalogWeight
from harden.graph.inspection import weights_table
from harden.noise.profile import Profile
from harden.store import scratch

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model


def evaluate(
    model: Model,
    profile: Profile | Condition | Sequence[Profile | Condition],
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
) -> Evaluation:
    """Measure the accuracy of virtual chips.

    Args:
        model: The model, as it would be saved.
        profile: The noise: a profile, a condition (a profile at a time), or several.
        data: The examples. Without labels, chips are compared with the clean network instead (``fidelity``).
        chips: Chips a condition; chip k has the same random numbers in every condition.
        seed: Root of all random streams.
        threshold: Accuracy a good chip reaches, for the yield.
        requirements: Demands such as ``p05_accuracy>=0.85``; judged in the document, not enforced here.
        threads: Cores to use; None takes all.
        batch_size: Images a batch; None chooses by the input's size.
        digital: Globs of weights that are not on a crossbar.
        trials: Log of trials; an evaluation that was interrupted goes on where its log ends.
        progress: Called with (trials done, all trials).
        metrics: More metrics: names ``module:function``, or functions by name.
        layout: Sessions and threads; None measures which is fastest. It changes no number.
        engine: Where trials run: ``local``, ``ray``, ``ray://HOST:PORT``, or an engine. It changes no number.
        workers: Trials at a time on a Ray cluster; None takes every processor of it.

    Returns:
        The evaluation; ``document`` follows ``harden.eval/1``.

    Raises:
        SettingsError: Numbers that make no sense, a metric that fails.
        UnmeetableError: A requirement that so few chips can never meet.
        DataError: The model's output is not logits of the data's classes, or shapes differ.
        CanaryError: Noise does not reach a tensor in ONNX Runtime.
        RunFolderError: The log holds another run.
        MissingExtraError: The engine needs Ray, and it is not installed.
    """
    check_numbers(chips, threshold, batch_size, threads)
    demands = [Requirement.parse(text) for text in requirements]
    check_meetable(demands, chips)
    custom = dict(metrics) if isinstance(metrics, Mapping) else load_metrics(metrics)
    conditions = as_conditions(profile)
    began = time.perf_counter()
    with opened(engine, workers) as place, scratch() as folder, single_threaded_torch():
        bench = open_bench(model, data, folder, batch_size=batch_size, digital=digital, custom=custom)
        plan = Plan(conditions, chips, seed, bench.feed.batch, digital)
        run = Run(bench, plan, trials, threads or available_cores(), layout, place)
        run.finish(progress)
        entries = [
            summarise(
                condition,
                run.log.of(index),
                clean=bench.clean,
                threshold=threshold,
                requirements=demands,
                hits=None if run.sums is None else run.sums.hits[index],
                mean_p=None if run.sums is None else run.sums.mean_probabilities(index, chips),
                labels=data.labels,
            )
            for index, condition in enumerate(conditions)
        ]
        for entry, condition in zip(entries, conditions, strict=True):
            if condition.profile.periphery.on:
                entry["periphery"] = bench.around.record(condition.profile.periphery)
        document = {
            "schema": SCHEMA,
            "model": _model_part(model, bench.weights),
            "data": {"source": str(data.source), "examples": len(data), "sha256": data.sha256},
            "seed": seed,
            "clean": bench.clean,
            "profiles": entries,
            "perturbed": run.perturbed(),
            "not_perturbed": [
                {"name": row["name"], "reason": row["digital_reason"]}
                for row in weights_table(model, digital)
                if not row["analog"]
            ],
            "canary": {"tensors": bench.canary.tensors, "inert": list(bench.canary.inert)},
            "runtime": {"seconds": time.perf_counter() - began, **run.speed()},
        }
    return Evaluation(document)


def _model_part(model: Model, weights: Mapping[str, AnalogWeight]) -> dict[str, Any]:
    return {
        "path": str(model.source),
        "sha256": model.sha256,
        "opset": model.opset,
        "parameters": model.parameters,
        "analog_parameters": sum(w.tensor.numel() for w in weights.values()),
        "batch_norm": model.batch_norm,
    }
