"""The two-stage rule keeps its confidence, the control variate its aim, and the cost its promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harden.analyses.mean_to_precision import mean_accuracy_until, parse_until, two_stage
from harden.errors import SettingsError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.noise.profile import Profile
from harden.streams import numpy_generator

NOISE = Condition(Profile.parse("gaussian:sigma=0.2"))


@pytest.mark.parametrize(
    "text",
    [
        "mean<0.1",
        "ci95(mean_accuracy)<0",
        "ci95(p05_accuracy)<0.1",
        "ci100(mean_accuracy)<0.1",
        "ci95(mean_accuracy)<x",
    ],
)
def test_nonsense_is_refused(text):
    with pytest.raises(SettingsError, match="cannot stop"):
        parse_until(text)


def test_the_interval_is_as_tight_as_asked_and_holds_the_mean_of_all_images(make_linear):
    model, data = make_linear(examples=1500)
    whole = evaluate(model, NOISE, data, chips=300).document["conditions"][0]["accuracy"]

    found = mean_accuracy_until(Judge(data, (NOISE,)), model, "ci95(mean_accuracy)<0.01")

    assert found["half_width"] <= 0.01
    tolerance = 1.5 * math.hypot(found["half_width"], (whole["ci95"][1] - whole["ci95"][0]) / 2)
    assert abs(found["mean"] - whole["mean"]) < tolerance
    assert found["images"] < 300 * 1500
    assert found["variance_ratio"] < 1


def test_equal_seeds_give_equal_numbers(problem):
    model, data = problem
    runs = [
        mean_accuracy_until(Judge(data, (NOISE,), where=Where(t)), model, "ci90(mean_accuracy)<0.03") for t in (1, 2)
    ]

    assert runs[0] == runs[1]


def test_an_absurd_demand_is_refused():
    with pytest.raises(SettingsError, match="would need"):
        two_stage(lambda which: np.array([k % 2 for k in which], dtype=float), 1e-5)


def simulated(rng, size):
    """Chips of a skewed population, each seen on ``size`` images with hits correlated to the clean network's."""

    def sample(which):
        count = len(list(which))
        chips = rng.beta(12, 4, count)
        return chips + rng.normal(0, 0.35 / math.sqrt(size), count)

    return sample


@pytest.mark.slow
def test_the_two_stage_interval_has_its_coverage():
    rng = numpy_generator(0, "stein")
    repetitions, hits = 2000, 0
    for _ in range(repetitions):
        mean, half, _ = two_stage(simulated(rng, 50), 0.01)
        hits += abs(mean - 12 / 16) <= half
    # 0.95 within the simulation's own error of 0.005, less a little for the skew of the population.
    assert 0.93 <= hits / repetitions <= 0.97
