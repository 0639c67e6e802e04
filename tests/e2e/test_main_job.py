"""The main job on the embedded network: ONNX in, hardened ONNX out, proved in ONNX Runtime, with a report."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from documents import without_times
from forked import AVAILABLE
from onnx import numpy_helper

FIT = ("fit", "small.onnx", "--out", "a", "--json")


def test_the_gain_is_large_and_on_the_same_chips(finished):
    document = finished[1].document
    before, after = (document[stage]["conditions"][0] for stage in ("before", "after"))
    assert before["accuracy"]["mean"] < 0.45
    assert after["accuracy"]["mean"] > before["accuracy"]["mean"] + 0.3
    assert document["after"]["clean"]["accuracy"] > document["before"]["clean"]["accuracy"] - 0.05
    assert before["digest"] == after["digest"]
    assert len(after["accuracies"]) == after["chips"] == 6
    assert document["reported_on"] == "test"


def test_the_hardened_file_is_the_same_graph_with_other_weights(finished):
    folder, _ = finished
    old = onnx.load(folder / "small.onnx")
    new = onnx.load(folder / "a" / "model.onnx")
    assert [n.SerializeToString() for n in old.graph.node] == [n.SerializeToString() for n in new.graph.node]
    assert [i.SerializeToString() for i in old.graph.input] == [i.SerializeToString() for i in new.graph.input]
    assert [t.name for t in old.graph.initializer] == [t.name for t in new.graph.initializer]
    own = {p.key: p.value for p in old.metadata_props}
    got = {p.key: p.value for p in new.metadata_props}
    assert {k: v for k, v in got.items() if k in own} == own
    assert all(k.startswith("harden.") for k in got if k not in own)
    moved = [
        t.name
        for t, u in zip(old.graph.initializer, new.graph.initializer, strict=True)
        if not np.array_equal(numpy_helper.to_array(t), numpy_helper.to_array(u))
    ]
    weights = [t.name for t in old.graph.initializer if len(t.dims) > 1]
    assert set(weights) <= set(moved)


def test_the_report_comes_from_the_exported_file(finished):
    """The clean accuracy in the report is what ONNX Runtime says of the file, counted here."""
    folder, done = finished
    data = np.load(folder / "test.npz")
    session = onnxruntime.InferenceSession(folder / "a" / "model.onnx")
    record = json.loads(session.get_modelmeta().custom_metadata_map["harden.preprocess"])
    images = data[next(k for k in data.files if data[k].ndim > 1)].astype(np.float32)
    labels = data[next(k for k in data.files if data[k].ndim == 1)]
    x = (images.reshape(len(images), 1, 8, 8) / record["scale"] - record["mean"][0]) / record["std"][0]
    logits = session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[0]
    assert done.document["after"]["clean"]["accuracy"] == pytest.approx((logits.argmax(1) == labels).mean(), abs=1e-12)


def test_the_run_folder_holds_what_the_architecture_names(finished):
    folder = finished[0] / "a"
    names = {p.name for p in folder.iterdir()}
    assert {
        "settings.toml",
        "train.jsonl",
        "model.onnx",
        "model.safetensors",
        "trials.jsonl",
        "report.json",
        "report.html",
        "README.md",
    } <= names
    steps = [json.loads(line)["step"] for line in (folder / "train.jsonl").read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert [t["chip"] for t in trials] == list(range(6))
    assert {"profile", "at_s", "chip", "accuracy"} <= set(trials[0])
    links = (folder / "report.html").read_text().replace("http://www.w3.org", "")
    assert "http://" not in links
    assert "https://" not in links


def test_the_hardened_file_needs_no_flags(finished, without_page):
    folder, done = finished
    found = without_page(folder, "eval", "a/model.onnx", "--chips", "6", "--json")
    assert found.code == 0, found.err
    assert found.document["conditions"][0]["accuracy"] == done.document["after"]["conditions"][0]["accuracy"]


def test_the_same_command_on_a_finished_run_computes_nothing(finished, command):
    folder, done = finished
    written = {p: p.stat().st_mtime_ns for p in (folder / "a").iterdir()}
    again = command(folder, *FIT)
    assert (again.code, again.document) == (0, done.document)
    assert {p: p.stat().st_mtime_ns for p in (folder / "a").iterdir() if p.name != ".lock"} == {
        p: t for p, t in written.items() if p.name != ".lock"
    }


def test_two_runs_with_one_seed_are_identical_but_for_times(finished, prepared, without_page):
    folder, done = finished
    again = without_page(prepared, "fit", "small.onnx", "--out", "b", "--json")
    assert without_times(again.document) == without_times(done.document)
    for name in ("model.onnx", "model.safetensors", "train.jsonl", "trials.jsonl", "trials.before.jsonl"):
        assert (folder / "a" / name).read_bytes() == (prepared / "b" / name).read_bytes(), name


@pytest.mark.skipif(not AVAILABLE, reason="needs fork and pidfd (Linux)")
def test_a_killed_run_ends_with_the_same_bits(finished, prepared, without_page):
    folder, done = finished
    for marker in ("trials.before.jsonl", "train.jsonl", "trials.jsonl"):
        assert without_page(prepared, *FIT, kill_when=f"a/{marker}").code is None
    resumed = without_page(prepared, *FIT)
    assert resumed.code == 0, resumed.err
    assert without_times(resumed.document) == without_times(done.document)
    for name in ("model.onnx", "train.jsonl", "trials.jsonl"):
        assert (folder / "a" / name).read_bytes() == (prepared / "a" / name).read_bytes(), name


def test_a_folder_of_another_run_is_refused_and_kept(finished, tmp_path, command):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    done = command(folder, *FIT, "--seed", "1")
    assert done.code == 2
    assert "seed: 0 there, 1 asked for" in done.err
    assert (folder / "a" / "model.onnx").read_bytes() == (finished[0] / "a" / "model.onnx").read_bytes()


def test_require_decides_the_exit_code(finished, without_page):
    folder, _ = finished
    good = without_page(folder, "eval", "a/model.onnx", "--chips", "6", "--require", "mean_accuracy>=0.5")
    bad = without_page(folder, "eval", "a/model.onnx", "--chips", "6", "--require", "p05_accuracy>=0.999")
    never = without_page(folder, "eval", "a/model.onnx", "--chips", "6", "--require", "yield(0.5)>=0.99@95%")
    assert (good.code, bad.code, never.code) == (0, 6, 2)
    assert "p05_accuracy>=0.999 is not met" in bad.err
    assert "299" in never.err


def test_the_report_can_be_made_again_from_the_record(finished, tmp_path, command):
    run = tmp_path / "a"
    shutil.copytree(finished[0] / "a", run)
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    done = command(tmp_path, "report", "a", "--bom", "--json")
    assert done.code == 0, done.err
    assert (run / "report.html").read_bytes() == before
    assert done.document["schema"] == "harden.report/1"
    assert done.document["verdict"].startswith("Under gaussian noise")
    assert set(done.document["files"]) == {"html", "card", "record", "bom"}
    assert all((tmp_path / path).exists() for path in done.document["files"].values())
