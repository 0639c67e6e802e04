"""One process leads a run, the others follow: they train when it trains, and do nothing else.

The first process opens the run folder, measures, selects, writes and tells. Before each training run it hands its plan
to the others, which hold the same model and data, and train their slices of every batch with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from harden import distributed
from harden.errors import DivergedError, HardenError, SettingsError
from harden.training.loop import train
from harden.training.plan import Trained, TrainingPlan

Trainer = Callable[..., Trained]
"""Has the signature of :func:`harden.training.loop.train`."""


@contextlib.contextmanager
def leading() -> Iterator[Trainer]:
    """In the first process: a trainer that takes the others along. They are sent home at the end of the block.

    In a process by itself it is ``train``.
    """
    if distributed.size() == 1:
        yield train
        return
    away = False

    def led(model: Any, data: Any, validation: Any, plan: TrainingPlan, **named: Any) -> Trained:
        nonlocal away
        distributed.from_first(lambda: (plan, _identity(model, data, validation)))
        away = True
        try:
            trained = train(model, data, validation, plan, **named)
        except DivergedError:
            away = False  # it happens to all of them at the same step
            raise
        away = False
        return trained

    try:
        yield led
    finally:
        if not away:  # else they wait inside a step, and end when this process does
            distributed.from_first(lambda: None)


def follow(model: Any, data: Any, validation: Any) -> None:
    """In the other processes: train whatever the first one trains, until it has no more.

    Raises:
        SettingsError: This process has another model or other data than the first.
        HardenError: The first process ended in the middle.
    """
    try:
        while True:
            found: Any = distributed.from_first(lambda: None)
            if found is None:
                return
            plan, identity = found
            if identity != _identity(model, data, validation):
                raise SettingsError(
                    f"process {distributed.rank()} has another model or other data than process 0",
                    fix="Give every machine the same files, or a shared folder",
                )
            with contextlib.suppress(DivergedError):
                train(model, data, validation, plan)
    except RuntimeError as error:  # the connection broke
        raise HardenError("process 0 ended before the run was finished", fix="See what it said") from error


def _identity(model: Any, data: Any, validation: Any) -> tuple[Any, ...]:
    return model.sha256, *((one.sha256, len(one)) for one in (data, validation))
