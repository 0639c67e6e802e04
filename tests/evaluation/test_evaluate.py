"""The whole evaluation, against closed forms, against a plain torch loop, and through a kill."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from documents import without_times
from scipy import stats

from harden.data.dataset import Dataset
from harden.errors import DataError, ModelError, RunFolderError, SettingsError, UnmeetableError
from harden.evaluation.evaluate import evaluate
from harden.evaluation.layout import Layout
from harden.evaluation.plan import Condition
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.report.verdict import verdict
from harden.runtime import copy as copy_module
from harden.runtime.sessions import Session
from harden.store import read_lines

Problem = tuple[Model, Dataset]
NOISE = Profile.parse("gaussian:sigma=0.1")


def test_a_linear_classifier_has_the_accuracy_that_theory_gives(make_linear):
    """Two classes: the margin of an image is normal with standard deviation sqrt(2) sigma |x|."""
    model, data = make_linear(classes=2, examples=150)
    sigma = 0.2
    weight = model.analog_weights()["w"].tensor.detach().numpy().astype(np.float64)
    x = data.inputs(slice(0, len(data))).astype(np.float64)
    margin = x @ (weight[1] - weight[0]) * np.where(data.labels == 1, 1, -1)
    spread = math.sqrt(2) * sigma * np.abs(weight).max() * np.linalg.norm(x, axis=1)
    expected = stats.norm.cdf(margin / spread).mean()

    found = evaluate(model, Profile.parse(f"gaussian:sigma={sigma}"), data, chips=400, threads=1)

    accuracy = found.document["conditions"][0]["accuracy"]
    low, high = stats.t.interval(0.999, 399, accuracy["mean"], accuracy["std"] / 20)
    assert low <= expected <= high
    assert high - low < 0.05


def test_chips_score_what_a_plain_torch_loop_scores(deep, digits):
    found = evaluate(deep, NOISE, digits, chips=5, seed=3, threads=1)

    module = deep.module().eval()
    x = torch.from_numpy(digits.inputs(slice(0, len(digits))))
    weights = deep.analog_weights()
    for index, accuracy in enumerate(found.accuracies()):
        chip = NOISE.chip(weights, seed=3, index=index)
        with torch.no_grad():
            predicted = module(x, weights=chip).argmax(1).numpy()
        assert accuracy == (predicted == digits.labels).mean()


def test_numbered_labels_may_miss_the_last_tenth_of_the_classes(deep, digits):
    """As a sample of ImageNet does; a network for many more classes is somebody else's."""
    assert digits.labels is not None
    rows = np.flatnonzero(digits.labels < 9)
    nine = Dataset.from_arrays(digits.raw(rows), digits.labels[rows], digits.preprocess)
    found = evaluate(deep, NOISE, nine, chips=2, threads=1)
    answers = deep.module().eval()(torch.from_numpy(nine.inputs(slice(0, len(nine))))).argmax(1).numpy()
    assert found.document["clean"]["accuracy"] == pytest.approx((answers == nine.labels).mean())


