"""One trial: draw a chip, open its session, run the data, score it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from harden.errors import HardenError
from harden.evaluation.copies import averaged_chip
from harden.evaluation.custom import WithMetrics
from harden.evaluation.input_feed import Feed
from harden.evaluation.layout import Layout
from harden.evaluation.periphery import EvaluationPeriphery
from harden.evaluation.plan import Condition, Task, TrialPlan
from harden.graph.analog import AnalogWeight
from harden.tasks import Scores


class CancelledError(HardenError):
    """The run was interrupted while this trial was under way."""


@dataclass(frozen=True)
class Trial:
    """One chip's outcome.

    Attributes:
        task: Which chip under which condition.
        record: The line for ``trials.jsonl``: no time and no path in it.
        scores: What the sums over chips need beyond the line.
    """

    task: Task
    record: Mapping[str, object]
    scores: Scores


class TrialRunner:
    """The function that an engine maps over tasks.

    Args:
        periphery: Opens the sessions.
        weights: Analog weights by key.
        feed: The data.
        scorer: How outputs become scores.
        plan: Conditions and seeds.
        layout: How many sessions may run at a time, and threads within each. A worker that has no slot draws its next
            chip and waits.
    """

    def __init__(
        self,
        periphery: EvaluationPeriphery,
        weights: Mapping[str, AnalogWeight],
        feed: Feed,
        scorer: WithMetrics,
        plan: TrialPlan,
        layout: Layout,
    ) -> None:
        self._periphery = periphery
        self._weights = weights
        self._feed = feed
        self._scorer = scorer
        self._plan = plan
        self._layout = layout
        self._slots = threading.Semaphore(layout.workers)
        self.cancelled = threading.Event()

    def __getstate__(self) -> dict[str, object]:
        """For a worker elsewhere; what this machine calibrated goes along, so that every worker has the same."""
        for condition in self._plan.conditions:
            if condition.profile.periphery.on:
                self._periphery.ranges(condition.profile.periphery)
        return {key: value for key, value in self.__dict__.items() if key not in ("_slots", "cancelled")}

    def __setstate__(self, state: dict[str, object]) -> None:
        """In a worker's process, which runs one trial at a time with one thread of torch."""
        self.__dict__.update(state)
        self._slots = threading.Semaphore(1)
        self.cancelled = threading.Event()
        torch.set_num_threads(1)

    def __call__(self, task: Task) -> Trial:
        """Run one trial."""
        condition = self._plan.conditions[task.condition]
        chip = draw_chip(condition, self._weights, seed=self._plan.seed, index=task.chip)
        session = self._periphery.session(
            condition.profile, chip, threads=self._layout.threads, seed=self._plan.seed, path=("chip", task.chip)
        )
        noise = relative_noise(self._weights, chip)
        tally = self._scorer.tally()
        with self._slots:
            for batch, count in self._feed:
                if self.cancelled.is_set():
                    raise CancelledError("interrupted")
                tally.add([output[:count] for output in session.run(*batch)])
        judged = tally.result()
        record = {
            **self._plan.identify(task),
            "accuracy": None,
            **judged.scores.values,
            **({"metrics": judged.metrics} if judged.metrics else {}),
            "rms_noise_relative": noise,
        }
        return Trial(task, record, judged.scores)


def draw_chip(
    condition: Condition, weights: Mapping[str, AnalogWeight], *, seed: int, index: int
) -> dict[str, torch.Tensor]:
    """The weights of virtual chip ``index`` under a condition."""
    return averaged_chip(condition.profile, weights, condition.copies, seed=seed, index=index, at_s=condition.time)


def relative_noise(weights: Mapping[str, AnalogWeight], chip: Mapping[str, torch.Tensor]) -> float:
    """sqrt(sum of squared deviations / sum of squared weights) over all analog weights of a chip; 0 for no weights."""

    def squares(tensor: torch.Tensor) -> float:
        return float(torch.linalg.vector_norm(tensor, dtype=torch.float64)) ** 2

    deviation = sum(squares(chip[k] - w.tensor.detach()) for k, w in weights.items())
    size = sum(squares(w.tensor.detach()) for w in weights.values())
    return float(np.sqrt(deviation / size)) if size else 0.0
