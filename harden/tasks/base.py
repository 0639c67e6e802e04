"""The contract of a task: what a network is for, and everything that depends on it.

A task is one file with one class ``Task`` that derives from :class:`Task` here. It says what the outputs mean, the loss
and the divergence that training uses, the figures of a chip and which way each is better, what decides among
checkpoints, and what the labels look like. Training, selection, evaluation and the analyses ask the object; nothing
else knows one task from another.

Shape letters: B batch, C classes, N examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from harden.errors import DataError, SettingsError
from harden.methods.base import Outputs, listed
from harden.records.measure import ACCURACY, Measure
from harden.tasks._concordance import relative_error
from harden.tasks._distance import FidelityScorer, WithOthers
from harden.tasks._heads import Head, heads
from harden.tasks._scoring import Columns, Scorer, Scores, Sums, Tally, spread
from harden.tasks._second_count import Figures

if TYPE_CHECKING:
    from onnx import ModelProto

    from harden.data.dataset import Dataset
    from harden.graph.file import Model


class Selection(Protocol):
    """A score of outputs on validation examples, from batches."""

    def add(self, outputs: Outputs, targets: Any, examples: int) -> None:
        """Take the next batch, of so many examples."""
        ...

    def value(self) -> float:
        """The score of what was added; more is better."""
        ...


@dataclass(frozen=True)
class Examples:
    """What a task is told of the examples.

    Attributes:
        count: N.
        labels: [N] or [N, ...], or None.
        source: What messages call them.
        classes: How many classes the labels number; 0 where they number none.
        named: Whether the classes have names.
    """

    count: int
    labels: np.ndarray | None
    source: str
    classes: int = 0
    named: bool = False

    @classmethod
    def of(cls, data: Dataset) -> Examples:
        """Those of a data set."""
        return cls(len(data), data.labels, str(data.source), data.classes, data.class_names is not None)

    def __len__(self) -> int:
        return self.count


class Task:
    """What a network is for: a model, and the examples it is judged by.

    Class attributes:
        name: The file's name; the registry sets it.
        summary: One line for the documents and ``harden inspect``.
        order: Its place among those that are asked whether a model and labels are theirs; the first that says so is it.
        measures: The figures of a chip that may be a headline, the default first.
        selections: What may decide among checkpoints, the default first.
        labelled: Whether it needs labels.

    Attributes:
        heads: The outputs that say something of an example.

    Args:
        model: The model.
        examples: What it is judged by.

    Raises:
        DataError: The labels, or the outputs, are not of this task.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    order: ClassVar[int] = 1000
    measures: ClassVar[tuple[Measure, ...]] = (ACCURACY,)
    selections: ClassVar[tuple[str, ...]] = ("accuracy",)
    labelled: ClassVar[bool] = True

    def __init__(self, model: Model, examples: Examples) -> None:
        self.source, self.examples = str(model.source), examples
        self.heads = self.answers(heads(model))
        if not self.heads:
            raise DataError(
                "no output of the model holds floating-point numbers that depend on an input",
                where=self.source,
                fix="Export the model with such an output",
            )

    @classmethod
    def suits(cls, examples: Examples, width: int | None) -> bool:
        """Whether a model and labels are of this task, if nobody says what they are.

        Args:
            examples: The examples, with labels where there are any.
            width: Numbers per example in the first output; None where the file does not say.
        """
        raise TypeError(f"{cls.__module__} does not define suits")

    def answers(self, heads: tuple[Head, ...]) -> tuple[Head, ...]:
        """The heads that count, of those that the model has; the first is the one with labels."""
        return heads

    def leave_out(self, faults: Mapping[str, str]) -> None:
        """Go on without the heads that have no row for each example.

        Args:
            faults: What is wrong with a head, in words, by its name.

        Raises:
            DataError: The head with labels is among them or, without labels, all are.
        """
        needed = self.heads[:1] if self.labelled else self.heads
        if all(head.name in faults for head in needed):
            raise DataError(
                "; ".join(faults[head.name] for head in needed),
                where=self.source,
                fix="Export the model with the examples on axis 0 of its inputs and outputs (batch_first=True of a "
                "recurrent network), and without squeezing that axis away",
            )
        self.heads = tuple(head for head in self.heads if head.name not in faults)

    # Training, in torch.

    @property
    def outputs(self) -> tuple[str, ...]:
        """The values of the graph that a network in training gives, in the order of the heads."""
        return tuple(head.value for head in self.heads)

    @property
    def needs_clean(self) -> bool:
        """Whether targets hold what the network as given says."""
        return len(self.heads) > 1

    def targets(self, labels: Tensor | None, clean: Outputs | None) -> Any:
        """What is right for a batch: its labels, and what the clean network says of what has none."""
        return labels if clean is None or len(self.heads) < 2 else (labels, listed(clean)[1:])

    def loss(self, outputs: Outputs, targets: Any) -> Tensor:
        """Scalar, mean over the batch: that of the first head, and how far the others are from the clean network's."""
        labels, others = targets if isinstance(targets, tuple) else (targets, ())
        return self._with_others(self.head_loss(listed(outputs)[0], labels), others, listed(outputs)[1:])

    def smoothed(self, outputs: Outputs, targets: Any, share: float) -> Tensor:
        """The same with a share of every label spread over all classes.

        Raises:
            SettingsError: The task has no classes.
        """
        raise SettingsError(
            f"label smoothing spreads a label over classes, and the task {self.name} has none",
            where="--label-smoothing",
            fix="Leave it out",
        )

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """How far outputs are from a reference's: scalar, >= 0, mean over the batch."""
        first, *others = listed(reference)
        own, *rest = listed(outputs)
        return self._with_others(self.head_divergence(first, own, temperature), others, rest)

    def head_loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """The loss of the first head."""
        raise TypeError(f"{type(self).__module__} does not define head_loss")

    def head_divergence(self, reference: Tensor, output: Tensor, temperature: float) -> Tensor:
        """The divergence of the first head."""
        return relative_error(reference, output)

    @classmethod
    def selected(cls, measure: str) -> str:
        """The measure that decides among checkpoints, by its name in ``--select``; ``auto`` is the task's own.

        Raises:
            SettingsError: The task has no such measure.
        """
        if measure == "auto":
            return cls.selections[0]
        if measure not in cls.selections:
            raise SettingsError(
                f"the task {cls.name} cannot select by {measure}",
                where="--select",
                fix=f"Give {' or '.join(cls.selections)}",
            )
        return measure

    def selection(self, measure: str, labels: Sequence[Tensor]) -> Callable[[], Selection]:
        """What makes scores for the selection.

        Args:
            measure: One of ``selections``.
            labels: Those of all validation examples, in batches.
        """
        raise TypeError(f"{type(self).__module__} does not define selection")

    def order_of(self, order: np.ndarray, measure: str, labels: np.ndarray | None) -> np.ndarray:
        """The order in which validation examples, with these labels, are taken until there are enough."""
        return order

    @staticmethod
    def _with_others(loss: Tensor, reference: Sequence[Tensor], outputs: Sequence[Tensor]) -> Tensor:
        """A loss of the first head, and the mean relative error of the others, where there is a reference for them."""
        if not reference:
            return loss
        pairs = zip(reference, outputs, strict=True)
        return loss + torch.stack([relative_error(a, b) for a, b in pairs]).mean()

    # Evaluation, in numpy.

    def check(self, outputs: Sequence[np.ndarray]) -> None:
        """Refuse a model whose outputs for a few examples are not what the task needs.

        Raises:
            DataError: Says what they are and what they should be.
        """

    def scorer(self, outputs: Sequence[np.ndarray], folder: Path) -> Scorer:
        """What scores chips.

        Args:
            outputs: The model's outputs for a few examples.
            folder: A place for what does not fit in memory; it outlives the scorer.

        Raises:
            DataError: The outputs are not what the task needs.
        """
        self.check(outputs)
        first, others = self.head_scorer(outputs), self.heads[1:]
        return WithOthers(first, FidelityScorer(others, outputs, len(self.examples), folder)) if others else first

    def head_scorer(self, outputs: Sequence[np.ndarray]) -> Scorer:
        """What scores the first head."""
        raise TypeError(f"{type(self).__module__} does not define head_scorer")

    def recounted(
        self, file: ModelProto, outputs: Sequence[np.ndarray], labels: np.ndarray | None
    ) -> tuple[Figures, Figures] | None:
        """The figures of some examples counted a second time, in a few lines that share no code with the scorer.

        What the two counts say is compared before anything is reported; see :mod:`harden.evaluation.recount`.

        Args:
            file: The model.
            outputs: What it gives without noise, all of it.
            labels: The labels, as the source has them.

        Returns:
            Figures by the names that the scores have for them, and by how much each may differ; None counts nothing.
        """
        return None

    def same_answers(self, output: np.ndarray, scores: Scores) -> float:
        """Share of the first examples for which torch's first head and ONNX Runtime's scores say the same."""
        return 1.0


__all__ = ["Columns", "Examples", "Scorer", "Scores", "Selection", "Sums", "Tally", "Task", "spread"]
