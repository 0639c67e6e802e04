"""Killed at any moment, a run goes on with the same command and ends with the bits of one that was not killed.

The kills are real (SIGKILL); the process is a fork of one that has imported everything, so that hundreds cost little.
Intervals between checkpoints are shortened there, for the runs are short; that the real ones keep their word is tested
in tests/training/test_checkpoints.py.
"""

from __future__ import annotations

import json
import random
import shlex
import shutil
import signal
from collections import Counter

import pytest
import small_digits
from documents import without_times
from forked import AVAILABLE

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs fork and pidfd (Linux)")

FIT = [
    "fit", "small.onnx", "--data", "train.npz", "--test", "test.npz", "--profile", "gaussian:sigma=0.2",
    "--threads", "1", "-q", "--method", "noise", "--chips", "3", "--limit", "200", "--batch-size", "16",
    "--budget", "60s", "--controls", "--protect", "auto:5%", "--out", "run",
]  # fmt: skip
EVAL = [
    "eval", "small.onnx", "--data", "test.npz", "--profile", "gaussian:sigma=0.2", "--profile", "rram1", "-q",
    "--chips", "6", "--limit", "100", "--threads", "1", "--column-baseline", "--also", "stress", "--out", "run",
]  # fmt: skip
# Less to do, intervals that a run of seconds reaches, and a pilot that always finds room for the same steps.
SHORT = {
    "checkpoint_s": 0.1, "patience": 0.0, "commit_trials": 3, "commit_s": 0.1, "budget_steps": 16,
    "protection_passes": 4, "protection_checks": 1, "protection_chips": 2, "severity_scales": (0.0, 1.0),
    "ranking_passes": 4, "ranking_chips": 3, "page": False,
}  # fmt: skip
# What a run has done, by the last of these files that is there.
PHASES = {
    "settings.toml": "start", "trials.before.jsonl": "chips before", "trials.column-0.jsonl": "column baseline",
    "protect.json": "pilot", "budget.json": "training", "checkpoint.safetensors": "training, with a checkpoint",
    "model.safetensors": "export", "model.onnx": "check", "training.json": "after the check",
    "trials.jsonl": "chips after", "checkpoint.none.safetensors": "control", "trials.none.jsonl": "chips of a control",
    "controls.json": "other control", "trials.none_bare.jsonl": "chips of the other control",
    "trials.severity-before.jsonl": "severity", "trials.severity-after.jsonl": "severity, second curve",
    "report.html": "report",
}  # fmt: skip


def call(processes, folder, arguments, **end):
    """Run the command line; the file ``out`` gets what this run printed."""
    (folder / "out").unlink(missing_ok=True)
    return processes.ask(folder, arguments, out="out", err="out", pacing=SHORT, **end)


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    small_digits.write(folder)
    return folder


def result(run):
    """Everything that must be equal: the bits of each file, and the report apart from times."""
    names = (
        "model.onnx",
        "model.safetensors",
        "train.jsonl",
        "settings.toml",
        *sorted(p.name for p in run.glob("trials*")),
    )
    files = {name: (run / name).read_bytes() for name in names if (run / name).exists()}
    assert not [p.name for p in run.rglob(".harden-tmp-*")]
    return {**files, "report.json": without_times(json.loads((run / "report.json").read_text()))}


def phase(run):
    there = {p.name for p in run.iterdir()} if run.exists() else set()
    writing = ", in the middle of a write" if any(name.startswith(".harden-tmp-") for name in there) else ""
    last = next((words for name, words in reversed(PHASES.items()) if name in there), "before the start")
    return ("done" if "report.json" in there else last) + writing


def unbroken(processes, folder, arguments):
    done = call(processes, fresh(folder), arguments)
    assert done["code"] == 0, (folder / "out").read_text()
    return result(folder / "run"), done["seconds"]


def kill_many(processes, folder, arguments, kills, chain):
    """Kill at random moments, up to ``chain`` times per run, finish, compare; until there were so many kills."""
    expected, seconds = unbroken(processes, folder / "unbroken", arguments)
    chance, seen = random.Random(0), Counter[str]()
    while seen.total() < kills:
        here = fresh(folder / "killed")
        for _ in range(min(chain, kills - seen.total())):
            done = call(processes, here, arguments, kill_after=chance.uniform(0, seconds))
            if not done["killed"]:
                assert done["code"] == 0, (here / "out").read_text()
                break
            seen[phase(here / "run")] += 1
        done = call(processes, here, arguments)
        assert done["code"] == 0, (here / "out").read_text()
        assert result(here / "run") == expected, seen
    return seen


@pytest.mark.parametrize(("arguments", "kills"), [(FIT, 4), (EVAL, 3)], ids=["fit", "eval"])
def test_a_few_kills(processes, tmp_path, arguments, kills):
    assert kill_many(processes, tmp_path, arguments, kills, chain=kills).total() == kills
    if arguments is FIT:  # what the runs here leave out of a real one is left out
        document = json.loads((tmp_path / "unbroken" / "run" / "report.json").read_text())
        assert document["severity"]["scale"] == [0.0, 1.0]


def test_ctrl_c_ends_a_training_with_the_command_that_resumes_it(processes, tmp_path):
    here = fresh(tmp_path / "interrupted")
    done = call(processes, here, FIT, kill_when="run/budget.json", signal=int(signal.SIGINT))
    assert done["code"] == 130
    last = (here / "out").read_text().splitlines()[-1]
    assert last == f"interrupted; to resume: harden {shlex.join(FIT)}"
    assert call(processes, here, FIT)["code"] == 0, (here / "out").read_text()
    result(here / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "kills"), [(FIT, 140), (EVAL, 60)], ids=["fit", "eval"])
def test_two_hundred_kills_at_random_moments(processes, tmp_path, arguments, kills, capsys, monkeypatch):
    monkeypatch.setitem(SHORT, "page", True)
    seen = kill_many(processes, tmp_path, arguments, kills, chain=6)
    with capsys.disabled():
        print(
            f"\n{seen.total()} kills of {arguments[0]}:",
            *(f"{n} {words}" for words, n in seen.most_common()),
            sep="\n  ",
        )
    assert seen.total() == kills


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [FIT, EVAL], ids=["fit", "eval"])
def test_death_before_every_write_that_makes_a_file_durable(processes, tmp_path, arguments):
    """Each process dies before its own write number 0, 1, 2, ... (fsync or rename), and the next goes on from there."""
    expected, _ = unbroken(processes, tmp_path / "unbroken", arguments)
    here = fresh(tmp_path / "killed")
    number, kills = 0, 0
    while True:
        done = call(processes, here, arguments, kill_at=number)
        if not done["killed"]:
            break
        kills += 1
        assert kills < 1000, f"no headway: {phase(here / 'run')}"
        number = number + 1 if number < 40 else 3  # beyond what a stage writes in a row, and again from the front
    assert done["code"] == 0, (here / "out").read_text()
    assert result(here / "run") == expected
    assert kills > 10
