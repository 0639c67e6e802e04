"""One process leads a run, the others follow: they train when it trains, and do nothing else.

The first process opens the run folder, measures, selects, writes and tells. Before each training run it hands its plan
to the others, which hold the same model and data, and train their slices of every batch with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harden import distributed
from harden.errors import DivergedError, HardenError, SettingsError
from harden.training.listener import SILENT, Listener
from harden.training.loop import train
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem
from harden.training.trained import Trained
from harden.training.trainer import Trainer


@contextlib.contextmanager
def leading() -> Iterator[Trainer]:
    """In the first process: a trainer that takes the others along. They are sent home at the end of the block.

    In a process by itself it is ``train``.
    """
    if distributed.size() == 1:
        yield train
        return
    away = False

    def lead(
        problem: Problem, plan: TrainingPlan, listener: Listener = SILENT, checkpoint: Path | None = None
    ) -> Trained:
        nonlocal away
        distributed.from_leader(lambda: (plan, problem.identity))
        away = True
        try:
            trained = train(problem, plan, listener, checkpoint)
        except DivergedError:
            away = False  # it happens to all of them at the same step
            raise
        away = False
        return trained

    try:
        yield lead
    finally:
        if not away:  # else they wait inside a step, and end when this process does
            distributed.from_leader(lambda: None)


def follow(problem: Problem | None) -> None:
    """In the other processes: train whatever the first one trains, until it has no more.

    Args:
        problem: What this process holds; None where there is no data, and nothing will be trained.

    Raises:
        SettingsError: This process has another model or other data than the first.
        HardenError: The first process ended in the middle.
    """
    try:
        while True:
            order: Any = distributed.from_leader(lambda: None)
            if order is None:
                return
            plan, identity = order
            if problem is None or identity != problem.identity:
                raise SettingsError(
                    f"process {distributed.rank()} has another model or other data than process 0",
                    fix="Give every machine the same files, or a shared folder",
                )
            with contextlib.suppress(DivergedError):
                train(problem, plan)
    except RuntimeError as error:  # the connection broke
        raise HardenError("process 0 ended before the run was finished", fix="See what it said") from error
