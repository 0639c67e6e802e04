"""Paired where the chips are the same, unpaired and said so where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harden.errors import SettingsError
from harden.evaluation.compare import compare
from harden.evaluation.evaluate import evaluate
from harden.noise.profile import Profile
from harden.statistics.difference import paired_difference, unpaired_difference
from harden.streams import numpy_generator

NOISE = Profile.parse("gaussian:sigma=0.1")


def test_similar_models_are_compared_chip_by_chip(problem):
    model, data = problem
    weight = model.analog_weights()["w"].tensor.detach().numpy()
    nudged = model.with_weights({"w": weight * np.linspace(1, 1.02, weight.shape[1], dtype=np.float32)})
    a, b = (evaluate(m, NOISE, data, chips=20, threads=1) for m in (model, nudged))

    document = compare({"a": a, "b": b}).document

    (found,) = document["differences"]
    assert document["schema"] == "harden.compare/2"
    assert found["paired"]
    assert found["mean"] == pytest.approx((b.accuracies() - a.accuracies()).mean())
    assert found["correlation"] > 0.8
    low, high = found["ci95"]
    wide = unpaired_difference(a.accuracies(), b.accuracies())["ci95"]
    assert high - low < 0.5 * (wide[1] - wide[0])


def test_other_shapes_are_unpaired(make_linear):
    model, data = make_linear(classes=2)
    single = make_linear(classes=1)[0]

    document = compare({m.sha256[:4]: evaluate(m, NOISE, data, chips=5, threads=1) for m in (model, single)}).document

    assert document["differences"][0]["paired"] is False


def test_different_data_or_seeds_are_refused(problem):
    model, data = problem
    a = evaluate(model, NOISE, data, chips=2, threads=1)
    b = evaluate(model, NOISE.scaled(2), data.subset(slice(0, 50)), chips=2, seed=1, threads=1)

    with pytest.raises(SettingsError) as caught:
        compare({"a": a, "b": b})
    assert len(caught.value.problems) == 3
    with pytest.raises(SettingsError, match="at least two"):
        compare({"a": a})


def test_the_sign_test_is_the_binomial_one_without_ties():
    x = np.array([0.5] * 12)
    y = np.array([0.6] * 8 + [0.4] * 2 + [0.5] * 2)

    assert paired_difference(x, y)["p_value"] == pytest.approx(2 * stats.binom.sf(7, 10, 0.5))
    assert paired_difference(x, x)["p_value"] == 1
    assert paired_difference(x, x)["correlation"] is None


def test_unpaired_is_welch():
    rng = numpy_generator(0, "welch")
    x, y = rng.normal(0.7, 0.05, 30), rng.normal(0.75, 0.1, 20)

    found = unpaired_difference(x, y)

    low, high = found["ci95"]
    assert found["mean"] == pytest.approx(y.mean() - x.mean())
    assert (low + high) / 2 == pytest.approx(found["mean"])
    v = x.var(ddof=1) / 30 + y.var(ddof=1) / 20
    freedom = v**2 / ((x.var(ddof=1) / 30) ** 2 / 29 + (y.var(ddof=1) / 20) ** 2 / 19)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(v))
    assert unpaired_difference(x[:1], y)["ci95"] is None
