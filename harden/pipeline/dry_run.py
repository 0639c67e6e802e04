"""``--dry-run``: everything opened and checked, the resolved settings, and what the run would cost; nothing written."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from harden import pacing
from harden.analyses.severity import sampled
from harden.data.dataset import Dataset
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.levers import in_use
from harden.levers.batch_norm_reestimation import BATCHES
from harden.memory import peak_memory_bytes
from harden.pipeline.budget import Pace, measure_pace
from harden.pipeline.compare import open_models
from harden.pipeline.evaluate import prepare_evaluation
from harden.pipeline.fit import run_folder
from harden.pipeline.hardening import training_plan
from harden.pipeline.machine import where_of
from harden.pipeline.prepare import Prepared, prepare
from harden.pipeline.side import SHARE, baseline_chips, run_passes
from harden.progress import Notify, silent, stage
from harden.settings import CompareSettings, EvalSettings, FitSettings, Settings, origin
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem
from harden.words import duration

_CHIPS = 2
_EXAMPLES, _FEWEST = 500, 32
_VALUES = _EXAMPLES * 3 * 64 * 64  # of the examples: of larger images fewer are timed
_STEPS = 3
_SMALL = 16  # examples per step that are timed first
_LONG_S = 15.0  # steps of full size that would take longer are not timed, but worked out from the small ones
_PASSES = 3  # forward passes that cost as much as a step, about


class Setting(TypedDict):
    """A setting, and the flag or the line of the file that it came from."""

    name: str
    value: object
    origin: str


class ModelWork(TypedDict):
    """A model, and how many of its tensors and values are on crossbars."""

    source: str
    sha256: str
    opset: int
    batch_norm: str
    analog_weights: int
    analog_parameters: int


class DataWork(TypedDict):
    """Examples."""

    source: str
    examples: int
    classes: int
    sha256: str


class Estimate(TypedDict):
    """Seconds by stage of one run, how many runs there are, the seconds of all, and the memory at the peak."""

    seconds: dict[str, float]
    runs: int
    total_s: float
    memory_bytes: int | None


class Work(TypedDict):
    """What a command would work on, and the folder that it would write to."""

    resolved: dict[str, object]
    models: list[ModelWork]
    data: dict[str, DataWork]
    writes: str | None


class DryRun(Work):
    """What ``--dry-run`` answers."""

    schema: str
    settings: list[Setting]
    estimate: Estimate


Cost = tuple[dict[str, float | None], int]  # seconds by stage, None where a command has not that stage; bytes


def dry_run(settings: Settings, notify: Notify = silent) -> DryRun:
    """Open and check all that the command would work on, time a few steps and chips, and write nothing.

    Args:
        settings: Of ``harden fit``, ``eval`` or ``compare``.
        notify: Called with stage, done and total.

    Raises:
        HardenError: Whatever the command itself would refuse before its first step.
    """
    work, cost = _fit(settings, notify) if isinstance(settings, FitSettings) else _chips(settings, notify)
    seconds = {stage: value for stage, value in cost[0].items() if value}
    repeats = settings.seeds if isinstance(settings, FitSettings) else 1
    return {
        "schema": "harden.dry-run/1",
        "settings": resolved_settings(settings),
        **work,
        "estimate": {
            "seconds": seconds,
            "runs": repeats,
            "total_s": repeats * sum(seconds.values()),
            "memory_bytes": max(cost[1], peak_memory_bytes() or 0) or None,
        },
    }


def resolved_settings(settings: Settings) -> list[Setting]:
    """Every setting that has a value, with the flag or the line of the file that it came from."""
    values = settings.model_dump(mode="json")
    empty: tuple[object, ...] = (None, "", [], {})
    return [
        {"name": name, "value": value, "origin": origin(settings, name)}
        for name, value in values.items()
        if value not in empty
    ]


def _fit(settings: FitSettings, notify: Notify) -> tuple[Work, Cost]:
    prepared = prepare(settings, notify)
    plan, steps, training, memory_bytes = None, None, None, 0
    if prepared.kind != "transform" and (problem := prepared.problem) is not None:
        plan = training_plan(prepared)
        pilot = plan.replace(method="noise", options={}) if prepared.kind == "recipe" else plan
        with stage(notify, "timing a few steps"):
            pace, memory_bytes = _quick_pace(pilot, problem)
        steps, training = plan.total_steps(len(problem.training)), settings.budget
        if settings.budget is None:
            training = steps * pace.step_s + pace.other_s
        else:
            steps = max(0, int((settings.budget - pace.other_s) / pace.step_s))
    seconds: dict[str, float | None] = {"training": training}
    judge = prepared.judge()
    if judge is not None:
        with stage(notify, "timing a few chips"):
            passes = run_passes(judge, plan, steps or 0)
            seconds |= _trials(judge, prepared.model, None if settings.quick_report else passes)
        if settings.controls and training is not None:
            seconds["controls"] = 2 * (training + _one_condition(seconds, prepared))
        if settings.ablation and training is not None and plan is not None:
            levers = in_use(plan, {}, prepared.model.batch_norm == "kept")
            count = len(levers) + (settings.protect is not None)
            seconds["ablation"] = count * (training + _one_condition(seconds, prepared))
    named = {"training": prepared.training, "validation": prepared.validation, "test": prepared.test}
    work: Work = {
        "resolved": {
            "method": prepared.method,
            "noise": [_condition(condition) for condition in prepared.conditions],
            "threads": prepared.threads,
            **({} if steps is None else {"steps": steps}),
        },
        "models": [_model(prepared.model, prepared.digital)],
        "data": {name: _data(data) for name, data in named.items() if data is not None},
        "writes": str(run_folder(settings)),
    }
    return work, (seconds, memory_bytes)


def _one_condition(seconds: dict[str, float | None], prepared: Prepared) -> float:
    """Seconds of the chips of the first condition alone."""
    return (seconds["chips before"] or 0.0) / len(prepared.conditions)


def _quick_pace(plan: TrainingPlan, problem: Problem) -> tuple[Pace, int]:
    """The pace of a plan from a few steps, and the memory that they take, in bytes.

    What would take long is worked out from small batches; so are the passes that re-estimate batch norms, twice.
    """
    before = peak_memory_bytes() or 0
    short = plan.replace(batch_norm_reestimation="off")
    small = short.replace(batch_size=min(_SMALL, plan.examples_per_step), selection_chips=1, steps=None, epochs=None)
    pace = measure_pace(small, problem, steps=2)
    memory_bytes = peak_memory_bytes() or 0
    times = min(plan.examples_per_step, len(problem.training)) / small.examples_per_step
    if _STEPS * times * pace.step_s < _LONG_S:
        pace = measure_pace(short, problem, steps=_STEPS)
    else:
        pace = Pace(times * pace.step_s, plan.selection_chips * pace.other_s)
        memory_bytes = before + round(times * (memory_bytes - before))
    if plan.batch_norm_reestimation != "off" and problem.model.batch_norm == "kept":
        pace = replace(pace, other_s=pace.other_s + 2 * BATCHES * pace.step_s / _PASSES)
    return pace, memory_bytes


def _trials(judge: Judge, model: Model, passes: float | None) -> dict[str, float | None]:
    """Seconds of everything in a fit that runs chips.

    Args:
        judge: What the run is measured by.
        model: The model as given.
        passes: What the run itself costs; None where nothing is measured beside it.
    """
    setup_s, image_s = _pace(judge, model)
    examples = len(judge.data)
    each = setup_s + len(judge.conditions) * judge.chips * examples * image_s
    if passes is None:
        return {"chips before": each, "chips after": each}
    sample = sampled(SHARE["severity"] * passes)
    scales = len(pacing.current().severity_scales)
    curve = scales * min(judge.chips, sample.chips) * min(examples, sample.examples) * image_s
    columns = sum(condition.profile.scales_with_range for condition in judge.conditions)
    baseline = columns * (setup_s + baseline_chips(judge) * examples * image_s)
    labelled = judge.data.labels is not None
    return {
        "chips before": each,
        "column baseline": baseline,
        "chips after": each,
        "severity curve": 2 * (setup_s + curve) if labelled else None,
    }


def _chips(settings: Settings, notify: Notify) -> tuple[Work, Cost]:
    """Of ``harden eval`` and ``harden compare``: every model on every condition."""
    if isinstance(settings, CompareSettings):
        opened, checked = open_models(settings, notify)
    else:
        assert isinstance(settings, EvalSettings)
        model, data, checked = prepare_evaluation(settings, notify)
        opened = {Path(settings.model).name: (model, data)}
    where = where_of(settings)
    seconds: dict[str, float | None] = {}
    for name, (model, data) in opened.items():
        with stage(notify, "timing a few chips"):
            setup_s, image_s = _pace(checked.judge(settings, data, where, silent), model)
        seconds[f"chips of {name}"] = setup_s + len(checked.conditions) * settings.chips * len(data) * image_s
    data = next(iter(opened.values()))[1]
    noise = [_condition(condition) for condition in checked.conditions]
    work: Work = {
        "resolved": {"noise": noise, "chips": settings.chips, "threads": where.cores},
        "models": [_model(model, settings.digital) for model, _ in opened.values()],
        "data": {"test": _data(data)},
        "writes": settings.out,
    }
    return work, (seconds, 0)


def _pace(judge: Judge, model: Model) -> tuple[float, float]:
    """Seconds of set-up (copy, canary, clean outputs), and seconds per image of a chip, timed on this machine."""
    count = max(_FEWEST, min(_EXAMPLES, _VALUES // math.prod(judge.data.input_shape)))
    few = judge.data.subset(np.arange(min(len(judge.data), count)))
    chips = max(_CHIPS, judge.where.cores)
    pilot = replace(judge.here().on(judge.condition), data=few, chips=chips, notify=silent)
    runtime = pilot.of(model).runtime
    assert runtime is not None
    assert runtime.seconds is not None
    assert runtime.images_per_second is not None  # the pilot keeps no log, so it runs every chip
    image_s = 1 / runtime.images_per_second
    return max(0.0, runtime.seconds - chips * len(few) * image_s), image_s


def _condition(condition: Condition) -> str:
    return f"{condition.profile} at {duration(condition.time)}"


def _model(model: Model, digital: tuple[str, ...]) -> ModelWork:
    analog = model.analog_weights(digital).values()
    return {
        "source": model.source,
        "sha256": model.sha256,
        "opset": model.opset,
        "batch_norm": model.batch_norm,
        "analog_weights": len(analog),
        "analog_parameters": sum(weight.tensor.numel() for weight in analog),
    }


def _data(data: Dataset) -> DataWork:
    return {"source": str(data.source), "examples": len(data), "classes": data.classes, "sha256": data.sha256}
