"""One class number for each example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harden.errors import DataError
from harden.methods.base import Outputs, listed
from harden.records.measure import ACCURACY
from harden.tasks import base
from harden.tasks._class_scores import ClassScorer, Reference
from harden.tasks._heads import Head
from harden.tasks._second_count import Figures, classified

if TYPE_CHECKING:
    from onnx import ModelProto


class Task(base.Task):
    r"""Classification: the first output scores the classes, and labels are class numbers [N].

    The output may be scores, log-probabilities or probabilities, with further axes of length one, or one number for two
    classes. The loss is the cross-entropy of the class probabilities; for one number that is the binary cross-entropy.
    """

    summary = "one class number for each example"
    order = 100
    measures = (ACCURACY,)
    selections: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy")

    @classmethod
    def suits(cls, examples: base.Examples, width: int | None) -> bool:
        """For class numbers, unless one number has to tell more than two classes apart."""
        return examples.classes > 0 and not (width == 1 and examples.classes > 2)

    def head_loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy with class numbers [B]."""
        return functional.cross_entropy(self.heads[0].logits(output), labels)

    def smoothed(self, outputs: Outputs, targets: Any, share: float) -> Tensor:
        r"""Cross-entropy with smoothed labels: :math:`(1 - a)\,H(y, z) + a\,H(1/C, z)`, mean over the batch."""
        labels, others = targets if isinstance(targets, tuple) else (targets, ())
        logits = self.heads[0].logits(listed(outputs)[0])
        loss = functional.cross_entropy(logits, labels, label_smoothing=share)
        return self._with_others(loss, others, listed(outputs)[1:])

    def head_divergence(self, reference: Tensor, output: Tensor, temperature: float) -> Tensor:
        """KL divergence of the class probabilities; see :func:`divergence`."""
        head = self.heads[0]
        return divergence(head.logits(reference), head.logits(output), temperature)

    def selection(self, measure: str, labels: Sequence[Tensor]) -> Callable[[], base.Selection]:
        """Share of right answers, or the mean recall of the classes.

        The recall is of the classes among the examples, to which rare ones then contribute as much as common ones, as
        far as they go.
        """
        shares = None
        if measure == "balanced_accuracy":
            # Right answers weighted with examples / (classes * examples of the class) have the mean recall as mean.
            counts = torch.bincount(torch.cat(list(labels))).double()
            shares = sum(map(len, labels)) / (int((counts > 0).sum()) * counts.clamp(min=1))
        return lambda: _Answers(self.heads[0], shares)

    def order_of(self, order: np.ndarray, measure: str, labels: np.ndarray | None) -> np.ndarray:
        """For the mean recall the classes take turns."""
        return class_by_class(order, np.asarray(labels)) if measure == "balanced_accuracy" else order

    def check(self, outputs: Sequence[np.ndarray]) -> None:
        """One score for each class, or one number for two classes.

        Where labels are numbers without names, the last of the network's classes may be missing; that is told.
        """
        examples, head = self.examples, self.heads[0]
        if not examples.classes:
            labels = np.asarray(examples.labels)
            raise DataError(
                f"labels of shape {list(labels.shape)} and type {labels.dtype} are not one class number per example",
                where=examples.source,
                fix="Labels of a classifier are class numbers 0..C-1, or names; for others there are --task multilabel "
                "and --task regression",
            )
        shape = outputs[head.index].shape
        width = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        if examples.classes == (2 if width == 1 else width) or (
            not examples.named and examples.classes <= max(width, 2)
        ):
            return
        labels = np.asarray(examples.labels)
        if not examples.named and labels.min() == 1 and examples.classes == max(width, 2) + 1:
            raise DataError(
                f"labels are 1 to {labels.max()}, and the model's first output '{head.name}' scores {max(width, 2)} "
                "classes, numbered from 0: the labels count from 1",
                where=examples.source,
                fix="Take 1 from each label",
            )
        raise DataError(
            f"the model's first output '{head.name}' has shape {list(shape)}, that is {width} numbers per example, but "
            f"{examples.source} has {examples.classes} classes: they are not logits of these classes",
            where=self.source,
            fix="Use the data the model was trained for, or harden fit --new-head, which gives it a last layer for "
            "yours",
        )

    def head_scorer(self, outputs: Sequence[np.ndarray]) -> ClassScorer:
        """Counts right answers, and more."""
        labels, head = np.asarray(self.examples.labels), self.heads[0]
        classes = max(self.examples.classes, int(np.prod(outputs[head.index].shape[1:])))
        return ClassScorer(Reference(labels, head, classes))

    def recounted(
        self, file: ModelProto, outputs: Sequence[np.ndarray], labels: np.ndarray | None
    ) -> tuple[Figures, Figures]:
        """Share of right answers, and the mean of the largest class probability."""
        return classified(file, outputs, np.asarray(labels))

    def same_answers(self, output: np.ndarray, scores: Any) -> float:
        """Share of the examples to which both give the same class."""
        z = self.heads[0].logits(torch.from_numpy(output)).numpy()
        count = min(len(z), len(scores.predicted))
        return float((z.argmax(1)[:count] == scores.predicted[:count]).mean())


class _Answers:
    """Share of right answers, each with its class's weight where there are weights."""

    def __init__(self, head: Head, shares: Tensor | None) -> None:
        self._head, self._shares = head, shares
        self._sum, self._count = 0.0, 0

    def add(self, outputs: Outputs, targets: Any, examples: int) -> None:
        """Take the next batch."""
        labels = targets[0] if isinstance(targets, tuple) else targets
        right = (self._head.logits(listed(outputs)[0]).argmax(-1) == labels).double()
        if self._shares is not None:
            right = right.to(self._shares) * self._shares[labels.to(self._shares.device)]
        self._sum += float(right.mean()) * examples
        self._count += examples

    def value(self) -> float:
        """The score of what was added."""
        return self._sum / self._count


def divergence(reference: Tensor, outputs: Tensor, temperature: float = 1.0) -> Tensor:
    r"""KL divergence of two networks' class probabilities.

    Equation: :math:`T^2 \, \mathrm{KL}(\mathrm{softmax}(r/T) \| \mathrm{softmax}(z/T))`, mean over the batch; the
    factor keeps the gradient's size independent of the temperature (Hinton et al., arXiv 1503.02531).

    Args:
        reference: Logits [B, C].
        outputs: Logits [B, C].
        temperature: Above 0.

    Example:
        >>> divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])).item()
        0.0
    """
    log_p = functional.log_softmax(reference / temperature, -1)
    log_q = functional.log_softmax(outputs / temperature, -1)
    return temperature**2 * functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def class_by_class(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """An order of examples in which the classes take turns: the first of each, the second of each, ...

    Example:
        >>> class_by_class(np.array([4, 0, 1, 2, 3]), np.array([0, 0, 0, 1, 0])).tolist()
        [4, 3, 0, 1, 2]
    """
    ranks = np.empty(len(order), np.int64)
    classes = labels[order]
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        ranks[members] = np.arange(len(members))
    return order[np.argsort(ranks, kind="stable")]
