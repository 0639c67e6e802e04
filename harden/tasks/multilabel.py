"""Any number of classes for each example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harden.errors import DataError
from harden.methods.base import Outputs, listed
from harden.records.measure import Measure
from harden.tasks import base
from harden.tasks._figures import FigureScorer, FigureSelection, measure_of
from harden.tasks._heads import Head

MAP = Measure(name="mean_average_precision", title="mean average precision", better="more", rate=True)
MICRO = Measure(name="micro_f1", title="micro F1", better="more", rate=True)
MACRO = Measure(name="macro_f1", title="macro F1", better="more", rate=True)


class Task(base.Task):
    """Several classes at a time: the first output has a number for each class, and labels are 0 and 1, [N, C].

    The loss is the binary cross-entropy, mean over classes; a number above 0 (a probability above 1/2) names its class.
    """

    summary = "any number of classes for each example"
    order = 150
    measures = (MAP, MICRO, MACRO)
    selections: ClassVar[tuple[str, ...]] = ("mean_average_precision", "micro_f1", "macro_f1")

    @classmethod
    def suits(cls, examples: base.Examples, width: int | None) -> bool:
        """For rows of zeros and ones that are not all one-hot."""
        labels = examples.labels
        return labels is not None and labels.ndim == 2 and labels.shape[1] > 1 and bool(np.isin(labels, (0, 1)).all())

    def head_loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy, mean over classes."""
        z = _logits(self.heads[0], output)
        return functional.binary_cross_entropy_with_logits(z, labels.to(z))

    def smoothed(self, outputs: Outputs, targets: Any, share: float) -> Tensor:
        """The same with a share of every label moved to 1/2."""
        labels, others = targets if isinstance(targets, tuple) else (targets, ())
        soft = labels.to(listed(outputs)[0]) * (1 - share) + share / 2
        return self._with_others(self.head_loss(listed(outputs)[0], soft), others, listed(outputs)[1:])

    def head_divergence(self, reference: Tensor, output: Tensor, temperature: float) -> Tensor:
        """KL divergence of each class's probability, mean over classes, as for classification."""
        a, b = (_logits(self.heads[0], part) / temperature for part in (reference, output))
        p = a.sigmoid()
        rows = p * (functional.logsigmoid(a) - functional.logsigmoid(b))
        rows = rows + (1 - p) * (functional.logsigmoid(-a) - functional.logsigmoid(-b))
        return temperature**2 * rows.mean()

    def selection(self, measure: str, labels: Sequence[Tensor]) -> Callable[[], base.Selection]:
        """The figure on validation examples."""
        head = self.heads[0]

        def of(answers: np.ndarray, truth: np.ndarray) -> Mapping[str, float | None]:
            return figures(_logits(head, torch.from_numpy(answers)).numpy(), truth)

        return lambda: FigureSelection(of, measure_of(self.measures, measure))

    def check(self, outputs: Sequence[np.ndarray]) -> None:
        """As many numbers per example as classes."""
        labels, shape = np.asarray(self.examples.labels), outputs[self.heads[0].index].shape
        width = int(np.prod(shape[1:]))
        if labels.ndim != 2 or width != labels.shape[1] or not np.isin(labels, (0, 1)).all():
            raise DataError(
                f"the output '{self.heads[0].name}' has {width} numbers per example, and labels of "
                f"{self.examples.source} are {list(labels.shape)}",
                where=self.source,
                fix="Labels of several classes at a time are 0 and 1, one column for each number of the output",
            )

    def head_scorer(self, outputs: Sequence[np.ndarray]) -> FigureScorer:
        """F1 and average precision of the classes."""
        head = self.heads[0]

        def of(answers: np.ndarray, truth: np.ndarray) -> Mapping[str, float | None]:
            return figures(_scores(head, answers), truth)

        return FigureScorer(head, np.asarray(self.examples.labels), of, self.measures)


def figures(scores: np.ndarray, labels: np.ndarray) -> Mapping[str, float | None]:
    """Mean average precision, micro F1 and macro F1; a class without examples counts in the micro F1 only.

    Average precision is the mean, over the examples of a class, of the precision among all that score at least as much.
    A score that is not finite is the lowest.

    Args:
        scores: [N, C]; above 0 names the class.
        labels: [N, C] of 0 and 1.

    Example:
        >>> found = figures(np.array([[1.0], [2.0], [-1.0]]), np.array([[1], [0], [1]]))
        >>> found["micro_f1"], round(found["mean_average_precision"], 3)  # (1/2 + 2/3) / 2
        (0.5, 0.583)
    """
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    truth, named = labels.astype(bool), scores > 0
    hits, said, are = (part.sum(axis=0) for part in (truth & named, named, truth))
    present = are > 0
    f1 = 2 * hits[present] / (said + are)[present]
    precisions = [_average_precision(scores[:, k], truth[:, k]) for k in np.flatnonzero(present)]
    return {
        "mean_average_precision": float(np.mean(precisions)) if precisions else None,
        "micro_f1": float(2 * hits.sum() / max(said.sum() + are.sum(), 1)),
        "macro_f1": float(f1.mean()) if len(f1) else None,
    }


def _average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    order = np.argsort(-scores, kind="stable")
    ordered, right = scores[order], truth[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # examples of one score are taken together
    hits, taken = right.cumsum()[last], np.arange(1, len(order) + 1)[last]
    return float((np.diff(hits, prepend=0) * hits / taken).sum() / truth.sum())


def _logits(head: Head, value: Tensor) -> Tensor:
    """Numbers whose sigmoid are the probabilities of the classes, from what training reads."""
    z = value.reshape(len(value), -1)
    return z if head.argument is not None or head.meaning == "scores" else torch.logit(z, eps=1e-7)


def _scores(head: Head, output: np.ndarray) -> np.ndarray:
    """Numbers above 0 where a class is named, in the order of the probabilities, from what the file gives."""
    return output if head.meaning == "scores" else output - 0.5
