"""Whether outputs have one row for each example, in the examples' order: found by running a few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harden.evaluation.input_feed import Feed
    from harden.runtime.sessions import Session
    from harden.tasks import Task

_EXAMPLES = 3  # of a batch that may have any size
_DIFFERENCE = 0.02  # of the largest number: far above what a kernel may make of another order


def check_rows(task: Task, session: Session, feed: Feed) -> list[np.ndarray]:
    """Run a few examples, and the same in reverse: each output's rows must be as many, and change places with them.

    Outputs without a row for each example are left out of the task, where it can do without; where the last batch of
    the feed would have one example, of which the graph makes no row (``squeeze``), it is filled up.

    Args:
        task: Its heads are what is looked at; those that are no rows are taken from it.
        session: The model.
        feed: The examples.

    Returns:
        The outputs for the first examples.

    Raises:
        DataError: An output that the task needs has no row for each example; names it and its axes.
    """
    count = feed.fixed or min(_EXAMPLES, feed.examples)
    index = np.arange(count) % feed.examples
    outputs, mirrored = session.run(*feed.take(index)), session.run(*feed.take(index[::-1]))
    faults: dict[str, str] = {}
    for head in task.heads:
        fault = _fault(outputs[head.index], mirrored[head.index], count)
        if fault:
            faults[head.name] = f"the output '{head.name}' {fault}"
    task.leave_out(faults)
    if not feed.fixed and feed.examples > feed.batch and feed.examples % feed.batch == 1:
        alone = session.run(*feed.take(index[:1]))
        feed.fill = any(alone[head.index].shape[:1] != (1,) for head in task.heads)
    return outputs


def _fault(output: np.ndarray, mirrored: np.ndarray, count: int) -> str:
    shape = list(output.shape)
    if output.shape[:1] != (count,):
        first = f"its axis 0 has length {shape[0]}" if shape else "it has no axes"
        return f"is {shape} for {count} examples, where a row for each is needed: {first}"
    if count < 2:
        return ""
    a, b = np.nan_to_num(output[::-1].astype(np.float64)), np.nan_to_num(mirrored.astype(np.float64))
    if a.shape == b.shape and np.abs(a - b).max(initial=0.0) <= _DIFFERENCE * np.abs(a).max(initial=0.0):
        return ""
    return f"is {shape}, and its rows along axis 0 are not those of the examples: these change places, and it does not"
