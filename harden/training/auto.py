"""Successive halving: short runs of every candidate, longer ones of the better half, the rest for the best."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harden import methods
from harden.engines import Engine
from harden.errors import SettingsError
from harden.store import read_record, write_atomic
from harden.training.loop import OnProgress, OnStep, train
from harden.training.plan import LEAST_STEPS, Trained, TrainingPlan, score_of
from harden.training.process_group import Trainer
from harden.training.second_try import gentle


@dataclass(frozen=True)
class Search:
    """What is tried, and how the budget is shared.

    Attributes:
        name: What the record and the files beside the checkpoint are called.
        candidates: The plan of each run to choose from, by name; its number of steps is left to the search.
        search: Share of the passes that goes into trying, in (0, 1).
        keep: Share of the candidates that a round leaves, in (0, 1).
    """

    name: str
    candidates: Mapping[str, TrainingPlan]
    search: float = 0.5
    keep: float = 0.5


def auto(model: Any, data: Any, validation: Any, plan: TrainingPlan, **options: Any) -> Trained:
    """Choose among the recipe's candidates and train the winner.

    Args:
        model: The model.
        data: Training examples.
        validation: Examples that decide; disjoint from ``data``.
        plan: ``method`` is a recipe; the number of steps is the whole budget, counted in passes of plain training.
        options: As :func:`halve` has them.

    Returns:
        The winner's training, with ``levers["auto"]``.
    """
    recipe = methods.load(plan.method, plan.options)
    candidates = {name: _plan(plan, fields) for name, fields in recipe.candidates()}
    search = Search("auto", candidates, recipe.config.search, recipe.config.keep)
    return halve(model, data, validation, plan, search, **options)


def choose_scale(
    model: Any, data: Any, validation: Any, plan: TrainingPlan, *, scales: Sequence[float], **options: Any
) -> Trained:
    """Choose how much noise to train with, on validation chips at the profile's own noise, and train with it.

    Args:
        model: The model.
        data: Training examples.
        validation: Examples that decide; disjoint from ``data``.
        plan: An objective's plan; half of its steps go into trying.
        scales: Noise in training as multiples of the profile's; at least two.
        options: As :func:`halve` has them.

    Returns:
        The training at the chosen scale, with ``levers["sigma_scale_search"]``.

    Raises:
        SettingsError: The method is a recipe, which chooses by itself.
    """
    if methods.load(plan.method, plan.options).kind != "objective":
        raise SettingsError(
            f"method {plan.method} chooses the noise in training by itself", fix="Give --train-sigma-scale one number"
        )
    candidates = {f"{scale:g}": replace(plan, train_sigma_scale=scale) for scale in scales}
    return halve(model, data, validation, plan, Search("sigma_scale_search", candidates), **options)


def final_plan(plan: TrainingPlan, levers: Mapping[str, Any]) -> TrainingPlan:
    """The plan that a run ended with.

    Args:
        plan: What the run was given: an objective's plan or a recipe's.
        levers: The run's record of levers, in which a search says what it chose.

    Returns:
        The winner's plan with its steps, or the gentle one where a second try was kept; the plan itself where nothing
        was searched for.
    """
    if (second := levers.get("second_try")) is not None and second["kept"]:
        first = final_plan(plan, {name: value for name, value in levers.items() if name != "second_try"})
        return replace(gentle(first), steps=second["steps"])
    if (chosen := levers.get("auto")) is not None:
        fields = dict(methods.load(plan.method, plan.options).candidates())[chosen["chosen"]]
        return replace(_plan(plan, fields), steps=chosen["plan"]["steps"])
    if (chosen := levers.get("sigma_scale_search")) is not None:
        return replace(plan, train_sigma_scale=chosen["plan"]["train_sigma_scale"], steps=chosen["plan"]["steps"])
    return plan


def halve(
    model: Any,
    data: Any,
    validation: Any,
    plan: TrainingPlan,
    search: Search,
    *,
    on_step: OnStep | None = None,
    on_progress: OnProgress | None = None,
    checkpoint: Path | None = None,
    trainer: Trainer | None = None,
    engine: Engine | None = None,
) -> Trained:
    """Choose among candidates on validation chips and train the winner.

    Args:
        model: The model.
        data: Training examples.
        validation: Examples that decide; disjoint from ``data``.
        plan: The number of steps is the whole budget, counted in passes of plain training.
        search: The candidates.
        on_step: Called with the winner's records.
        on_progress: Called with steps done, their total over all runs, and the seconds left in the run at hand.
        checkpoint: State of the run at hand; what was tried is kept beside it, so a killed search goes on.
        trainer: What carries a run out; None is ``train``.
        engine: Where the candidates of a round run side by side, with the same results; None runs one after the other.

    Returns:
        The winner's training; ``levers`` has under the search's name: ``tried`` (round, name, steps, score),
        ``chosen``, ``why`` and ``plan``.
    """
    trainer, candidates = trainer or train, search.candidates
    total = plan.total_steps(len(data))
    schedule = _schedule(list(candidates), total, search.search, search.keep)
    tried = _read(checkpoint, search.name, plan.digest)
    left, done = list(candidates), 0
    planned = sum(share * count for share, count in schedule) + (1 - search.search) * total

    def report(run_steps: int, passes: float) -> OnProgress | None:
        if on_progress is None:
            return None
        tell = on_progress
        return lambda step, _, seconds: tell(round(done + passes * step / run_steps), round(planned), seconds)

    for number, (share, _) in enumerate(schedule):
        if engine is not None:
            fresh = {name: _short(candidates[name], share) for name in left if (number, name) not in _known(tried)}
            for name, score in _side_by_side(engine, model, data, validation, fresh):
                tried.append({"round": number, "name": name, "steps": fresh[name].steps, "score": score})
                _write(checkpoint, search.name, plan.digest, tried)
        for name in left:
            known = next((one for one in tried if (one["round"], one["name"]) == (number, name)), None)
            if known is None:
                short = _short(candidates[name], share)
                file = _beside(checkpoint, f"{search.name}-{number}-{name}.safetensors")
                run = trainer(
                    model, data, validation, short, on_progress=report(_steps(short, share), share), checkpoint=file
                )
                score = score_of(run.validation[-1])
                tried.append({"round": number, "name": name, "steps": short.steps, "score": score})
                _write(checkpoint, search.name, plan.digest, tried)
                if file is not None:
                    file.unlink(missing_ok=True)
            done += round(share)
        scores = {one["name"]: one["score"] for one in tried if one["round"] == number}
        left.sort(key=lambda name: -scores[name])
        left = left[: max(1, math.ceil(search.keep * len(left)))] if number + 1 < len(schedule) else left[:1]
    winner = left[0]
    share = (1 - search.search) * total
    final = replace(candidates[winner], steps=_steps(candidates[winner], share))
    run = trainer(
        model,
        data,
        validation,
        final,
        on_step=on_step,
        on_progress=report(final.steps or 1, share),
        checkpoint=checkpoint,
    )
    record = {"tried": tried, "chosen": winner, "why": _why(tried, winner), "plan": _shown(final)}
    return replace(run, levers={**run.levers, search.name: record}, seconds=run.seconds)


def _short(plan: TrainingPlan, passes: float) -> TrainingPlan:
    return replace(plan, steps=_steps(plan, passes), selections=1)


def _known(tried: list[dict[str, Any]]) -> set[tuple[int, str]]:
    return {(one["round"], one["name"]) for one in tried}


def _side_by_side(
    engine: Engine, model: Any, data: Any, validation: Any, plans: Mapping[str, TrainingPlan]
) -> Iterator[tuple[str, float]]:
    """The scores of several runs by name, in their order."""

    def one(plan: TrainingPlan) -> float:
        return score_of(train(model, data, validation, plan).validation[-1])

    with contextlib.closing(engine.run(one, plans.values())) as scores:
        yield from zip(plans, scores, strict=True)


def _plan(plan: TrainingPlan, fields: Mapping[str, Any]) -> TrainingPlan:
    """The run's plan with a candidate's fields; a lever that the user switched off stays off."""
    kept = {key: value for key, value in fields.items() if not (key == "clip" and plan.clip != "auto")}
    careful = kept.pop("gentle", False)
    chosen = replace(plan, **{"options": {}, **kept})
    return gentle(chosen) if careful else chosen


def _schedule(names: list[str], total: int, search: float, keep: float) -> list[tuple[float, int]]:
    """For each round the passes that a candidate gets, and how many candidates there are.

    Example:
        >>> _schedule(["a", "b", "c", "d"], 800, 0.5, 0.5)
        [(50.0, 4), (100.0, 2)]
    """
    counts = [len(names)]
    while counts[-1] > 2:
        counts.append(max(1, math.ceil(keep * counts[-1])))
        if counts[-1] == counts[-2]:
            break
    counts = [count for count in counts if count > 1] or counts[:1]
    return [(search * total / len(counts) / count, count) for count in counts]


def _steps(plan: TrainingPlan, passes: float) -> int:
    """Steps that cost as much as so many steps of plain training (one forward, one backward pass)."""
    forward, backward = methods.load(plan.method, plan.options).passes_a_step()
    return max(LEAST_STEPS, round(passes / ((forward + 2 * backward) / 3)))


def _why(tried: list[dict[str, Any]], winner: str) -> str:
    last = max(one["round"] for one in tried)
    scores = ", ".join(f"{one['name']} {one['score']:.3f}" for one in tried if one["round"] == last)
    return f"best on validation chips in the last round ({scores}); {winner} it is"


def _shown(plan: TrainingPlan) -> dict[str, Any]:
    return {
        "method": plan.method,
        "options": dict(plan.options),
        "clip": plan.clip,
        "train_sigma_scale": plan.train_sigma_scale,
        "steps": plan.steps,
    }


def _beside(checkpoint: Path | None, name: str) -> Path | None:
    return None if checkpoint is None else checkpoint.with_name(name)


def _read(checkpoint: Path | None, name: str, digest: str) -> list[dict[str, Any]]:
    file = _beside(checkpoint, f"{name}.json")
    record = None if file is None else read_record(file)
    return record["tried"] if record is not None and record["plan"] == digest else []


def _write(checkpoint: Path | None, name: str, digest: str, tried: list[dict[str, Any]]) -> None:
    file = _beside(checkpoint, f"{name}.json")
    if file is not None:
        write_atomic(file, json.dumps({"plan": digest, "tried": tried}, indent=1) + "\n")
