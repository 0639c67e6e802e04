"""Sensitivity, ranking, landscape, worst case and rare failures, on models small enough to know the answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harden.analyses.landscape import landscape
from harden.analyses.layer_ranking import rank_layers
from harden.analyses.rare_failures import rare_failures, subset_simulation
from harden.analyses.sensitivity import sensitivity
from harden.analyses.worst_case import worst_case
from harden.data.dataset import Dataset
from harden.errors import DataError, ProfileError, SettingsError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.streams import numpy_generator

Problem = tuple[Model, Dataset]
NOISE = Condition(Profile.parse("gaussian:sigma=0.1"))


def judge(data, condition=NOISE, threads=1):
    return Judge(data, (condition,), where=Where(threads))


@pytest.fixture(scope="module")
def learnt(deep, digits):
    """The images under the labels that the network itself gives them, so that there is accuracy to lose."""
    import torch

    with torch.no_grad():
        labels = deep.module().eval()(torch.from_numpy(digits.inputs(slice(0, len(digits))))).argmax(1).numpy()
    found = Dataset.from_arrays(digits.raw(slice(0, len(digits))), labels, digits.preprocess)
    return (
        found
        if found.classes == 10
        else Dataset.from_arrays(
            digits.raw(slice(0, len(digits))), np.where(np.arange(len(labels)) < 1, 9, labels), digits.preprocess
        )
    )


def test_noise_in_the_only_layer_is_all_the_noise(problem):
    model, data = problem
    found = sensitivity(judge(data), model, chips=5)
    whole = evaluate(model, NOISE, data, chips=5, threads=1)

    (row,) = found.sensitivity
    assert row.drop == pytest.approx(found.clean - whole.accuracies().mean())
    assert row.gain == pytest.approx(row.drop)


def test_a_layer_without_noise_loses_and_gains_nothing(deep, learnt):
    found = sensitivity(judge(learnt, Condition(NOISE.profile.scaled(0))), deep, chips=2, keys=["fc.weight"])

    assert [row.key for row in found.sensitivity] == ["fc.weight"]
    assert found.sensitivity[0].drop == 0
    assert found.sensitivity[0].gain == 0


def test_ranking_shares_sum_to_one_and_follow_the_noise(deep, learnt):
    found = rank_layers(judge(learnt), deep, passes=12, check=1, check_chips=6)

    rows = found.sensitivity
    assert {row.key for row in rows} == {"conv.weight", "fc.weight"}
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert rows[0].share >= rows[1].share
    assert "gain" in rows[0].to_json()
    assert "gain" not in rows[1].to_json()
    assert found.sensitivity_r2 is None or 0 <= found.sensitivity_r2 <= 1


def test_a_linear_model_of_a_linear_classifier_explains_much(make_linear):
    """With little noise the loss is linear in the weights, so the predicted change ranks the chips."""
    model, data = make_linear(classes=2, examples=600)
    weak = Condition(Profile.parse("gaussian:sigma=0.02"))

    found = rank_layers(judge(data, weak), model, passes=16, check=0, check_chips=60)

    assert found.to_json()["sensitivity"] == [{"key": "w", "share": 1.0}]


def test_the_landscape_passes_through_the_clean_model(problem):
    model, data = problem
    clean = evaluate(model, NOISE, data, chips=1, threads=1).document["clean"]

    found = landscape(judge(data), model, alphas=(-1, 0, 1), repeats=2)

    for loss, accuracy in zip(found.loss, found.accuracy, strict=True):
        assert loss[1] == clean["loss"]
        assert accuracy[1] == clean["accuracy"]
    steps = np.abs(np.diff(found.loss, axis=1))
    assert found.slope == pytest.approx(steps.mean())
    with pytest.raises(SettingsError, match="rising"):
        landscape(judge(data), model, alphas=(0, 0))


def test_an_adversary_is_worse_than_chance_and_worse_with_a_wider_box(make_linear):
    model, data = make_linear(examples=400)

    found = worst_case(judge(data), model, widths=(0.25, 1.0), steps=10)

    small, large = found.worst_case
    assert large.accuracy < small.accuracy <= found.clean
    assert large.accuracy < large.random
    assert large.loss > small.loss


def test_the_adversary_of_a_linear_classifier_is_near_the_exact_worst_case(make_linear):
    """For one image the exact worst margin within +-r is the margin - 2 r |x|_1 (both rows move)."""
    model, data = make_linear(classes=2, examples=400)
    one = data.subset(
        np.array([3] * 64 + [k for k in range(400) if data.labels is not None and data.labels[k] == 1][:1])
    )
    weight = model.analog_weights()["w"].tensor.detach().numpy()
    x = data.inputs([3])[0]
    margin = abs(float((weight[1] - weight[0]) @ x))
    radius = 0.1 * np.abs(weight).max()
    needed = margin / (2 * radius * np.abs(x).sum())  # width of the box, in sigma, at which the image can be turned

    found = worst_case(judge(one), model, widths=(0.6 * needed, 1.6 * needed), steps=20)

    assert found.worst_case[0].accuracy > 0.9
    assert found.worst_case[1].accuracy < 0.1


def test_unlabelled_data_and_nonsense_are_refused(problem, unlabelled):
    model, data = problem
    with pytest.raises(DataError, match="no labels"):
        sensitivity(judge(unlabelled), model)
    with pytest.raises(SettingsError, match="positive widths"):
        worst_case(judge(data), model, widths=(0,))
    with pytest.raises(SettingsError, match="at least 200 chips"):
        rare_failures(judge(data), model, 0.5, chips=10)


def test_subset_simulation_finds_a_known_tail():
    """P(x_1 < -beta) of a standard normal vector is Phi(-beta)."""
    beta, found = 3.0, []
    for run in range(5):
        rng = numpy_generator(1, "toy", run)
        tail = subset_simulation(
            lambda rng=rng: rng.standard_normal(20),
            lambda x, xi, b: math.sqrt(1 - b * b) * x + b * xi,
            lambda x: float(x[0]),
            -beta,
            rng,
            chips=200,
        )
        found.append(tail.probability)
    expected = stats.norm.cdf(-beta)
    assert expected / 2 < np.exp(np.mean(np.log(found))) < expected * 2
    assert all(expected / 6 < p < expected * 6 for p in found)


def test_subset_simulation_of_a_frequent_failure_is_counting():
    rng = numpy_generator(2, "toy")
    tail = subset_simulation(
        lambda: rng.standard_normal(3), lambda x, xi, b: x, lambda x: float(x[0]), 0.0, rng, chips=400
    )

    assert tail.levels == ()
    assert tail.evaluations == 400
    assert tail.probability == pytest.approx(0.5, abs=0.1)


@pytest.mark.slow
def test_rare_failures_of_a_linear_classifier_agree_with_counting(make_linear):
    model, data = make_linear(classes=2, examples=100)
    accuracies = evaluate(model, NOISE, data, chips=4000).accuracies()
    threshold = float(np.quantile(accuracies, 0.01))
    counted = (accuracies < threshold).mean()

    found = rare_failures(judge(data), model, threshold)

    assert found.experimental
    assert counted / 4 < found.probability < counted * 4


def test_noise_that_is_not_gaussian_is_refused(problem):
    model, data = problem
    with pytest.raises(ProfileError, match="not Gaussian"):
        rare_failures(judge(data, Condition(Profile.load("uniform"))), model, 0.5)
