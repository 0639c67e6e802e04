"""The way back: after a loss that exploded, and where memory did not suffice."""

from __future__ import annotations

import math

from harden.errors import DivergedError
from harden.memory import SMALLER, OutOfMemoryError
from harden.training.plan import TrainingPlan
from harden.training.snapshots import Snapshots

EXPLODED = 100.0  # times the first losses
SLOWER = 0.1  # the learning rate after a rollback


def exploded(loss: float, gradient: float, first: float) -> bool:
    """Whether a loss, or the 2-norm of its gradient, ends the training: not finite, or far above the first loss.

    Example:
        >>> exploded(2.0, 1.0, 2.3), exploded(500.0, 1.0, 2.3), exploded(float("nan"), 1.0, 2.3)
        (False, True, True)
    """
    if not (math.isfinite(loss) and math.isfinite(gradient)):
        return True
    return abs(loss) > EXPLODED * max(abs(first), 1.0)


def roll_back(snapshots: Snapshots, loss: float, plan: TrainingPlan) -> None:
    """Return to the last good moment, with a tenth of the learning rate; once.

    Args:
        snapshots: The run's.
        loss: The one that exploded.
        plan: The run's.

    Raises:
        DivergedError: It is not the first time, or nothing was trained yet.
    """
    state, good = snapshots.state, snapshots.good
    rate = plan.learning_rate * state.rate_scale
    if good is None:
        raise DivergedError(
            f"the loss is {loss:.4g} at the first step, before anything was trained",
            where=f"method {plan.method}",
            fix="Check the model, the data and its preprocessing: harden eval tells the clean accuracy and loss",
        )
    if state.rollbacks:
        snapshots.write(force=True)
        raise DivergedError(
            f"training diverged twice: the loss was {loss:.4g} at step {state.step + 1}, after a return to step "
            f"{state.rollbacks[0]['to']} with a tenth of the learning rate",
            where=f"method {plan.method}, learning rate {rate:g}",
            fix="Lower --lr, or lower the noise in training, with another --out; the last good checkpoint is kept",
        )
    event = {"step": state.step + 1, "loss": loss, "to": good.progress["step"], "lr": rate * SLOWER}
    snapshots.load(good)
    state.rate_scale = SLOWER
    state.rollbacks = [event]
    snapshots.decide(good)


def divide(snapshots: Snapshots, batch: int, processes: int = 1) -> None:
    """Memory did not suffice: go back to the last snapshot and work off a batch in twice as many parts.

    The step stays the same: the gradients of its parts are summed up. The decision is kept, so that a run that is
    resumed repeats it.

    Args:
        snapshots: The run's.
        batch: Examples per step.
        processes: How many share them.

    Raises:
        OutOfMemoryError: A part has two examples already.
    """
    state, start = snapshots.state, snapshots.good or snapshots.pending
    if start is None or 4 * state.parts > batch // processes:
        raise OutOfMemoryError(
            f"not enough memory for a step, not even in {state.parts} parts", where="training", fix=SMALLER
        )
    event = {"step": state.step + 1, "parts": 2 * state.parts, "batch_size": batch}
    snapshots.load(start)
    state.parts = event["parts"]
    state.divisions = [*state.divisions, event]
    snapshots.decide(start)
