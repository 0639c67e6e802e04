"""What other seeds and single levers change: each is a whole run, and the report says so."""

from __future__ import annotations

import jsonschema
import numpy as np
import pytest
import small_digits

from harden.errors import RunFolderError
from harden.pipeline.fit import fit
from harden.report import schema
from harden.report.files import rewrite
from harden.settings import FitSettings

pytestmark = pytest.mark.usefixtures("brief")

TINY = {
    "profile": ("gaussian:sigma=0.2",),
    "method": "noise",
    "epochs": 2.0,
    "chips": 3,
    "limit": 120,
    "threads": 1,
    "threshold": 0.1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    small_digits.write(folder)
    return folder


def settings(folder, out, **others):
    files = {"model": "small.onnx", "data": "train.npz", "test": "test.npz", "out": out}
    return FitSettings(**{k: str(folder / v) for k, v in files.items()}, **{**TINY, **others})


def harden_fit(settings):
    return fit(settings).document


def test_a_lever_left_out_is_the_run_without_it(folder):
    document = harden_fit(settings(folder, "whole", ablation=True))
    without = document["ablation"]
    assert list(without) == ["clip", "freeze_batch_norms", "batch_norm_reestimation"]
    bare = harden_fit(settings(folder, "bare", clip="none", second_try="off"))
    assert without["clip"]["accuracies"] == bare["after"]["conditions"][0]["accuracies"]
    assert without["clip"]["accuracies"] != document["after"]["conditions"][0]["accuracies"]
    assert without["clip"]["clean"] == bare["after"]["clean"]["accuracy"]
    assert not list(jsonschema.Draft202012Validator(schema.load("harden.fit/2")).iter_errors(document))


@pytest.mark.slow
def test_a_protected_layer_left_out_is_on_the_crossbar_again(folder):
    document = harden_fit(settings(folder, "protected", ablation=True, protect="auto:20%"))
    without = document["ablation"]
    assert set(without) == {"clip", "freeze_batch_norms", "batch_norm_reestimation", "protect"}
    bare = harden_fit(settings(folder, "unprotected"))
    assert without["protect"]["accuracies"] == bare["after"]["conditions"][0]["accuracies"]


def test_without_labels_layers_are_protected_by_the_networks_own_answers(folder):
    inputs = np.load(folder / "train.npz")["x"]
    np.savez(folder / "inputs.npz", x=inputs)
    one = settings(folder, "unlabelled", objective="match", protect="auto:20%")
    document = harden_fit(one.model_copy(update={"data": str(folder / "inputs.npz")}))
    record = document["levers"]["protect"]
    assert record["layers"]
    assert 0 < record["used"] <= 0.2
    assert document["training"]["validation"][-1]["concordance"] <= 1


@pytest.mark.slow
def test_the_levers_that_auto_chose_are_left_out_one_by_one(folder):
    document = harden_fit(settings(folder, "auto", ablation=True, method="auto", epochs=1.0))
    without = document["ablation"]
    assert without
    assert all(0 <= value <= 1 for one in without.values() for value in one["accuracies"])
    assert not list(jsonschema.Draft202012Validator(schema.load("harden.fit/2")).iter_errors(document))


def test_several_seeds_have_a_report_of_their_own(folder):
    document = harden_fit(settings(folder, "seeds", seeds=2))
    run = folder / "seeds"
    assert [row["seed"] for row in document["seeds"]] == [0, 1]
    assert document["seeds"][0]["mean"] != document["seeds"][1]["mean"]
    assert document["convergence_probability"] == 1.0
    assert document["convergence_ci95"] == pytest.approx([0.025**0.5, 1.0])  # two of two
    assert "--seeds 2" in document["command"]
    assert not list(jsonschema.Draft202012Validator(schema.load("harden.fit/2")).iter_errors(document))
    told = rewrite(run)
    assert set(told["files"]) == {"html", "record"}
    assert "From seed to seed" in (run / "report.html").read_text(encoding="utf-8")
    assert all((run / name).exists() for name in document["artifacts"])
    with pytest.raises(RunFolderError, match="other settings"):
        fit(settings(folder, "seeds", seeds=2, epochs=1.0))
