"""What carries a training run out: this process, several processes, a cluster, or a search over several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harden.training.listener import SILENT, Listener
from harden.training.plan import TrainingPlan
from harden.training.problem import Problem
from harden.training.trained import Trained


class Trainer(Protocol):
    """Trains on a problem by a plan; :func:`harden.training.loop.train` is the one that the others call."""

    def __call__(
        self, problem: Problem, plan: TrainingPlan, listener: Listener = SILENT, checkpoint: Path | None = None
    ) -> Trained:
        """Train, and select the weights that are best on validation chips.

        Args:
            problem: The network and the examples.
            plan: Everything else that decides the numbers.
            listener: Who is told how it goes on.
            checkpoint: A file to keep the run's state in; where it exists, the run continues from it.
        """
        ...
