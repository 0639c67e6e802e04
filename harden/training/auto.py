"""Searches over plans: a recipe's candidates, or how much noise to train with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harden import methods
from harden.engines import Engine
from harden.errors import SettingsError
from harden.methods.base import Candidate
from harden.training.halving import Search, halve
from harden.training.listener import SILENT, Listener
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem
from harden.training.second_try import gentle
from harden.training.trained import Trained
from harden.training.trainer import Trainer


def auto(
    problem: Problem,
    plan: TrainingPlan,
    listener: Listener = SILENT,
    checkpoint: Path | None = None,
    *,
    trainer: Trainer = train,
    engine: Engine | None = None,
) -> Trained:
    """Choose among the recipe's candidates and train the winner.

    Args:
        problem: The network and the examples.
        plan: ``method`` is a recipe; the number of steps is the whole budget, counted in passes of plain training.
        listener: As :func:`harden.training.halving.halve` has it.
        checkpoint: Likewise.
        trainer: What carries a run out.
        engine: Where the candidates of a round run side by side; None runs one after the other.

    Returns:
        The winner's training, with ``levers["auto"]``.
    """
    recipe = methods.load(plan.method, plan.options)
    candidates = {candidate.name: _plan(plan, candidate) for candidate in recipe.candidates()}
    search = Search("auto", plan, candidates, recipe.config.search, recipe.config.keep, engine)
    return halve(problem, search, trainer, listener, checkpoint)


def choose_scale(
    problem: Problem,
    plan: TrainingPlan,
    listener: Listener = SILENT,
    checkpoint: Path | None = None,
    *,
    scales: Sequence[float],
    trainer: Trainer = train,
    engine: Engine | None = None,
) -> Trained:
    """Choose how much noise to train with, on validation chips at the profile's own noise, and train with it.

    Args:
        problem: The network and the examples.
        plan: An objective's plan; half of its steps go into trying.
        listener: As :func:`harden.training.halving.halve` has it.
        checkpoint: Likewise.
        scales: Noise in training as multiples of the profile's; at least two.
        trainer: What carries a run out.
        engine: Where the candidates of a round run side by side; None runs one after the other.

    Returns:
        The training at the chosen scale, with ``levers["sigma_scale_search"]``.

    Raises:
        SettingsError: The method is a recipe, which chooses by itself.
    """
    if methods.load(plan.method, plan.options).kind != "objective":
        raise SettingsError(
            f"method {plan.method} chooses the noise in training by itself", fix="Give --train-sigma-scale one number"
        )
    candidates = {f"{scale:g}": plan.replace(train_sigma_scale=scale) for scale in scales}
    search = Search("sigma_scale_search", plan, candidates, engine=engine)
    return halve(problem, search, trainer, listener, checkpoint)


def _plan(plan: TrainingPlan, candidate: Candidate) -> TrainingPlan:
    """The run's plan with a candidate's fields; a lever that the user switched off stays off."""
    changes = {key: value for key, value in candidate.plan.items() if key != "clip" or plan.clip == "auto"}
    chosen = plan.replace(**{"options": {}, **changes})
    return gentle(chosen) if candidate.gentle else chosen