def test_the_document_is_complete_and_plain_json(problem):
    model, data = problem
    document = evaluate(model, NOISE, data, chips=30, threshold=0.5, requirements=("p05_accuracy>=0.1",)).document

    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["schema"] == "harden.eval/2"
    assert set(document["model"]) >= {"path", "sha256", "opset", "parameters", "analog_parameters", "batch_norm"}
    assert document["model"]["analog_parameters"] == 48
    shares = np.bincount(data.labels) / 200
    assert document["data"] == {
        "source": data.source,
        "examples": 200,
        "sha256": data.sha256,
        "classes": {"count": 4, "commonest": shares.max(), "names": None},
    }
    assert set(document["clean"]) >= {"accuracy", "loss", "confidence", "ece"}
    entry = document["conditions"][0]
    assert set(entry) >= {
        "name", "digest", "parameters", "at_s", "chips", "accuracy", "yield", "tolerance", "confidence", "ece", "ekl",
        "agreement", "fidelity", "rms_noise_relative", "accuracies",
    }  # fmt: skip
    assert set(entry["accuracy"]) >= {
        "mean", "std", "min", "p05", "median", "p95", "max", "ci95", "ci95_images"
    }  # fmt: skip
    assert set(entry["tolerance"]) == {"90/95", "95/95", "99/95"}
    assert [w["key"] for w in document["perturbed"]] == ["w"]
    assert document["perturbed"][0]["rms_noise_relative"] > 0
    assert [w["name"] for w in document["not_perturbed"]] == ["b"]
    assert entry["tolerance"]["90/95"] == min(entry["accuracies"])
    assert entry["tolerance"]["99/95"] is None
    assert set(document["runtime"]) >= {
        "seconds", "images_per_second", "clean_images_per_second", "workers", "engine"
    }  # fmt: skip
    assert entry["requirements"] == [{"text": "p05_accuracy>=0.1", "found": entry["accuracy"]["p05"], "met": True}]


def test_no_noise_is_the_clean_model(problem):
    model, data = problem
    document = evaluate(model, NOISE.scaled(0), data, chips=3).document
    entry = document["conditions"][0]

    assert entry["accuracies"] == [document["clean"]["accuracy"]] * 3
    assert entry["agreement"] == 1
    assert entry["ekl"] == pytest.approx(0, abs=1e-8)
    assert entry["rms_noise_relative"] == 0


def test_layouts_and_orders_change_no_number(deep, digits, tmp_path):
    documents = [
        evaluate(deep, NOISE, digits, chips=12, layout=Layout(w, t), trials=tmp_path / f"trials.{w}{t}.jsonl").document
        for w, t in ((1, 1), (3, 1), (1, 2), (2, 2))
    ]

    assert all(without_times(d) == without_times(documents[0]) for d in documents)
    logs = [(tmp_path / f"trials.{name}.jsonl").read_bytes() for name in ("11", "31", "12", "22")]
    assert len(set(logs)) == 1


def test_conditions_share_their_chips(problem):
    model, data = problem
    alone = evaluate(model, NOISE, data, chips=4, threads=1)
    both = evaluate(model, [Condition(NOISE.scaled(2)), Condition(NOISE)], data, chips=4, threads=1)

    assert both.accuracies(1).tolist() == alone.accuracies().tolist()
    assert both.accuracies(0).mean() < both.accuracies(1).mean()
    assert both.document["conditions"][0]["parameters"]["severity"] == 2


@pytest.mark.parametrize("killed_after", [0, 5, 17, 21])
def test_a_killed_evaluation_resumes_to_the_same_document(deep, digits, tmp_path, killed_after):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.mkdir()
    torn.mkdir()
    conditions = [Condition(NOISE), Condition(NOISE.scaled(0.5))]
    expected = evaluate(deep, conditions, digits, chips=12, threads=1, trials=whole / "trials.jsonl")

    def stop(done, total):
        if done > killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(deep, conditions, digits, chips=12, threads=2, trials=torn / "trials.jsonl", progress=stop)
    with (torn / "trials.jsonl").open("a") as file:
        file.write('{"condition": 1, "chi')  # the line that was being written
    resumed = evaluate(deep, conditions, digits, chips=12, threads=1, trials=torn / "trials.jsonl")

    assert without_times(resumed.document) == without_times(expected.document)
    assert (torn / "trials.jsonl").read_bytes() == (whole / "trials.jsonl").read_bytes()


def test_a_finished_evaluation_runs_nothing(deep, digits, tmp_path, monkeypatch):
    log = tmp_path / "trials.jsonl"
    first = evaluate(deep, NOISE, digits, chips=3, threads=1, trials=log)
    opened = []
    real = copy_module.RuntimeCopy.session
    monkeypatch.setattr(
        copy_module.RuntimeCopy, "session", lambda self, *a, **k: opened.append(1) or real(self, *a, **k)
    )

    again = evaluate(deep, NOISE, digits, chips=3, threads=1, trials=log)

    assert without_times(again.document) == without_times(first.document)
    assert len(opened) <= 2  # the copy's clean check and the canary


