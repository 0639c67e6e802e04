"""Analyses, sweeps and replays from the command line, on the embedded network."""

from __future__ import annotations

import json


def test_analyses_land_in_their_own_keys(prepared, command):
    names = ("ranking", "sensitivity", "worst_case", "landscape", "corners", "stress", "per_chip")
    asked = [part for name in names for part in ("--also", name)]
    done = command(
        prepared, "eval", "small.onnx", "--chips", "4", "--limit", "60", "--out", "e", "--json", "-q", *asked
    )
    assert done.code == 0, done.err
    document = done.document
    assert document["clean"]["accuracy"] > 0.9
    keys = {row["key"] for row in document["perturbed"]}
    rows = document["sensitivity"]
    assert {row["key"] for row in rows} == keys
    assert all({"share", "drop", "gain"} <= set(row) for row in rows)
    assert 0 <= document["sensitivity_r2"] <= 1
    corners = [(entry["sweep"]["severity"], entry["sweep"]["stuck_at"]) for entry in document["corners"]]
    assert corners == [(scale, rate) for scale in (0.5, 1.0, 1.5, 2.0) for rate in (0.0, 0.001, 0.01)]
    assert [entry["sweep"]["severity"] for entry in document["stress"]] == [1.0, 1.1, 1.25, 1.4]
    assert document["worst_case"]
    assert document["landscape"]
    assert document["per_chip"]["chips"] == 20
    report = (prepared / "e" / "report.html").read_text()
    assert all(key in report for key in keys)


def test_the_worst_chips_are_kept_and_run_again(prepared, command):
    done = command(
        prepared,
        "eval",
        "small.onnx",
        "--chips",
        "6",
        "--out",
        "e",
        "--json",
        "-q",
        "--keep-worst",
        "1",
        "--worst-onnx",
    )
    assert done.code == 0, done.err
    (record,) = (prepared / "e" / "chips").glob("*.json")
    worst = min(done.document["conditions"][0]["accuracies"])
    again = command(prepared, "eval", "small.onnx", "--replay", str(record), "--json")
    assert again.code == 0, again.err
    assert again.document == {
        "schema": "harden.replay/1",
        "accuracy": worst,
        "recorded": worst,
        "same_model": True,
        "equal": True,
    }
    (chip,) = (prepared / "e" / "chips").glob("*.onnx")
    alone = command(prepared, "eval", str(chip), "--chips", "1", "--profile", "gaussian:sigma=0", "--json")
    assert alone.document["clean"]["accuracy"] == worst


def test_a_sweep_gives_an_entry_a_point(prepared, command):
    done = command(prepared, "eval", "small.onnx", "--chips", "4", "--sweep", "sigma=0:0.2:0.1", "--json")
    means = [entry["accuracy"]["mean"] for entry in done.document["conditions"]]
    assert [entry["sweep"]["sigma"] for entry in done.document["conditions"]] == [0.0, 0.1, 0.2]
    assert means[0] == done.document["clean"]["accuracy"]
    assert means[0] > means[1] > means[2]


def test_until_tells_the_mean_and_nothing_else(prepared, command):
    done = command(prepared, "eval", "small.onnx", "--until", "ci95(mean_accuracy)<0.05", "--json")
    assert done.code == 0, done.err
    entry = done.document["conditions"][0]
    low, high = entry["accuracy"]["ci95"]
    assert high - low <= 0.1 + 1e-9
    assert entry["accuracy"]["p05"] is None
    assert entry["yield"] is None


def test_compare_pairs_models_with_the_same_weights(prepared, command):
    fitted = command(prepared, "fit", "small.onnx", "--method", "rescale", "--chips", "4", "--out", "r", "--json")
    assert fitted.code == 0, fitted.err
    done = command(prepared, "compare", "small.onnx", "r/model.onnx", "--chips", "4", "--out", "c", "--json")
    (difference,) = done.document["differences"]
    assert difference["paired"]
    assert difference["mean"] > 0
    assert json.loads((prepared / "c" / "report.json").read_text()) == done.document


def test_rescaling_needs_no_data_and_keeps_the_function(prepared, tmp_path_factory, command):
    empty = tmp_path_factory.mktemp("empty")
    (empty / "m.onnx").write_bytes((prepared / "small.onnx").read_bytes())
    done = command(empty, "fit", "m.onnx", "--method", "rescale", "--profile", "gaussian:sigma=0.2", "--json")
    assert done.code == 0, done.err
    assert done.document["before"] is None
    assert done.document["after"] is None
    assert done.document["levers"]["rescale"]["change"] < 1e-4
    assert (empty / "runs" / "m-rescale-gaussian" / "model.onnx").exists()
