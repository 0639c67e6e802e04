"""A metric of the user's own: from the current folder, with all outputs and inputs, as the headline, and selecting."""

from __future__ import annotations

import json

import numpy as np
import pytest
import toys
from click.testing import CliRunner
from onnx import helper

from harden.cli import cli
from harden.data.dataset import Dataset
from harden.data.preprocess import Preprocess
from harden.evaluation.evaluate import evaluate

PLAIN = Preprocess(mean=(0.0,), std=(1.0,), scale=1.0, channels=1)
MODULE = """
import numpy as np

def spearman(output, labels):
    ranks = [np.argsort(np.argsort(x)) for x in (output[:, 0], labels)]
    return float(np.corrcoef(*ranks)[0, 1])

def off(output, labels, inputs, outputs):
    assert set(inputs) == {"x"} and set(outputs) == {"y", "z"}
    return float(np.abs(outputs["z"] - inputs["x"][:, :1]).mean())

off.greater_is_better = False
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stsm_of_mine.py").write_text(MODULE)
    x = toys.numbers(60, 6, seed=1)
    w = toys.numbers(6, 1)
    tensors = {"w": w, "v": np.eye(6)[:, :1]}
    nodes = [helper.make_node("MatMul", ["x", name], [out]) for name, out in (("w", "y"), ("v", "z"))]
    model = toys.model(nodes, {"x": ["n", 6]}, {"y": ["n", 1], "z": ["n", 1]}, tensors)
    y = (x @ w)[:, 0] + toys.numbers(60, seed=2)
    model.save(tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return model, x, y


def test_it_gets_what_its_signature_asks_for_and_may_be_the_headline(here):
    model, x, y = here
    data, names = Dataset.from_arrays(x, y, PLAIN), ["stsm_of_mine:off", "stsm_of_mine:spearman"]
    record = evaluate(
        model, "gaussian:sigma=0.1", data, chips=8, threads=1, metrics=names, headline="metric", threshold=0.05
    )
    condition = record.conditions[0]
    assert condition.measure.better == "less"
    assert record.clean.score == pytest.approx(0)
    scores = np.array(condition.scores)
    assert condition.score.mean == pytest.approx(condition.metrics["stsm_of_mine:off"].mean)
    assert condition.yield_.value == (scores <= 0.05).mean()
    assert condition.worst_chip == scores.argmax()
    ranks = [np.argsort(np.argsort(values)) for values in (x @ toys.numbers(6, 1)[:, 0], y)]
    assert record.clean.metrics["stsm_of_mine:spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_it_selects_and_is_what_the_report_is_about(here, tmp_path):
    flags = (
        "--mean 0 --std 1 --metric stsm_of_mine:spearman --select metric --profile gaussian:sigma=0.2 --method noise "
        "--epochs 1 --chips 3 --threads 1 --second-try off --require p05_metric>=0.1 --out run -q"
    )
    command = ["fit", "net.onnx", "--data", "data.npz", "--test", "test.npz", *flags.split()]
    np.savez("test.npz", **{name: part[:50] for name, part in np.load("data.npz").items()})
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "run" / "report.json").read_text())
    assert all(set(row) == {"step", "metric"} for row in document["training"]["validation"])
    after = document["after"]["conditions"][0]
    assert after["measure"]["title"] == "spearman"
    assert after["requirements"][0]["met"]
    # The head without labels is kept, and the report says so.
    assert document["after"]["clean"]["values"]["output z"] > 0.9
    assert "Concordance of the output z" in (tmp_path / "run" / "report.html").read_text()
