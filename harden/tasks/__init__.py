"""What a network is for: one file a task.

A file ``harden/tasks/NAME.py`` (or a module behind the entry point ``harden.tasks``) defines a class ``Task``;
:mod:`harden.tasks.base` says what belongs in it. ``--task`` names one; else the outputs and the labels say which it is.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from harden.errors import DataError, SettingsError
from harden.registry import TASKS
from harden.tasks._heads import heads
from harden.tasks.base import Examples, Scorer, Scores, Tally, Task

if TYPE_CHECKING:
    from harden.data.dataset import Dataset
    from harden.graph.file import Model

AUTO = "auto"


@lru_cache
def tasks() -> tuple[type[Task], ...]:
    """All tasks, in the order in which they are asked whether a model and labels are theirs.

    Raises:
        SettingsError: A third party's task cannot be imported.
    """
    return tuple(sorted((_member(name) for name in TASKS), key=lambda task: (task.order, task.name)))


def _member(name: str) -> type[Task]:
    try:
        task: type[Task] = TASKS.module(name).Task
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"task {name} cannot be imported: {error}", fix="Mend or uninstall the package that brings it"
        ) from error
    task.name = name
    return task


def kind(name: str, model: Model, examples: Examples) -> type[Task]:
    """The task of this name, or for ``auto`` the first that suits the model and the labels.

    Raises:
        UnknownNameError: No task has this name.
        DataError: The task needs labels, and there are none; or no task suits.
    """
    if name == AUTO:
        task = next((task for task in tasks() if task.suits(examples, width(model))), None)
        if task is None:
            raise DataError(
                "no task suits these labels", where=examples.source, fix=f"Say --task {', '.join(TASKS.names())}"
            )
        return task
    _ = TASKS.module(name)  # names the nearest if there is none
    task = next(task for task in tasks() if task.name == name)
    if task.labelled and examples.labels is None:
        raise DataError(
            f"the task {name} needs labels, and there are none",
            where=examples.source,
            fix="Add labels, or use --objective match",
        )
    return task


def task_of(name: str, model: Model, data: Dataset) -> Task:
    """The task of a model on a data set; see :func:`kind`."""
    examples = Examples.of(data)
    return kind(name, model, examples)(model, examples)


def width(model: Model) -> int | None:
    """Numbers per example in the first output; None where the file does not say."""
    dims = model.proto.graph.output[0].type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in dims[1:]]
    return math.prod(sizes) if dims and all(sizes) else None


__all__ = ["AUTO", "Examples", "Scorer", "Scores", "Tally", "Task", "heads", "kind", "task_of", "tasks", "width"]
