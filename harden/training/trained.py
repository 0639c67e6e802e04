"""What a training gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from harden.graph.file import Model
from harden.training.plan import TrainingPlan


@dataclass(frozen=True)
class Selection:
    """What validation chips said of the weights at one step.

    Attributes:
        step: Steps done; 0 is the network as given.
        score: Mean over the chips; the larger, the better.
        measure: What the score is: ``accuracy``, ``balanced_accuracy`` or ``concordance``.
    """

    step: int
    score: float
    measure: str = "accuracy"

    def document(self) -> dict[str, float]:
        """For JSON: ``step``, and the score under the name of its measure."""
        return {"step": self.step, self.measure: self.score}

    @classmethod
    def read(cls, document: Mapping[str, float]) -> Selection:
        """The selection that a document holds.

        Example:
            >>> Selection.read({"step": 4, "concordance": 0.5})
            Selection(step=4, score=0.5, measure='concordance')
        """
        ((measure, score),) = ((name, value) for name, value in document.items() if name != "step")
        return cls(int(document["step"]), score, measure)


@dataclass(frozen=True)
class Trained:
    """The result of a training run.

    Attributes:
        model: The model with the selected weights.
        weights: Those weights by tensor name, batch-norm statistics included.
        history: One record per step: ``step``, ``loss``, ``lr`` and the method's named parts.
        validation: The selections in their order; the first is the network as given.
        selected_step: The step whose weights were chosen; 0 is the network as given.
        levers: What each lever did, by name.
        seconds: Time spent.
        plan: How the run trained in the end: the winner's plan where a search chose, the gentle one where a second try
            was kept.
    """

    model: Model
    weights: Mapping[str, Tensor]
    history: list[Mapping[str, float]]
    validation: list[Selection]
    selected_step: int
    levers: Mapping[str, Any]
    seconds: float
    plan: TrainingPlan

    @property
    def best_score(self) -> float:
        """The best score on validation chips, the network as given included."""
        return max(selection.score for selection in self.validation)
