"""Where memory does not suffice for the trials: fewer workers, then smaller batches; kept, told, and the same bits."""

from __future__ import annotations

import json

import pytest

from harden.data.dataset import Dataset
from harden.data.embedded import content
from harden.evaluation import trials as trials_module
from harden.evaluation.evaluate import evaluate
from harden.evaluation.layout import Layout
from harden.graph.file import Model
from harden.memory import OutOfMemoryError, amount, limited
from harden.noise.profile import Profile

SAID = "[ONNXRuntimeError] : 1 : FAIL : bfc_arena.cc Failed to allocate memory for requested buffer of size 4294967296"


@pytest.fixture
def digits(tmp_path):
    for name in ("digits_cnn.onnx", "test.npz"):
        (tmp_path / name).write_bytes(content(name))
    model = Model.load(tmp_path / "digits_cnn.onnx")
    return model, Dataset.open(tmp_path / "test.npz", preprocess=model.preprocess, limit=60)


@pytest.fixture
def small_memory(monkeypatch):
    """Room for so many images at a time over all workers."""
    real = trials_module.TrialRunner.__call__

    def make(images):
        def call(self, task):
            if self._feed.batch * self._layout.workers > images:
                raise RuntimeError(SAID)
            return real(self, task)

        monkeypatch.setattr(trials_module.TrialRunner, "__call__", call)

    return make


def run(digits, trials=None, **values):
    model, data = digits
    given = {"chips": 3, "layout": Layout(2, 1), "threads": 2, **values}
    return evaluate(model, Profile.parse("gaussian:sigma=0.2"), data, trials=trials, **given).document


def test_fewer_workers_go_on_with_the_same_numbers(digits, small_memory, tmp_path):
    expected = run(digits)
    small_memory(32)
    found = run(digits, tmp_path / "trials.jsonl")
    assert found["conditions"] == expected["conditions"]
    assert found["runtime"]["memory"] == "ran short: 1 worker instead"
    assert found["runtime"]["workers"] == 1


def test_smaller_batches_are_remembered_by_a_resumed_run(digits, small_memory, tmp_path, monkeypatch):
    small_memory(8)
    log = tmp_path / "trials.jsonl"
    found = run(digits, log)
    assert found["runtime"]["memory"] == "ran short: 1 worker and batches of 8 instead"
    assert json.loads((tmp_path / "memory.trials.json").read_text()) == {"batch_size": 8}
    lines = log.read_bytes()
    log.write_bytes(lines[: len(lines) // 2])
    monkeypatch.undo()  # now there would be room
    again = run(digits, log)
    assert again["runtime"]["batch_size"] == 8
    assert log.read_bytes() == lines


def test_one_image_on_one_worker_that_is_too_much_ends_with_the_way_out(digits, small_memory):
    small_memory(0)
    with pytest.raises(OutOfMemoryError, match="--max-memory"):
        run(digits)


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "1XB", "8 G B"])
def test_amounts_that_mean_nothing_are_refused(text):
    with pytest.raises(ValueError, match="such as 8GB"):
        amount(text)


def test_the_limit_is_the_systems_own_and_ends_with_its_block():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited("900GB"):
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 900 * 10**9
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_limit_below_what_is_held_and_a_system_without_limits_are_said(monkeypatch):
    with pytest.raises(Exception, match=r"less than the .* GB"), limited("1MB"):
        pass
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(Exception, match="needs Linux"), limited("8GB"):
        pass
