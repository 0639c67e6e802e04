"""Signs that labels and answers do not belong together, for what a classifier says without noise."""

from __future__ import annotations

import numpy as np
from scipy import special
from scipy.optimize import linear_sum_assignment

_FEWEST = 20  # examples; fewer say nothing
_LIKELY = 1e-3  # how rare the answers must be for a network that knows nothing
_GAIN = 0.2  # by how much another numbering must be better
_PER_CLASS = 10  # examples a class, without which a numbering can be made up for any answers


def doubts(predicted: np.ndarray, labels: np.ndarray, outputs: int = 0) -> tuple[str, ...]:
    """What is odd about answers, in a clause each.

    A network that answers without looking is right for a share q = sum over classes of (share of its answers) x (share
    of the labels); below chance is what such a network would be with a probability of less than 1e-3.

    Args:
        predicted: [N] class of each example, -1 for none.
        labels: [N] class numbers.
        outputs: How many classes the network tells apart.

    Example:
        >>> doubts(np.arange(100) % 10, (np.arange(100) - 1) % 10)[0]
        'right answers are rarer than by chance (0.0% instead of 10.0%)'
    """
    count, classes = len(labels), int(max(predicted.max(), labels.max())) + 1
    found: list[str] = []
    if labels.min() == labels.max():
        found.append(f"all examples are of class {int(labels[0])} (sorted data, of which --limit takes the first?)")
    elif labels.max() + 1 < outputs:
        found.append(f"labels number {int(labels.max()) + 1} classes, and the network has {outputs}")
    if count < _FEWEST:
        return tuple(found)
    answers = np.bincount(predicted[predicted >= 0], minlength=classes)
    right, shares = int((predicted == labels).sum()), np.bincount(labels, minlength=classes) / count
    accuracy, chance = right / count, float((answers / count) @ shares)
    if answers.max() == count and shares.max() < 1:
        found.append(f"every example gets the same answer, class {int(answers.argmax())}")
    elif special.bdtr(right, count, chance) < _LIKELY:
        found.append(f"right answers are rarer than by chance ({100 * accuracy:.1f}% instead of {100 * chance:.1f}%)")
    shift, better = max(((step, float((predicted == labels + step).mean())) for step in (-1, 1)), key=lambda x: x[1])
    if better > accuracy + _GAIN:
        found.append(
            f"labels seem shifted by one: with 1 {'added to' if shift > 0 else 'taken from'} each, {100 * better:.1f}% "
            "of the answers would be right"
        )
    elif count >= _PER_CLASS * classes:
        table = np.zeros((classes, classes), np.int64)
        np.add.at(table, (labels[predicted >= 0], predicted[predicted >= 0]), 1)
        best = table[linear_sum_assignment(table, maximize=True)].sum() / count
        if best > accuracy + _GAIN and best > 2 * accuracy:
            found.append(
                f"classes seem numbered in another order: in the best, {100 * best:.1f}% of the answers would be right"
            )
    return tuple(found)
