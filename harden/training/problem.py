"""What a training works on."""

from __future__ import annotations

from dataclasses import dataclass

from harden.data.dataset import Dataset
from harden.evaluation.input_feed import fitted
from harden.graph.file import Model


@dataclass(frozen=True)
class Problem:
    """A network, and the examples that it learns from and is selected by.

    Attributes:
        model: The network as given; no training changes it.
        training: Examples to learn from.
        validation: Examples to select by; disjoint from ``training``.
    """

    model: Model
    training: Dataset
    validation: Dataset

    def __post_init__(self) -> None:
        """Bring the examples into the layout and the types of the network's inputs."""
        for name in ("training", "validation"):
            object.__setattr__(self, name, fitted(self.model, getattr(self, name)))

    @property
    def identity(self) -> tuple[str, tuple[str, int], tuple[str, int]]:
        """Digests of the network and the data, and how many examples there are: equal for equal problems."""
        data, validation = self.training, self.validation
        return self.model.sha256, (data.sha256, len(data)), (validation.sha256, len(validation))
