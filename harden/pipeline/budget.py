"""A time budget becomes a number of steps, once, before the first step."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from harden import pacing
from harden.errors import SettingsError
from harden.store import read_record, write_atomic
from harden.training.listener import Listener
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem
from harden.training.trainer import Trainer

_PILOT_SELECTIONS = 2  # at the start and at the end


def steps_within(budget_s: float, plan: TrainingPlan, problem: Problem, record: Path, trainer: Trainer = train) -> int:
    """How many steps fit into a budget of training and selection.

    A pilot of 8 steps on the same model and data is timed: s seconds per step (median), and o seconds for all that is
    not a step. With k selections in a whole run, n steps take n s + o (k + 1) / 2.

    Args:
        budget_s: Seconds.
        plan: The run's plan.
        problem: The network and the examples.
        record: Where the number is kept; a file that exists is read instead, so a resumed run repeats its number.
        trainer: What carries the pilot out.

    Raises:
        SettingsError: Not even the pilot's steps fit.
    """
    earlier = read_record(record)
    if earlier is not None:
        return int(earlier["steps"])
    pilot_steps, fixed = pacing.current().pilot_steps, pacing.current().budget_steps
    pace = measure_pace(plan, problem, trainer, steps=pilot_steps)
    step_s, other_s = pace.step_s, pace.other_s
    steps = fitting(budget_s, step_s, other_s) if fixed is None else fixed
    if steps < pilot_steps:
        needed = other_s + pilot_steps * step_s
        raise SettingsError(f"--budget {budget_s:g}s is too short", fix=f"{pilot_steps} steps need {needed:.0f} s here")
    write_atomic(record, json.dumps({"steps": steps, "step_s": step_s, "other_s": other_s}) + "\n")
    return steps


def fitting(budget_s: float, step_s: float, other_s: float) -> int:
    """Whole steps in what the rest leaves of a budget; all in seconds.

    Example:
        >>> fitting(10.0, 0.5, 1.0)
        18
    """
    return int((budget_s - other_s) / step_s)


@dataclass(frozen=True)
class Pace:
    """How fast a run trains on this machine.

    Attributes:
        step_s: Seconds a step, the median.
        other_s: Seconds that a whole run spends on all that is not a step: set-up and selections.
    """

    step_s: float
    other_s: float


def measure_pace(plan: TrainingPlan, problem: Problem, trainer: Trainer = train, *, steps: int) -> Pace:
    """Time a pilot of so many steps, at least 2, and two selections of a plan on its own model and data."""
    marks = [time.perf_counter()]
    listener = Listener(on_step=lambda _: marks.append(time.perf_counter()))
    pilot = trainer(problem, plan.replace(steps=steps, selections=1), listener)
    step_s = statistics.median(b - a for a, b in itertools.pairwise(marks[1:]))
    other_s = max(pilot.seconds - steps * step_s, 0.0) * (plan.selections + 1) / _PILOT_SELECTIONS
    return Pace(step_s, other_s)
