"""Chips with batch norms of their own, on the embedded network."""

from __future__ import annotations

import numpy as np
import pytest

from harden.analyses.field_calibration import per_chip
from harden.data.dataset import Dataset
from harden.data.embedded import content
from harden.errors import UnsupportedError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.graph.file import Model
from harden.graph.folding import fold_batch_norms
from harden.noise.profile import Profile
from harden.streams import numpy_generator


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    for name in ("digits_cnn.onnx", "test.npz"):
        (folder / name).write_bytes(content(name))
    model = Model.load(folder / "digits_cnn.onnx")
    return model, Dataset.open(folder / "test.npz", model.preprocess)


def condition(text):
    return Condition(Profile.parse(text), None)


def test_it_helps_chips_whose_activations_moved_and_the_chips_are_those_of_the_trials(digits):
    model, data = digits
    one = condition("gaussian:sigma=0.2")
    found = per_chip(Judge(data, (one,), seed=4, where=Where(1)), model, chips=5, inputs=100)["per_chip"]
    assert found["calibration_examples"] + found["examples"] == len(data)
    assert found["gain"] == pytest.approx(found["calibrated"]["mean"] - found["as_it_is"]["mean"])
    assert found["gain_ci95"][0] > 0
    rest = np.sort(numpy_generator(4, "per_chip", "examples").permutation(len(data))[100:])
    direct = evaluate(model, (one,), data.subset(rest), chips=5, seed=4, threads=1).document
    assert found["as_it_is"]["mean"] == pytest.approx(direct["conditions"][0]["accuracy"]["mean"])


def test_a_graph_without_batch_norms_is_refused(digits):
    model, data = digits
    with pytest.raises(UnsupportedError, match="no batch norms"):
        per_chip(Judge(data, (condition("gaussian:sigma=0.2"),)), fold_batch_norms(model), chips=1)


def test_converters_are_refused(digits):
    model, data = digits
    with pytest.raises(UnsupportedError, match="converters"):
        per_chip(Judge(data, (condition("gaussian:sigma=0.2,adc_bits=6"),)), model, chips=1)