def test_the_log_holds_no_time_and_no_path(problem, tmp_path):
    model, data = problem
    evaluate(model, NOISE, data, chips=2, threads=1, trials=tmp_path / "trials.jsonl")
    lines = list(read_lines(tmp_path / "trials.jsonl"))

    assert [line["chip"] for line in lines] == [0, 1]
    assert all({"profile", "at_s", "chip", "accuracy"} <= set(line) for line in lines)
    assert str(tmp_path) not in (tmp_path / "trials.jsonl").read_text()
    assert not any("second" in key or "time" in key for line in lines for key in line)


def test_another_runs_log_is_refused(problem, tmp_path):
    model, data = problem
    log = tmp_path / "trials.jsonl"
    evaluate(model, NOISE, data, chips=3, threads=1, trials=log)

    with pytest.raises(RunFolderError, match="another run"):
        evaluate(model, NOISE, data, chips=3, seed=1, threads=1, trials=log)
    with pytest.raises(RunFolderError, match="another run"):
        evaluate(model, Profile.load("rram1"), data, chips=3, threads=1, trials=log)


@pytest.mark.parametrize("ending", [None, "Softmax"])
def test_probabilities_and_logits_score_alike(make_linear, ending):
    model, data = make_linear(ending=ending)
    plain = make_linear()[0]

    found = evaluate(model, NOISE, data, chips=3, threads=1).document["conditions"][0]
    expected = evaluate(plain, NOISE, data, chips=3, threads=1).document["conditions"][0]

    assert found["accuracies"] == expected["accuracies"]
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert found["ekl"] == pytest.approx(expected["ekl"], rel=1e-3, abs=1e-6)


def test_one_logit_serves_two_classes(make_linear):
    data = make_linear(classes=2)[1]
    single = make_linear(classes=1)[0]

    found = evaluate(single, NOISE, data, chips=2, threads=1).document

    x, w = data.inputs(slice(0, len(data))), single.analog_weights()["w"].tensor.detach().numpy()
    assert found["clean"]["accuracy"] == ((x @ w[0] > 0) == data.labels).mean()


def test_a_fixed_batch_size_is_filled_up(make_linear):
    fixed, data = make_linear(batch=7)
    free = make_linear()[0]

    found = evaluate(fixed, NOISE, data, chips=3, threads=1)

    assert found.document["runtime"]["batch_size"] == 7
    assert found.accuracies().tolist() == evaluate(free, NOISE, data, chips=3, threads=1).accuracies().tolist()


