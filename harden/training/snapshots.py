"""Where a run is, the way back when the loss explodes, and the checkpoint that survives the process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from harden.errors import DivergedError
from harden.memory import SMALLER, OutOfMemoryError
from harden.training.checkpoint import Snapshot, Tensors, write
from harden.training.plan import TrainingPlan
from harden.training.trained import Selection

EVERY = 50  # steps between snapshots, at most
SHARE = 40  # snapshots over a run, at least: two of them and a step are no more than 5% of a long run
WRITE_EVERY_S = 4.0  # seconds between checkpoints, at most; when they are written decides no number
LOSS_S = 10.0  # seconds of work that a kill may cost
PATIENCE = 30.0  # seconds of training for each second of writing, where a kill may cost so much
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


class Progress:
    """The state of a run that is no tensor, with its snapshots.

    Args:
        tensors: The live tensors.
        plan: Digest of the plan.
        file: Where checkpoints are kept, or None.
        total: Steps of the whole run.
    """

    def __init__(self, tensors: Tensors, plan: str, file: Path | None, total: int) -> None:
        self.step = 0
        self.rate_scale = 1.0
        self.rollbacks: list[dict[str, float]] = []
        self.parts = 1  # of a batch, one after the other
        self.divisions: list[dict[str, int]] = []
        self.halvings = 0  # of the batches of validation examples
        self.history: list[dict[str, Any]] = []
        self.validation: list[Selection] = []
        self.best: Mapping[str, Tensor] = {}
        self.best_step = 0
        self._best_score = -math.inf
        self._tensors, self._plan, self._file = tensors, plan, file
        self._every = max(1, min(EVERY, total // SHARE))
        self._judged = False
        self._good: Snapshot | None = None
        self._pending: Snapshot | None = None
        self._written = self._began = time.monotonic()
        self._cost_s = 0.0  # of the last write
        self._step_s = self._selection_s = 0.0  # of the last step and selection
        self._marked = self._written
        self._stored: Snapshot | None = None
        self._share = total / SHARE
        self._began_at = 0

    def advance(self, record: dict[str, Any]) -> None:
        """A step went well; so did the state that it started from."""
        self.step += 1
        self.history.append(record)
        self._step_s = self._since_mark()
        if self._pending is not None:
            self._good, self._pending = self._pending, None
            self._write()

    def selected(self, measure: str, score: float) -> None:
        """Validation chips judged the weights; of equals the later ones are kept."""
        self._judged = True
        self._selection_s = self._since_mark()
        self.validation.append(Selection(self.step, score, measure))
        if score >= self._best_score:
            self._best_score, self.best_step, self.best = score, self.step, self._tensors.network()

    def snapshot_if_due(self) -> None:
        """Remember this moment, every so many steps and after every selection, whose work would be lost, too."""
        self._since_mark()
        due = self.step % self._every == 0 or self._judged
        fresh = self._good is None or self._good.progress["step"] != self.step
        self._judged = False
        if due and fresh:
            self._pending = Snapshot(self._values(), self._tensors.copy(), self.best)

    def complete(self) -> None:
        """The last step and the last selection are done: what remains is no training, and starts from here."""
        self._pending = None
        if self._stored is not None and self._stored.progress == self._values():
            return  # resumed from this moment; writing it again would let a run that is killed soon get nowhere
        self._good = Snapshot(self._values(), self._tensors.copy(), self.best)
        self._write(force=True)

    def keep(self) -> None:
        """The run is being interrupted: write what is known to be good."""
        self._write(force=True)

    def fine(self, loss: float, gradient: float) -> bool:
        """Whether training may go on from this loss and this gradient's 2-norm."""
        return not exploded(loss, gradient, self.history[0]["loss"] if self.history else loss)

    def roll_back(self, loss: float, plan: TrainingPlan) -> None:
        """Return to the last good moment, with a tenth of the learning rate; once.

        Raises:
            DivergedError: It is not the first time.
        """
        rate = plan.learning_rate * self.rate_scale
        if self._good is None:
            raise DivergedError(
                f"the loss is {loss:.4g} at the first step, before anything was trained",
                where=f"method {plan.method}",
                fix="Check the model, the data and its preprocessing: harden eval tells the clean accuracy and loss",
            )
        if self.rollbacks:
            self._write(force=True)
            raise DivergedError(
                f"training diverged twice: the loss was {loss:.4g} at step {self.step + 1}, after a return to step "
                f"{self.rollbacks[0]['to']} with a tenth of the learning rate",
                where=f"method {plan.method}, learning rate {rate:g}",
                fix="Lower --lr, or lower the noise in training, with another --out; the last good checkpoint is kept",
            )
        event = {"step": self.step + 1, "loss": loss, "to": self._good.progress["step"], "lr": rate * SLOWER}
        self._load(self._good)
        self._pending = None
        self.rate_scale = SLOWER
        self.rollbacks = [event]
        self._good = Snapshot(self._values(), self._good.tensors, self._good.best)
        self._write(force=True)

    def divide(self, batch: int, processes: int = 1) -> None:
        """Memory did not suffice: go back to the last snapshot and work off a batch in twice as many parts.

        The step stays the same: the gradients of its parts are summed up. The decision is kept, so that a run that is
        resumed repeats it.

        Args:
            batch: Examples per step.
            processes: How many share them.

        Raises:
            OutOfMemoryError: A part has two examples already.
        """
        start = self._good or self._pending
        if start is None or 4 * self.parts > batch // processes:
            raise OutOfMemoryError(
                f"not enough memory for a step, not even in {self.parts} parts", where="training", fix=SMALLER
            )
        event = {"step": self.step + 1, "parts": 2 * self.parts, "batch_size": batch}
        self._load(start)
        self._pending = None
        self.parts = event["parts"]
        self.divisions = [*self.divisions, event]
        self._good = Snapshot(self._values(), start.tensors, start.best)
        self._write(force=True)

    def resume(self, snapshot: Snapshot) -> None:
        """Continue from a checkpoint."""
        self._load(snapshot)
        self._good = self._stored = snapshot
        self._began, self._began_at = time.monotonic(), self.step

    def report(self, listener: Callable[[int, int, float], None], total: int) -> None:
        """Tell how far the run is, and how long it will take at the pace so far."""
        pace = (time.monotonic() - self._began) / max(self.step - self._began_at, 1)
        listener(self.step, total, pace * (total - self.step))

    def _values(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "rate_scale": self.rate_scale,
            "rollbacks": list(self.rollbacks),
            "parts": self.parts,
            "divisions": list(self.divisions),
            "halvings": self.halvings,
            "history": list(self.history),
            "validation": [selection.document() for selection in self.validation],
            "best_step": self.best_step,
            "best_score": self._best_score,
        }

    def _load(self, snapshot: Snapshot) -> None:
        values = snapshot.progress
        self.step, self.rate_scale = values["step"], values["rate_scale"]
        self.rollbacks, self.history = list(values["rollbacks"]), list(values["history"])
        self.parts, self.divisions = values["parts"], list(values["divisions"])
        self.halvings = max(self.halvings, values["halvings"])
        self.validation = [Selection.read(document) for document in values["validation"]]
        self.best, self.best_step, self._best_score = snapshot.best, values["best_step"], values["best_score"]
        self._tensors.restore(snapshot.tensors)

    def _write(self, force: bool = False) -> None:
        if self._file is None or self._good is None or self._good is self._stored or not (force or self._due()):
            return
        began = time.monotonic()
        write(self._file, self._good, self._plan)
        self._written = self._marked = time.monotonic()
        self._cost_s, self._stored = self._written - began, self._good

    def _since_mark(self) -> float:
        """Seconds since this was last asked."""
        before, self._marked = self._marked, time.monotonic()
        return self._marked - before

    def _due(self) -> bool:
        """After some seconds; where writing is slow, before a kill would cost a twentieth of the steps."""
        passed = time.monotonic() - self._written
        # Lost with a selection and the step behind it: what is not stored when it begins, up to ``every`` steps (that
        # one among them) more than was found too little here.
        wait = min(WRITE_EVERY_S, LOSS_S - self._selection_s - self._every * self._step_s)
        steps = self._good.progress["step"] - (self._stored.progress["step"] if self._stored else 0)  # type: ignore[union-attr]
        return passed >= wait and (passed >= PATIENCE * self._cost_s or steps + self._every >= 2 * self._share)
