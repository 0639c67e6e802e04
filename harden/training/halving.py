"""Successive halving: short runs of every candidate, longer ones of the better half, the rest for the best."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from harden import methods
from harden.engines import Engine
from harden.store import read_record, write_atomic
from harden.training.listener import SILENT, Listener, OnProgress
from harden.training.loop import train
from harden.training.plan import LEAST_STEPS, TrainingPlan
from harden.training.problem import Problem
from harden.training.trained import Trained
from harden.training.trainer import Trainer


class Attempt(TypedDict):
    """A short run of a candidate: its round from 0, its steps, and its score on validation chips."""

    round: int
    name: str
    steps: int | None
    score: float


@dataclass(frozen=True)
class Search:
    """What is tried, and how the budget is shared.

    Attributes:
        name: What the record and the files beside the checkpoint are called.
        plan: Of the whole run: its number of steps is the budget, counted in passes of plain training.
        candidates: The plan of each run to choose from, by name; its number of steps is left to the search.
        trying: Share of the passes that goes into trying, in (0, 1).
        keep: Share of the candidates that a round leaves, in (0, 1).
        engine: Where the candidates of a round run side by side, with the same results; None runs one after the other.
    """

    name: str
    plan: TrainingPlan
    candidates: Mapping[str, TrainingPlan]
    trying: float = 0.5
    keep: float = 0.5
    engine: Engine | None = None


def halve(
    problem: Problem,
    search: Search,
    trainer: Trainer = train,
    listener: Listener = SILENT,
    checkpoint: Path | None = None,
) -> Trained:
    """Choose among candidates on validation chips and train the winner.

    Args:
        problem: The network and the examples.
        search: The candidates.
        trainer: What carries a run out.
        listener: Told of the winner's steps, and of the steps done over all runs, with the seconds left in the run at
            hand.
        checkpoint: State of the run at hand; what was tried is kept beside it, so a killed search goes on.

    Returns:
        The winner's training; ``levers`` has under the search's name: ``tried`` (round, name, steps, score),
        ``chosen``, ``why`` and ``plan``.
    """
    candidates, plan = search.candidates, search.plan
    total = plan.total_steps(len(problem.training))
    schedule = _schedule(list(candidates), total, search.trying, search.keep)
    tried = _read(checkpoint, search.name, plan.digest)
    left, done = list(candidates), 0
    planned = sum(share * count for share, count in schedule) + (1 - search.trying) * total

    def report(run_steps: int, passes: float) -> OnProgress:
        return lambda step, _, seconds: listener.on_progress(
            round(done + passes * step / run_steps), round(planned), seconds
        )

    def remember(number: int, name: str, steps: int | None, score: float) -> None:
        tried.append({"round": number, "name": name, "steps": steps, "score": score})
        _write(checkpoint, search.name, plan.digest, tried)

    for number, (share, _) in enumerate(schedule):
        if search.engine is not None:
            scored = {row["name"] for row in tried if row["round"] == number}
            fresh = {name: _short(candidates[name], share) for name in left if name not in scored}
            for name, score in _side_by_side(search.engine, problem, fresh):
                remember(number, name, fresh[name].steps, score)
        for name in left:
            if not any((row["round"], row["name"]) == (number, name) for row in tried):
                short = _short(candidates[name], share)
                file = _beside(checkpoint, f"{search.name}-{number}-{name}.safetensors")
                run = trainer(problem, short, Listener(on_progress=report(_steps(short, share), share)), file)
                remember(number, name, short.steps, run.validation[-1].score)
                if file is not None:
                    file.unlink(missing_ok=True)
            done += round(share)
        scores = {row["name"]: row["score"] for row in tried if row["round"] == number}
        left.sort(key=lambda name: -scores[name])
        left = left[: max(1, math.ceil(search.keep * len(left)))] if number + 1 < len(schedule) else left[:1]
    winner = left[0]
    share = (1 - search.trying) * total
    final = candidates[winner].replace(steps=_steps(candidates[winner], share))
    run = trainer(problem, final, Listener(listener.on_step, report(final.steps or 1, share)), checkpoint)
    record = {"tried": tried, "chosen": winner, "why": _why(tried, winner), "plan": _shown(final)}
    return replace(run, levers={**run.levers, search.name: record})


def _short(plan: TrainingPlan, passes: float) -> TrainingPlan:
    return plan.replace(steps=_steps(plan, passes), selections=1)


def _side_by_side(engine: Engine, problem: Problem, plans: Mapping[str, TrainingPlan]) -> Iterator[tuple[str, float]]:
    """The scores of several runs by name, in their order."""

    def last_score(plan: TrainingPlan) -> float:
        return train(problem, plan).validation[-1].score

    with contextlib.closing(engine.run(last_score, plans.values())) as scores:
        yield from zip(plans, scores, strict=True)


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


def _why(tried: list[Attempt], winner: str) -> str:
    last = max(row["round"] for row in tried)
    scores = ", ".join(f"{row['name']} {row['score']:.3f}" for row in tried if row["round"] == last)
    return f"best on validation chips in the last round ({scores}); {winner} it is"


def _shown(plan: TrainingPlan) -> dict[str, object]:
    return {
        "method": plan.method,
        "options": dict(plan.options),
        "clip": None if plan.clip == "none" else plan.clip,
        "train_sigma_scale": plan.train_sigma_scale[0],
        "steps": plan.steps,
    }


def _beside(checkpoint: Path | None, name: str) -> Path | None:
    return None if checkpoint is None else checkpoint.with_name(name)


def _read(checkpoint: Path | None, name: str, digest: str) -> list[Attempt]:
    file = _beside(checkpoint, f"{name}.json")
    record = None if file is None else read_record(file)
    return record["tried"] if record is not None and record["plan"] == digest else []


def _write(checkpoint: Path | None, name: str, digest: str, tried: list[Attempt]) -> None:
    file = _beside(checkpoint, f"{name}.json")
    if file is not None:
        write_atomic(file, json.dumps({"plan": digest, "tried": tried}, indent=1) + "\n")
