"""The Python interface of docs/architecture: the same numbers as the command line."""

from __future__ import annotations

import pytest
import torch

import harden


def test_untouched_models_are_saved_byte_for_byte(prepared):
    model = harden.load(prepared / "small.onnx")
    model.save(prepared / "copy.onnx")
    assert (prepared / "copy.onnx").read_bytes() == (prepared / "small.onnx").read_bytes()


def test_chip_17_is_chip_17(prepared):
    model = harden.load(prepared / "small.onnx")
    profile = harden.Profile.load("rram1", sigma_d=0.2)
    chip = profile.chip(model.analog_weights(), seed=0, index=17)
    again = profile.chip(model.analog_weights(), seed=0, index=17)
    other = profile.chip(model.analog_weights(), seed=0, index=18)
    assert all(torch.equal(chip[k], again[k]) for k in chip)
    assert not any(torch.equal(chip[k], other[k]) for k in chip)


def test_evaluate_gives_the_numbers_of_the_command_line(prepared, finished):
    model = harden.load(prepared / "small.onnx")
    data = harden.Dataset.open(prepared / "test.npz", preprocess=model.preprocess)
    found = harden.evaluate(model, harden.Profile.parse("gaussian:sigma=0.2"), data, chips=6, seed=0)
    before = finished[1].document["before"]
    assert found.document["conditions"][0]["accuracies"] == before["conditions"][0]["accuracies"]
    assert found.conditions[0].accuracy.mean == before["conditions"][0]["accuracy"]["mean"]
    assert "<table>" in found._repr_html_()


def test_fit_hands_back_a_model_that_is_better_on_chips(prepared):
    model = harden.load(prepared / "small.onnx")
    profile = harden.Profile.parse("gaussian:sigma=0.2")
    train = harden.Dataset.open(prepared / "train.npz", preprocess=model.preprocess)
    test = harden.Dataset.open(prepared / "test.npz", preprocess=model.preprocess)
    fitted = harden.fit(model, train, method="noise", profile=profile, epochs=3, seed=0)
    before = harden.evaluate(model, profile, test, chips=5).accuracies().mean()
    after = harden.evaluate(fitted.model, profile, test, chips=5).accuracies().mean()
    assert after > before + 0.2
    assert [record["step"] for record in fitted.history] == list(range(1, len(fitted.history) + 1))


def test_a_module_needs_an_example():
    with pytest.raises(harden.HardenError, match="example"):
        harden.load(torch.nn.Linear(2, 2))


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="hardn"):
        _ = harden.hardn
