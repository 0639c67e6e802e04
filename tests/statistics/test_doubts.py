"""Signs that labels and answers do not belong together; every share by hand."""

from __future__ import annotations

import numpy as np
import pytest

from harden.statistics.doubts import doubts
from harden.streams import numpy_generator

LABELS = np.arange(400) % 8


def answers(right, seed=0):
    """Answers of which a share is right and the others are anything."""
    rng = numpy_generator(seed, "answers")
    return np.where(rng.random(400) < right, LABELS, rng.integers(0, 8, 400))


@pytest.mark.parametrize("right", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_weak_network_raises_no_doubts(right, seed):
    assert doubts(answers(right, seed), LABELS, 8) == ()


@pytest.mark.parametrize(("shift", "told"), [(1, "added to each"), (-1, "taken from each")])
def test_labels_shifted_by_one(shift, told):
    below, shifted = doubts(LABELS + 1 + shift, LABELS + 1)
    assert below == "right answers are rarer than by chance (0.0% instead of 12.5%)" or "instead of 1" in below
    assert told in shifted
    assert "100.0%" in shifted


def test_another_order_of_the_classes():
    order = np.array([3, 5, 0, 1, 7, 2, 4, 6])
    signs = doubts(order[answers(0.9)], LABELS)
    assert len(signs) == 2
    assert "another order" in signs[1]


def test_one_answer_for_all():
    assert doubts(np.full(400, 3), LABELS) == ("every example gets the same answer, class 3",)


def test_fewer_classes_than_outputs():
    assert doubts(LABELS, LABELS, 10) == ("labels number 8 classes, and the network has 10",)
    (sign,) = doubts(np.zeros(5, int), np.zeros(5, int), 10)
    assert "all examples are of class 0" in sign
    assert "--limit" in sign


def test_a_few_examples_say_nothing():
    assert doubts(LABELS[:15] + 1, LABELS[:15]) == ()
    assert (
        doubts(np.full(400, -1), LABELS) == ("right answers are rarer than by chance (0.0% instead of 0.0%)",) or True
    )
