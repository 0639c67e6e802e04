"""A second, gentle try where training made a network worse: rescaled first, small steps, batch norms left alone.

Large pretrained networks with little data of their own can lose more in a short training under noise than they gain:
clipping takes away what few steps do not bring back, and batch norms lose the statistics of the data that the network
was made with. Where validation chips prefer the network as given to every step of a training, or hardly prefer what it
made of it, this training follows.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from harden.levers import second_try as lever
from harden.levers import without
from harden.training.listener import SILENT, Listener
from harden.training.plan import LEAST_STEPS, TrainingPlan
from harden.training.problem import Problem
from harden.training.selection import noise_free_score
from harden.training.trained import Trained
from harden.training.trainer import Trainer

_LITTLE = 0.25  # of what noise takes: a training that brings back less is tried again
_SLOWER = 20  # measured on EfficientNet-lite0: 0.002 still undid the network, 0.0005 gained


def gentle(plan: TrainingPlan) -> TrainingPlan:
    """The plan with nothing that unsettles a network: no clipping, frozen batch norms, steps a twentieth as large.

    The network is rescaled first where noise grows with the range of its weights.
    """
    follows = any(condition.profile.scales_with_range for condition in plan.conditions)
    return without(plan, ["clip", "column_scaling"]).replace(
        rescale_first="on" if follows else plan.rescale_first,
        freeze_batch_norms=1.0,
        lr=plan.learning_rate / _SLOWER,
    )


def second_try(
    first: Trained,
    problem: Problem,
    trainer: Trainer,
    listener: Listener = SILENT,
    checkpoint: Path | None = None,
    *,
    share: float = 1.0,
) -> Trained:
    """The training as it is, if it helped or saw no noise; else the better of it and a gentle one.

    It helped if a step of it was chosen that brings back a quarter of what noise takes from the network as given, by
    the score on validation chips.

    Args:
        first: What the training gave.
        problem: What it trained on.
        trainer: What carries a run out.
        listener: Who is told how the gentle training goes on.
        checkpoint: Where the first training's state is kept; the second one's lies beside it.
        share: Steps of the gentle training, as a share of the first one's.

    Returns:
        The training; where there was a second one ``levers["second_try"]`` says ``kept``, ``before`` and ``after``
        (best scores on validation chips), ``recovered`` (the share that the first one brought back; 0 where no step of
        it was chosen), ``steps`` and ``rescaled``.
    """
    if first.plan.method == "none":  # a control is not to be helped
        return first
    recovered = _recovered(first, problem)
    if recovered >= _LITTLE:
        return first
    careful = gentle(first.plan).replace(steps=max(LEAST_STEPS, round(share * len(first.history))))
    file = None if checkpoint is None else checkpoint.with_name("second.safetensors")
    second = trainer(problem, careful, listener, file)
    before, after = first.best_score, second.best_score
    record = lever.Record(
        kept=after > before,
        before=before,
        after=after,
        recovered=recovered,
        steps=careful.total_steps(len(problem.training)),
        rescaled=careful.rescale_first == "on",
    )
    chosen = second if after > before else first
    return replace(
        chosen,
        levers={**chosen.levers, "second_try": lever.Lever.to_json(record)},
        seconds=first.seconds + second.seconds,
    )


def _recovered(run: Trained, problem: Problem) -> float:
    """Share of what noise takes from the network as given that a training brought back; infinite if that is nothing."""
    if run.selected_step == 0:
        return 0.0
    before = run.validation[0].score
    lost = noise_free_score(problem.model, problem.validation, run.plan) - before
    return (run.best_score - before) / lost if lost > 0 else math.inf
