"""The outputs of the network as given are right: for any graph, any number of outputs, without labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from harden.methods.base import Outputs, listed
from harden.records.measure import CONCORDANCE
from harden.tasks import base
from harden.tasks._concordance import Concordance, relative_error
from harden.tasks._distance import FidelityScorer
from harden.tasks._second_count import Figures, unlabelled

if TYPE_CHECKING:
    from onnx import ModelProto


class Task(base.Task):
    """Matching: every output is compared with what the network as given says without noise.

    The loss is the squared error relative to the reference's own spread, mean over outputs: 0 is equality, and an
    output that is constant where the reference varies scores 1 or more.
    """

    summary = "the outputs of the network as given, without labels"
    order = 900
    measures = (CONCORDANCE,)
    selections: ClassVar[tuple[str, ...]] = ("concordance",)
    labelled = False

    @classmethod
    def suits(cls, examples: base.Examples, width: int | None) -> bool:
        """For examples without labels."""
        return examples.labels is None

    @property
    def needs_clean(self) -> bool:
        """Its outputs are the targets."""
        return True

    def targets(self, labels: Tensor | None, clean: Outputs | None) -> Any:
        """What the clean network says."""
        return clean

    def loss(self, outputs: Outputs, targets: Any) -> Tensor:
        """Distance from the reference outputs."""
        return self.divergence(targets, outputs)

    def smoothed(self, outputs: Outputs, targets: Any, share: float) -> Tensor:
        """There are no labels to smooth."""
        return self.loss(outputs, targets)

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """Relative squared error, mean over outputs; ``temperature`` has no meaning here."""
        return apart(reference, outputs)

    def selection(self, measure: str, labels: Sequence[Tensor]) -> Callable[[], base.Selection]:
        """The concordance with the clean network's outputs, mean over outputs; at most 1."""
        return _Agreement

    def scorer(self, outputs: Sequence[np.ndarray], folder: Path) -> FidelityScorer:
        """Compares all outputs with those of the network as given."""
        return FidelityScorer(self.heads, outputs, len(self.examples), folder)

    def recounted(
        self, file: ModelProto, outputs: Sequence[np.ndarray], labels: np.ndarray | None
    ) -> tuple[Figures, Figures]:
        """How large the outputs are."""
        return unlabelled(outputs)


def apart(reference: Outputs, outputs: Outputs) -> Tensor:
    """Relative squared error of floating-point outputs, mean over them."""
    pairs = zip(listed(reference), listed(outputs), strict=True)
    return torch.stack([relative_error(a, b) for a, b in pairs if a.is_floating_point()]).mean()


class _Agreement:
    """Concordance with the reference, mean over outputs."""

    def __init__(self) -> None:
        self._concordances: dict[int, Concordance] = {}

    def add(self, outputs: Outputs, targets: Any, examples: int) -> None:
        """Take the next batch."""
        for number, (a, b) in enumerate(zip(listed(targets), listed(outputs), strict=True)):
            if not a.is_floating_point():
                continue
            by_example = a.dim() > 0 and len(a) == examples  # else each number stands for itself
            pair = (a, b) if by_example else (a.reshape(-1, 1), b.reshape(-1, 1))
            self._concordances.setdefault(number, Concordance()).add(*pair)

    def value(self) -> float:
        """The mean of what was added."""
        return sum(each.value() for each in self._concordances.values()) / len(self._concordances)
