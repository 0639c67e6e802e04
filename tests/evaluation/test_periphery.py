"""Converters and output noise in evaluations."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harden.analyses.landscape import landscape
from harden.analyses.mean_to_precision import mean_accuracy_until
from harden.analyses.replay import replay, worst_chips
from harden.analyses.sensitivity import sensitivity
from harden.analyses.worst_case import worst_case
from harden.cli import main
from harden.data.dataset import Dataset
from harden.data.embedded import content
from harden.evaluation.bench import open_bench
from harden.evaluation.evaluate import evaluate
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.runtime.parity import run_torch

NOISY = "gaussian:sigma=0.1,adc_bits=5,dac_bits=6,output_noise=0.02"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    for name in ("digits_cnn.onnx", "test.npz"):
        (folder / name).write_bytes(content(name))
    model = Model.load(folder / "digits_cnn.onnx")
    assert model.preprocess is not None
    return model, Dataset.open(folder / "test.npz", model.preprocess, limit=200)


def means(embedded, profiles):
    model, data = embedded
    return [entry["accuracy"]["mean"] for entry in evaluate(model, profiles, data, chips=3).document["conditions"]]


def test_fewer_adc_bits_cost_accuracy(embedded):
    bits = (10, 5, 4, 3, 2)
    profiles = [Profile.load("gaussian", sigma=0.02, adc_bits=b) for b in bits]
    plain, *found = means(embedded, [Profile.load("gaussian", sigma=0.02), *profiles])
    assert found[0] == pytest.approx(plain, abs=0.01)
    assert all(more >= fewer for more, fewer in itertools.pairwise(found))
    assert found[-1] < found[0] - 0.1


def test_more_output_noise_costs_accuracy(embedded):
    profiles = [Profile.load("gaussian", sigma=0.02, output_noise=n) for n in (0.0, 0.1, 0.3)]
    found = means(embedded, profiles)
    assert found[0] > found[1] > found[2]


def test_off_is_bit_identical_and_says_nothing(deep, digits):
    off = Profile.load("gaussian", adc_bits=0, output_noise=0, range_percentile=95)
    one, two = (evaluate(deep, p, digits, chips=4).document for p in (Profile.load("gaussian"), off))
    for document in (one, two):
        del document["runtime"]
    assert one == two
    assert "periphery" not in one["conditions"][0]


def test_the_document_holds_the_ranges_and_repeats(deep, digits):
    one, two = (evaluate(deep, Profile.parse(NOISY), digits, chips=3, seed=s).document["conditions"][0] for s in (0, 1))
    assert set(one["periphery"]["ranges"]) == {"conv.weight", "fc.weight"}
    low, high = one["periphery"]["ranges"]["fc.weight"]["input"]
    assert low == 0 < high  # behind a Relu
    assert one["periphery"]["adc_bits"] == 5
    assert one["periphery"]["ranges"] == two["periphery"]["ranges"]
    assert one["accuracies"] != two["accuracies"]


def test_a_chip_is_the_same_alone_and_in_company_and_when_replayed(deep, digits):
    profile = Profile.parse(NOISY)
    many = evaluate(deep, profile, digits, chips=5, threads=2)
    few = evaluate(deep, profile, digits, chips=2, threads=1)
    assert many.conditions[0].accuracies[:2] == few.conditions[0].accuracies
    record = next(iter(worst_chips(many, count=1)))
    assert replay(record, deep, digits).equal


def test_torch_computes_the_same_chip(deep, digits, tmp_path):
    profile = Profile.parse(NOISY)
    bench = open_bench(deep, digits, tmp_path, Where())
    module = deep.module()
    chip = profile.chip(bench.weights, seed=3, index=1)
    module.periphery = bench.periphery.hook(profile, seed=3, path=("chip", 1))
    session = bench.periphery.session(profile, chip, seed=3, path=("chip", 1))
    for batch, _ in bench.feed:
        mine, theirs = run_torch(module, batch, chip)[0], session.run(*batch)[0]
        agree = np.abs(mine - theirs).max(axis=1) < 1e-3 * np.abs(mine).max()
        assert agree.mean() > 0.9  # a sum on the edge of a code may fall to either side


def test_every_analysis_sees_the_converters(deep, digits):
    blind = Condition(Profile.load("gaussian", sigma=0.001, output_range=1e-6, adc_bits=2))
    clear = Condition(Profile.load("gaussian", sigma=0.001))
    for look in (
        lambda c: sensitivity(c, deep, chips=2)["noisy"],
        lambda c: landscape(c, deep, alphas=(0.0, 1.0), repeats=1)["loss"][0][0],
        lambda c: worst_case(c, deep, widths=(0.1,), steps=1, restarts=1)["worst_case"][0]["loss"],
        lambda c: mean_accuracy_until(c, deep, "ci95(mean_accuracy)<0.2")["mean"],
    ):
        assert look(Judge(digits, (blind,))) != pytest.approx(look(Judge(digits, (clear,))), rel=1e-6)


def test_the_command_line(tmp_path, capsys):
    for name in ("digits_cnn.onnx", "test.npz"):
        (tmp_path / name).write_bytes(content(name))
    model, data = str(tmp_path / "digits_cnn.onnx"), str(tmp_path / "test.npz")
    noise = "gaussian:sigma=0.1,adc_bits=4"
    with pytest.raises(SystemExit) as caught:
        main(["eval", model, "--profile", noise, "--data", data, "--chips", "2", "--limit", "100", "--json"])
    assert caught.value.code == 0
    entry = json.loads(capsys.readouterr().out)["conditions"][0]
    assert entry["periphery"]["adc_bits"] == 4
    assert entry["parameters"]["adc_bits"] == 4
    assert Path(model).read_bytes() == content("digits_cnn.onnx")


def test_severity_reaches_the_output_noise(deep, digits):
    profile = Profile.load("gaussian", sigma=0.0, output_noise=0.1)
    doc = evaluate(deep, [profile, profile.scaled(0)], digits, chips=1).document["conditions"]
    assert doc[0]["periphery"]["output_noise"] == 0.1
    assert "periphery" not in doc[1]
    assert torch.equal(*(p.chip({"w": torch.ones(3)}, seed=0, index=0)["w"] for p in (profile, profile.scaled(0))))
