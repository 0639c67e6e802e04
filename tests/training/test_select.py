"""Choosing by balanced accuracy: rare classes count as much as common ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys

from harden.data import Dataset, Preprocess
from harden.evaluation.plan import Condition
from harden.noise.profile import Profile
from harden.statistics.metrics import confusion_scores
from harden.tasks.classification import class_by_class
from harden.training.plan import TrainingPlan
from harden.training.selection import Selector

LABELS = np.array([0] * 90 + [1] * 9 + [3])


class _Answers(torch.nn.Module):
    """Answers what stands in the first of three inputs; class 2 never occurs."""

    def analog_weights(self, digital):
        return {}

    def forward(self, x, weights=None):
        return torch.nn.functional.one_hot(x[:, 0].long(), 4).float()


def _selector(answers, **plan):
    values = np.stack([answers, answers, answers], axis=1).astype(np.float32)
    data = Dataset.from_arrays(values, LABELS, Preprocess((0,), (1,)))
    conditions = (Condition(Profile.parse("gaussian:sigma=0.1")),)
    return Selector(_Answers(), data, TrainingPlan(conditions=conditions, **plan), toys.labels())


def test_always_answering_the_common_class_is_accurate_but_not_balanced():
    common = np.zeros(100)
    assert _selector(common).score() == pytest.approx(0.9)
    chosen = _selector(common, select="balanced_accuracy")
    assert chosen.measure == "balanced_accuracy"
    assert chosen.score() == pytest.approx(1 / 3)


def test_it_is_the_evaluators_balanced_accuracy_also_in_halves():
    answers = np.random.RandomState(0).randint(0, 4, 100)
    selector = _selector(answers, select="balanced_accuracy")
    expected = confusion_scores(answers, LABELS, 4)["balanced_accuracy"]
    assert selector.score() == pytest.approx(expected)
    assert selector.divide()
    assert selector.score() == pytest.approx(expected)


def test_rare_classes_are_among_few_examples():
    few = _selector(LABELS, select="balanced_accuracy", selection_examples=7)
    assert [int((few._targets[0] == label).sum()) for label in (0, 1, 3)] == [3, 3, 1]
    assert few.score() == pytest.approx(1.0)


def test_classes_take_turns():
    assert sorted(class_by_class(np.arange(100), LABELS).tolist()) == list(range(100))


class _Says(torch.nn.Module):
    """Says what the function makes of the input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def analog_weights(self, digital):
        return {}

    def forward(self, x, weights=None):
        return self.function(x)


def _matching(said, right=None):
    values = np.random.RandomState(0).normal(0, 1, (300, 3)).astype(np.float32)
    data = Dataset.from_arrays(values, None, Preprocess((0,), (1,)))
    plan = TrainingPlan(conditions=(Condition(Profile.parse("gaussian:sigma=0.1")),), objective="match")
    return Selector(_Says(said), data, plan, toys.matching(), _Says(right or (lambda x: x)))


def test_without_labels_a_network_that_always_says_the_same_is_no_match():
    loud, silent = _matching(lambda x: x + 3 * x.flip(0)), _matching(torch.zeros_like)
    assert loud.measure == "concordance"
    assert silent.score() == pytest.approx(0, abs=0.01)
    assert loud.score() > 0.1  # although its squared error is nine times that of silence
    assert _matching(lambda x: x).score() == pytest.approx(1)


def test_without_labels_halves_make_no_difference():
    selector = _matching(lambda x: x + x.flip(1))
    expected = selector.score()
    while selector.divide():
        assert selector.score() == pytest.approx(expected)


def test_without_labels_an_output_that_is_not_laid_out_by_examples_counts_by_its_numbers():
    def turned(x):
        return x.T

    assert _matching(turned, turned).score() == pytest.approx(1)
    assert _matching(lambda x: turned(0 * x), turned).score() == pytest.approx(0, abs=0.01)
