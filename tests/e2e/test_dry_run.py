"""--dry-run: the resolved settings and the cost, from timed steps; nothing written."""

from __future__ import annotations

import pytest

from harden.cli import main
from harden.memory import peak_memory_bytes


def _files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_dry_fit_tells_settings_work_and_cost_and_writes_nothing(prepared, command):
    before = _files(prepared)
    done = command(prepared, "fit", "--dry-run", "--json", "--seeds", "3", "--chips", "5")
    assert done.code == 0, done.err
    document = done.document
    assert _files(prepared) == before
    origins = {row["name"]: row["origin"] for row in document["settings"]}
    assert origins["chips"] == "--chips"
    assert origins["profile"] == "harden.toml, line 4: profile"
    assert origins["optimizer"] == "default"
    estimate = document["estimate"]
    assert {"training", "chips before", "chips after", "severity curve"} <= estimate["seconds"].keys()
    assert all(value > 0 for value in estimate["seconds"].values())
    assert estimate["total_s"] == pytest.approx(3 * sum(estimate["seconds"].values()))
    assert estimate["memory_bytes"] > 1e8
    examples = {name: data["examples"] for name, data in document["data"].items()}
    assert document["resolved"]["steps"] == round(3 * examples["training"] / 32)
    assert document["writes"] == "runs/small-noise-gaussian"


@pytest.mark.parametrize("words", [["eval"], ["compare", "small.onnx", "copy.onnx"]])
def test_dry_eval_and_compare(words, prepared, monkeypatch, capsys):
    (prepared / "copy.onnx").write_bytes((prepared / "small.onnx").read_bytes())
    monkeypatch.chdir(prepared)
    before = _files(prepared)
    with pytest.raises(SystemExit) as caught:
        main([*words, "--dry-run", "--out", "a", "--require", "p05_accuracy>=1"])
    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert _files(prepared) == before
    assert "profile  gaussian:sigma=0.2  (harden.toml, line 4: profile)" in out
    assert "chips of small.onnx: " in out
    assert "nothing was written; the run would write to a" in out


def test_a_dry_run_refuses_what_the_run_would_refuse(prepared, monkeypatch, capsys):
    monkeypatch.chdir(prepared)
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--dry-run", "--method", "nfft"])
    assert caught.value.code == 2
    assert "Did you mean nft" in capsys.readouterr().err


def test_peak_memory_covers_what_is_held():
    held = bytearray(50_000_000)
    peak = peak_memory_bytes()
    assert peak is not None
    assert len(held) < peak < 1e12