def test_data_without_labels_gets_fidelity(problem, unlabelled):
    model, _ = problem
    conditions = [Condition(NOISE.scaled(s)) for s in (0, 1, 2)]
    document = evaluate(model, conditions, unlabelled, chips=5, threads=1).document
    none, some, much = (entry["fidelity"] for entry in document["conditions"])

    assert document["clean"]["accuracy"] is None
    assert all(entry["accuracy"] is None and entry["accuracies"] is None for entry in document["conditions"])
    assert none["nrmse"]["mean"] == 0
    assert none["cosine"]["mean"] == pytest.approx(1)
    assert 0 < some["nrmse"]["mean"] < much["nrmse"]["mean"]
    assert some["sqnr_db"]["mean"] > much["sqnr_db"]["mean"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_metrics_of_the_users_own(problem):
    model, data = problem

    def positives(outputs, labels):
        return float((outputs > 0).mean()) + 0 * len(labels)

    entry = evaluate(model, NOISE, data, chips=4, threads=1, metrics={"positives": positives}).document["conditions"][0]

    assert 0 < entry["metrics"]["positives"]["mean"] < 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_metric_that_raises_is_named(problem, workers):
    model, data = problem
    calls = []

    def broken(outputs, labels):
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeError("no idea")
        return 0.0

    with pytest.raises(SettingsError, match=r"broken.*RuntimeError: no idea"):
        evaluate(model, NOISE, data, chips=9, metrics={"broken": broken}, layout=Layout(workers, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chips": 0}, "chips"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": -0.1}, "threshold"),
        ({"batch_size": 0}, "batch-size"),
        ({"threads": 0}, "threads"),
        ({"metrics": ("nowhere:nothing",)}, "nowhere"),
        ({"requirements": ("speed>=1",)}, "speed"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(problem, options, message):
    model, data = problem
    with pytest.raises(SettingsError, match=message):
        evaluate(model, NOISE, data, **options)


def test_a_demand_that_cannot_be_met_is_refused_with_the_number_needed(problem):
    model, data = problem
    with pytest.raises(UnmeetableError, match="299"):
        evaluate(model, NOISE, data, chips=100, requirements=("yield(0.5)>=0.99@95%",))


def test_outputs_that_are_no_logits_of_these_classes_are_refused(deep, digits):
    twelve = Dataset.from_arrays(digits.raw(slice(0, 60)), np.arange(60) % 12, digits.preprocess, source="12.npz")
    with pytest.raises(DataError, match=r"10 numbers.*12\.npz has 12 classes.*--new-head"):
        evaluate(deep, NOISE, twelve, chips=1)
    named = Dataset.from_arrays(digits.raw(slice(0, 60)), list("abcdef") * 10, digits.preprocess, source="six.npz")
    with pytest.raises(DataError, match=r"10 numbers.*six\.npz has 6 classes"):
        evaluate(deep, NOISE, named, chips=1)


def test_numbered_labels_may_lack_the_last_classes_and_that_is_told(deep, digits):
    labels = np.asarray(digits.labels)
    for classes, told in ((10, None), (7, "labels number 7 classes, and the network has 10"), (1, "are of class 0")):
        index = np.flatnonzero(labels < classes)[:60]
        part = Dataset.from_arrays(digits.raw(index), labels[index], digits.preprocess)
        result = evaluate(deep, NOISE, part, chips=1)
        (output,) = Session(deep.serialize()).run(part.inputs(slice(None)))
        assert result.clean.accuracy == (output.argmax(1) == labels[index]).mean()
        # That this network always says the same is told in any case.
        signs = [sign for sign in result.clean.doubts if "same answer" not in sign]
        assert any(told in sign for sign in signs) if told else signs == []
        assert told is None or told in verdict(result)


def test_labels_from_one_say_so(deep, digits):
    labels = np.asarray(digits.labels)
    from_one = Dataset.from_arrays(digits.raw(slice(None)), labels + 1, digits.preprocess)
    with pytest.raises(DataError, match=r"1 to 10, .* scores 10 classes, .*count from 1\. Take 1 from each label$"):
        evaluate(deep, NOISE, from_one, chips=1)


def test_examples_of_another_shape_are_refused(deep, problem):
    with pytest.raises(DataError, match=r"examples are \[12\].*\[1, 8, 8\]"):
        evaluate(deep, NOISE, problem[1], chips=1)


def test_nothing_on_a_crossbar_is_refused(problem):
    model, data = problem
    with pytest.raises(ModelError, match="no weight"):
        evaluate(model, NOISE, data, chips=1, digital=("*",))


def test_a_chip_of_nan_is_wrong_everywhere_and_said(problem, monkeypatch):
    model, data = problem
    real = Profile.chip
    monkeypatch.setattr(Profile, "chip", lambda *a, **k: {n: w * float("nan") for n, w in real(*a, **k).items()})

    entry = evaluate(model, NOISE, data, chips=2, threads=1).document["conditions"][0]

    assert entry["accuracies"] == [0.0, 0.0]
    assert entry["non_finite_chips"] == 2
