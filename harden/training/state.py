"""Where a run is: all of its state that is no live tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from torch import Tensor

from harden.training.trained import Selection


class Progress(TypedDict):
    """A run's state but for the weights, as its checkpoint keeps it; see :class:`RunState`."""

    step: int
    rate_scale: float
    rollbacks: list[dict[str, float]]
    parts: int
    divisions: list[dict[str, int]]
    halvings: int
    history: list[Mapping[str, float]]
    validation: list[dict[str, float]]
    best_step: int
    best_score: float


@dataclass
class RunState:
    """What a run knows of itself between two steps.

    Attributes:
        step: Steps done.
        rate_scale: What the learning rate is multiplied with.
        rollbacks: The returns after a loss that exploded.
        parts: Of a batch, one after the other.
        divisions: When memory did not suffice for a part.
        halvings: Of the batches of validation examples.
        history: One record per step.
        validation: The selections in their order.
        best_step: The step whose weights did best on validation chips; of equals the later one.
        best_score: Their score.
        best: These weights, batch-norm statistics included.
    """

    step: int = 0
    rate_scale: float = 1.0
    rollbacks: list[dict[str, float]] = field(default_factory=list)
    parts: int = 1
    divisions: list[dict[str, int]] = field(default_factory=list)
    halvings: int = 0
    history: list[Mapping[str, float]] = field(default_factory=list)
    validation: list[Selection] = field(default_factory=list)
    best_step: int = 0
    best_score: float = -math.inf
    best: Mapping[str, Tensor] = field(default_factory=dict)

    def selected(self, measure: str, score: float, weights: Callable[[], Mapping[str, Tensor]]) -> None:
        """Validation chips judged the weights, of which a copy is kept if they are the best; of equals the later."""
        self.validation.append(Selection(self.step, score, measure))
        if score >= self.best_score:
            self.best_score, self.best_step, self.best = score, self.step, weights()

    def values(self) -> Progress:
        """For JSON: everything but the weights."""
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
            "best_score": self.best_score,
        }

    def load(self, values: Progress, best: Mapping[str, Tensor]) -> None:
        """Go back, or on, to these values and these best weights."""
        self.step, self.rate_scale = values["step"], values["rate_scale"]
        self.rollbacks, self.history = list(values["rollbacks"]), list(values["history"])
        self.parts, self.divisions = values["parts"], list(values["divisions"])
        self.halvings = max(self.halvings, values["halvings"])
        self.validation = [Selection.read(document) for document in values["validation"]]
        self.best, self.best_step, self.best_score = best, values["best_step"], values["best_score"]
