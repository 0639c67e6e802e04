"""The moments of a run that it can go back to, and the checkpoint that survives the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from harden import pacing
from harden.training.checkpoint import Snapshot, Tensors, write
from harden.training.state import RunState


class Snapshots:
    """Remembers a run's state every so many steps, and writes what is known to be good every few seconds.

    Args:
        state: The run's.
        tensors: The live tensors.
        plan: Digest of the plan.
        file: Where checkpoints are kept, or None.
        total: Steps of the whole run.

    Attributes:
        state: As given.
        good: The last moment that a step went well from; None before the first step.
        pending: A moment that no step has gone well from yet.
    """

    def __init__(self, state: RunState, tensors: Tensors, plan: str, file: Path | None, total: int) -> None:
        self.state, self._tensors, self._plan, self._file = state, tensors, plan, file
        self._total, self._pacing = total, pacing.current()
        self._every = max(1, min(self._pacing.snapshot_steps, total // self._pacing.snapshots))
        self._judged = False
        self.good: Snapshot | None = None
        self.pending: Snapshot | None = None
        self._written = self._began = time.monotonic()
        self._cost_s = 0.0  # of the last write
        self._step_s = self._selection_s = 0.0  # of the last step and selection
        self._marked = self._written
        self._stored: Snapshot | None = None
        self._began_at = 0

    def advance(self, record: Mapping[str, float]) -> None:
        """A step went well; so did the state that it started from."""
        self.state.step += 1
        self.state.history.append(record)
        self._step_s = self._since_mark()
        if self.pending is not None:
            self.good, self.pending = self.pending, None
            self.write()

    def selected(self, measure: str, score: float) -> None:
        """Validation chips judged the weights."""
        self._judged = True
        self._selection_s = self._since_mark()
        self.state.selected(measure, score, self._tensors.network)

    def take_if_due(self) -> None:
        """Remember this moment, every so many steps and after every selection, whose work would be lost, too."""
        self._since_mark()
        due = self.state.step % self._every == 0 or self._judged
        fresh = self.good is None or self.good.progress["step"] != self.state.step
        self._judged = False
        if due and fresh:
            self.pending = self._take()

    def complete(self) -> None:
        """The last step and the last selection are done: what remains is no training, and starts from here."""
        self.pending = None
        if self._stored is not None and self._stored.progress == self.state.values():
            return  # resumed from this moment; writing it again would let a run that is killed soon get nowhere
        self.good = self._take()
        self.write(force=True)

    def resume(self, snapshot: Snapshot) -> None:
        """Continue from a checkpoint."""
        self.load(snapshot)
        self.good = self._stored = snapshot
        self._began, self._began_at = time.monotonic(), self.state.step

    def load(self, snapshot: Snapshot) -> None:
        """Go back to a moment."""
        self.state.load(snapshot.progress, snapshot.best)
        self._tensors.restore(snapshot.tensors)
        self.pending = None

    def decide(self, start: Snapshot) -> None:
        """Keep a decision about how the run goes on from a moment to which it went back."""
        self.good = Snapshot(self.state.values(), start.tensors, start.best)
        self.write(force=True)

    def report(self, listener: Callable[[int, int, float], None]) -> None:
        """Tell how far the run is, and how long it will take at the pace so far."""
        pace = (time.monotonic() - self._began) / max(self.state.step - self._began_at, 1)
        listener(self.state.step, self._total, pace * (self._total - self.state.step))

    def write(self, force: bool = False) -> None:
        """Write what is known to be good, where it is due, or at once."""
        if self._file is None or self.good is None or self.good is self._stored or not (force or self._due(self.good)):
            return
        began = time.monotonic()
        write(self._file, self.good, self._plan)
        self._written = self._marked = time.monotonic()
        self._cost_s, self._stored = self._written - began, self.good

    def _take(self) -> Snapshot:
        return Snapshot(self.state.values(), self._tensors.copy(), self.state.best)

    def _since_mark(self) -> float:
        """Seconds since this was last asked."""
        before, self._marked = self._marked, time.monotonic()
        return self._marked - before

    def _due(self, good: Snapshot) -> bool:
        """After some seconds; where writing is slow, before a kill would cost a twentieth of the steps."""
        pace, passed = self._pacing, time.monotonic() - self._written
        # Lost with a selection and the step behind it: what is not stored when it begins, up to ``every`` steps (that
        # one among them) more than was found too little here.
        wait = min(pace.checkpoint_s, pace.loss_s - self._selection_s - self._every * self._step_s)
        steps = good.progress["step"] - (self._stored.progress["step"] if self._stored else 0)
        bearable = 2 * self._total / pace.snapshots
        return passed >= wait and (passed >= pace.patience * self._cost_s or steps + self._every >= bearable)
