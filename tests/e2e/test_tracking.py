"""--track: the numbers of train.jsonl on a dashboard, and the pip line where its package is missing."""

from __future__ import annotations

import sys
import types
import warnings

import pytest

from harden.errors import MissingExtraError
from harden.pipeline.tracking import check_tracking, tracked
from harden.settings import FitSettings

RECORDS = [{"step": 1, "loss": 2.5, "lr": 0.1}, {"step": 2, "loss": 1.5, "lr": 0.05}]


def _track(folder, name):
    settings = FitSettings.model_validate({"model": "m.onnx", "track": name})
    with tracked(settings, folder) as track:
        for record in RECORDS:
            track(record)


def test_tensorboard_gets_every_number(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        check_tracking("tensorboard")
        _track(tmp_path, "tensorboard")
        found = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
        found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(1, 2.5), (2, 1.5)]
    assert sorted(found.Tags()["scalars"]) == ["loss", "lr"]


def test_trackio_is_called_as_it_documents(tmp_path, monkeypatch, capsys):
    calls = []
    fake = types.ModuleType("trackio")
    fake.init = lambda **given: calls.append((given["project"], given["name"], given["config"]["track"]))
    fake.log = lambda numbers, step: calls.append((step, numbers))
    fake.finish = lambda: (calls.append("finish"), print("* Run finished."))
    monkeypatch.setitem(sys.modules, "trackio", fake)
    _track(tmp_path, "trackio")
    assert calls == [
        ("harden", tmp_path.name, "trackio"),
        (1, {"loss": 2.5, "lr": 0.1}),
        (2, {"loss": 1.5, "lr": 0.05}),
        "finish",
    ]
    assert capsys.readouterr().out == ""  # it prints, and stdout is for results


def test_a_missing_package_is_told_with_the_pip_line(monkeypatch):
    monkeypatch.setattr("harden.pipeline.tracking.importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'harden-onnx\[trackio\]'"):
        check_tracking("trackio")
