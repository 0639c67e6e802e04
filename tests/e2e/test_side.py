"""What a fit measures beside its chips: a share of the run, left out, or added to a finished run."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from e2e.conftest import prepare

SMALL = ("--epochs", "1", "--limit", "120", "--threads", "1")


@pytest.fixture(scope="module")
def quick(tmp_path_factory, command):
    """A folder with a finished run without anything beside the chips."""
    folder = prepare(tmp_path_factory.mktemp("quick"))
    run = functools.partial(command, folder)
    done = run("fit", "small.onnx", "--out", "quick", "--quick-report", *SMALL, "--json")
    assert done.code == 0, done.err
    return folder, run, done


def test_a_quick_report_has_the_chips_and_nothing_beside_them(quick):
    folder, _, done = quick
    document = done.document
    assert document["severity"] is None
    assert "sensitivity" not in document
    assert "column_baseline" not in document["before"]["conditions"][0]
    assert document["after"]["conditions"][0]["chips"] == 6
    assert not list((folder / "quick").glob("*severity*"))


def test_the_share_of_a_small_run_leaves_fewer_chips_and_examples(finished):
    """6 chips x 360 examples twice, and 3 epochs of 1437 examples at four passes each: a quarter of 21,564 passes.

    For two networks at two strengths that is 1,347 chips times examples: 20 x 300, both reduced by the factor 0.474.
    """
    document = finished[1].document
    chips, test = 6, document["before"]["data"]["examples"]
    training = document["training"]["steps"] * 32 * 4
    passes = (2 * chips * test + training) / 4
    factor = min(1.0, (passes / 4 / (20 * 300)) ** 0.5)
    assert document["severity"]["chips"] == min(chips, int(20 * factor))
    assert document["severity"]["examples"] == min(test, int(300 * factor))
    assert 0 < document["severity"]["examples"] < 300


def test_what_was_left_out_is_added_to_the_finished_run(quick):
    folder, run, done = quick
    added = run("report", "quick", "--add", "severity,layers,column_baseline", "--json")
    assert added.code == 0, added.err
    document = json.loads((folder / "quick" / "report.json").read_text())
    assert len(document["severity"]["after"]) == len(document["severity"]["scale"]) == 2
    assert {row["key"] for row in document["sensitivity"]} == {row["key"] for row in document["after"]["perturbed"]}
    assert document["before"]["conditions"][0]["column_baseline"]["accuracy"]["mean"] > 0
    assert "Weaker and stronger noise" in (folder / "quick" / "report.html").read_text()
    # All else is as it was, the finished run is still the run of its command, and the same addition gives the same.
    for name in ("training", "after", "artifacts", "settings", "levers"):
        assert document[name] == done.document[name]
    again = run("fit", "small.onnx", "--out", "quick", "--quick-report", *SMALL, "--json")
    assert again.document["severity"] == document["severity"]
    assert run("report", "quick", "--add", "severity", "--json").code == 0
    assert json.loads((folder / "quick" / "report.json").read_text()) == document


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--add", "severty"), 2, ("severty", "severity, layers, column_baseline")),
        (("--add", ""), 2, ("severity, layers, column_baseline",)),
    ],
)
def test_a_wrong_name_is_told_with_the_right_ones(quick, arguments, code, words):
    _, run, _ = quick
    done = run("report", "quick", *arguments)
    assert done.code == code
    assert all(word in done.err for word in words)


def test_an_evaluation_is_told_where_its_analyses_are(quick):
    _, run, _ = quick
    assert run("eval", "small.onnx", "--data", "test.npz", "--out", "e", "--chips", "2", "--threads", "1").code == 0
    done = run("report", "e", "--add", "severity")
    assert done.code == 3
    assert "harden eval --also" in done.err


def test_data_that_changed_since_is_refused(quick):
    folder, run, _ = quick
    whole = (folder / "test.npz").read_bytes()
    arrays = dict(np.load(folder / "test.npz"))
    np.savez(folder / "test.npz", **{name: array[::-1] for name, array in arrays.items()})
    try:
        done = run("report", "quick", "--add", "severity")
    finally:
        (folder / "test.npz").write_bytes(whole)
    assert done.code not in (0, 1)
    assert "test_sha256" in done.err
