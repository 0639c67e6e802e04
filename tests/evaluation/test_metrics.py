"""Metrics against scikit-learn, direct definitions, and values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save
from scipy.special import softmax

from harden.errors import SettingsError
from harden.evaluation.chip_sums import Sums
from harden.evaluation.custom import load_metrics
from harden.statistics.metrics import auroc, confusion_scores, expected_kl
from harden.statistics.reliability import bin_sums, calibration_error, reliability
from harden.streams import numpy_generator
from harden.tasks._class_scores import UNIT, ClassScorer, Reference, summed_images
from harden.tasks._heads import Head

sklearn_metrics = pytest.importorskip("sklearn.metrics")


SCORES = Head(0, "y")
SHAPES = {"mass": (5, 2), "hits": (5,), "bins": (15, 3)}


def outputs(n, classes, seed=0):
    rng = numpy_generator(seed, "outputs", n, classes)
    labels = rng.integers(0, classes, n)
    return (rng.standard_normal((n, classes)) + 2 * np.eye(classes)[labels]).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_against_scikit_learn(classes):
    z, labels = outputs(400, classes)
    p = softmax(z.astype(np.float64), axis=1)
    predicted = p.argmax(1)

    found = confusion_scores(predicted, labels, classes)

    assert found["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, predicted))
    assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(labels, predicted, average="macro"))
    score = p[:, 1] if classes == 2 else p
    assert auroc(p, labels) == pytest.approx(sklearn_metrics.roc_auc_score(labels, score, multi_class="ovr"))


def test_a_chip_scored_in_batches_is_scored_as_a_whole():
    z, labels = outputs(333, 10)
    scorer = ClassScorer(Reference(labels, SCORES, 10, clean=labels))
    whole, parts = scorer.tally(), scorer.tally()
    whole.add([z])
    for start in range(0, 333, 32):
        parts.add([z[start : start + 32]])

    assert whole.result().values == parts.result().values


def test_scores_of_a_chip():
    z, labels = outputs(500, 10)
    p = softmax(z.astype(np.float64), axis=1)
    tally = ClassScorer(Reference(labels, SCORES, 10, clean=p.argmax(1))).tally()
    tally.add([z])
    scores = tally.result()

    assert scores.values["accuracy"] == sklearn_metrics.accuracy_score(labels, p.argmax(1))
    assert scores.values["loss"] == pytest.approx(sklearn_metrics.log_loss(labels, p))
    assert scores.values["top5"] == pytest.approx(sklearn_metrics.top_k_accuracy_score(labels, p, k=5))
    assert scores.values["confidence"] == pytest.approx(p.max(1).mean())
    assert scores.values["agreement"] == 1
    assert scores.values["entropy"] == pytest.approx(-(p * np.log(p)).sum(1).mean())
    assert np.abs(scores.mass / UNIT - p).max() <= 0.5 / UNIT


@pytest.mark.parametrize(
    ("confidence", "correct", "expected"),
    [
        ([0.95, 0.95, 0.55, 0.55], [1, 0, 1, 1], (2 * abs(0.5 - 0.95) + 2 * abs(1 - 0.55)) / 4),
        ([1.0, 1.0], [1, 1], 0.0),
        ([0.0, 0.0], [0, 0], 0.0),
        ([0.7, 0.7], [1, 0], 0.2),
    ],
)
def test_calibration_error_by_hand(confidence, correct, expected):
    assert calibration_error(np.array(confidence), np.array(correct, bool)) == pytest.approx(expected)


def test_the_reliability_diagram_by_hand():
    # Two bins, (0, 0.5] and (0.5, 1]: a value on the edge belongs to the lower one.
    sums = bin_sums(np.array([0.5, 0.75, 0.625, 1.0]), np.array([False, True, False, True]), bins=2)
    assert reliability(sums) == {
        "share": [0.25, 0.75],
        "accuracy": [0.0, pytest.approx(2 / 3)],
        "confidence": [0.5, pytest.approx((0.75 + 0.625 + 1.0) / 3, abs=1e-6)],
    }
    # The sums of two chips are those of all their images.
    assert reliability(sums + sums) == reliability(sums)
    assert reliability(bin_sums(np.zeros(0), np.zeros(0, bool), bins=1))["accuracy"] == [None]


@given(st.integers(1, 200), st.integers(0, 1000))
def test_the_diagrams_gaps_add_up_to_the_calibration_error(images, seed):
    rng = numpy_generator(seed, "reliability", images)
    confidence, correct = rng.random(images), rng.random(images) < 0.7
    table = reliability(bin_sums(confidence, correct))
    gaps = [s * abs(a - c) for s, a, c in zip(*table.values(), strict=True) if a is not None]
    # Confidences are rounded to 2^-20 before they are summed.
    assert sum(gaps) == pytest.approx(calibration_error(confidence, correct), abs=2**-20)


@given(st.integers(2, 8), st.integers(2, 6), st.integers(1, 20))
def test_expected_kl_is_the_mean_divergence(chips, classes, images):
    z = numpy_generator(chips * 100 + classes * 10, "kl", images).standard_normal((chips, images, classes))
    p = softmax(z, axis=2)
    mean = p.mean(axis=0)
    direct = (p * np.log(p / mean)).sum(axis=2).mean()
    entropy = float(-(p * np.log(p)).sum(axis=2).mean())

    assert expected_kl(mean, entropy) == pytest.approx(direct, abs=1e-12)


def test_infinite_outputs_are_wrong_and_carry_no_opinion():
    z = np.array([[1.0, np.inf, 0.0], [np.nan, 0, 0], [0, 0, 5]], np.float32)
    tally = ClassScorer(Reference(np.array([1, 0, 2]), SCORES, 3)).tally()
    tally.add([z])
    scores = tally.result()

    assert scores.correct.tolist() == [False, False, True]
    assert scores.values["non_finite"] == 2
    assert scores.values["confidence"] == pytest.approx(softmax([0, 0, 5]).max() / 3)
    assert np.isfinite(scores.values["loss"])


def test_sums_of_a_version_that_kept_less_are_made_again(tmp_path):
    sums = Sums(1, SHAPES)
    sums.done = 3
    path = tmp_path / "probabilities.safetensors"
    sums.save(path, "run", "2x1")
    assert Sums(1, SHAPES).load(path, "run") == "2x1"
    old = {name: np.zeros((1, *SHAPES[name]), np.int32) for name in ("mass", "hits")}
    path.write_bytes(save(old, metadata={"identity": "run", "done": "3", "layout": "2x1"}))
    fresh = Sums(1, SHAPES)
    assert fresh.load(path, "run") is None
    assert fresh.done == 0


def test_sums_do_not_depend_on_the_order_of_chips():
    scores = []
    for chip in range(7):
        z, _ = outputs(50, 4, seed=chip)
        tally = ClassScorer(Reference(np.zeros(50, np.int64), SCORES, 4)).tally()
        tally.add([z])
        scores.append(tally.result())
    shapes = {"mass": (50, 4), "hits": (50,)}
    forward, backward = Sums(1, shapes), Sums(1, shapes)
    for one, other in zip(scores, reversed(scores), strict=True):
        forward.add(0, one.sums)
        backward.add(0, other.sums)

    assert np.array_equal(forward.of(0)["mass"], backward.of(0)["mass"])
    assert forward.of(0)["mass"].sum(axis=1) / (7 * UNIT) == pytest.approx(np.ones(50))


@given(st.integers(1, 5000), st.integers(1, 1000), st.integers(1, 20), st.integers(1, 10**6))
def test_the_images_of_the_sums_fit_the_budget(examples, classes, conditions, budget):
    chosen = summed_images(examples, classes, conditions, budget)

    if chosen is None:
        assert examples * classes * conditions <= max(budget, classes * conditions)
    else:
        assert len(chosen) * classes * conditions <= max(budget, classes * conditions)
        assert len(set(chosen.tolist())) == len(chosen)
        assert chosen.max() < examples


@pytest.mark.parametrize(
    ("name", "message"),
    [("numpy:nothing", "nothing"), ("numpy:pi", "not a function"), ("numpy", "cannot be imported"), (":f", "imported")],
)
def test_metrics_that_are_none_are_named(name, message):
    with pytest.raises(SettingsError, match=message):
        load_metrics([name])
