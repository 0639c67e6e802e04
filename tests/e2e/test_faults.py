"""Full disks, missing and changed files, damaged records, Ctrl-C: one clear line, the right exit code, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import small_digits

from harden.cli import command_output, main

EVAL = [
    "eval", "small.onnx", "--data", "test.npz", "--chips", "4", "--limit", "40", "--threads", "1", "-q",
    "--out", "run",
]  # fmt: skip


@pytest.fixture
def harden(prepared, monkeypatch, capsys):
    """The command line, in this process and in a prepared folder."""
    monkeypatch.chdir(prepared)

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        return int(caught.value.code or 0), capsys.readouterr().err.strip()

    return call


def trials(prepared):
    return (prepared / "run" / "trials.jsonl").read_bytes()


def test_a_full_disk_is_told_and_the_same_command_goes_on(harden, prepared, monkeypatch, pace):
    assert harden(*EVAL)[0] == 0
    whole = trials(prepared)
    shutil.rmtree(prepared / "run")
    pace(commit_trials=2)
    real, left = os.fsync, [6]

    def full(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        code, said = harden(*EVAL)
    assert code == 3
    assert "No space left on device" in said
    assert "repeat the command" in said
    assert len(said.splitlines()) == 1
    assert whole.startswith(trials(prepared))
    assert not [p for p in (prepared / "run").rglob("*") if p.name.startswith(".harden-tmp-")]
    assert harden(*EVAL) == (0, "")
    assert trials(prepared) == whole


def test_a_folder_that_cannot_be_written_is_told(harden, prepared, monkeypatch):
    real = Path.open

    def refuse(self, mode="r", *rest, **named):
        if "run" in self.parts and mode[0] in "wax":
            raise OSError(errno.EROFS, "Read-only file system")
        return real(self, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", refuse)
    code, said = harden(*EVAL)
    assert code == 3
    assert "Read-only file system" in said
    assert "--out" in said


def _changed(folder):
    data = dict(np.load(folder / "test.npz"))
    name = next(key for key, value in data.items() if value.ndim > 1)
    data[name] = np.ascontiguousarray(data[name][::-1])
    np.savez(folder / "test.npz", **data)


FAULTS = [
    ("missing data", lambda f: (f / "test.npz").unlink(), 3, "test.npz"),
    ("changed data", _changed, 2, "data_sha256"),
    ("changed model", lambda f: _append(f / "small.onnx", b"\x32\x00"), 2, "model_sha256"),
    ("damaged record", lambda f: (f / "run" / "report.json").write_text('{"a": '), 3, "report.json"),
    ("deep record", lambda f: (f / "run" / "report.json").write_text("[" * 10**5), 3, "nested too deeply"),
    ("damaged sums", lambda f: _unfinished(f, "probabilities.safetensors", b"\0" * 99), 2, "probabilities.safetensors"),
    ("damaged log", lambda f: _unfinished(f, "trials.jsonl", b"{]\n{}\n"), 3, "trials.jsonl, line 1"),
    ("log of another run", lambda f: _unfinished(f, "trials.jsonl", b'{"chip": 0}\n'), 2, "another run"),
]  # fmt: skip


def _append(path, content):
    path.write_bytes(path.read_bytes() + content)


def _unfinished(folder, name, content):
    (folder / "run" / "report.json").unlink()
    (folder / "run" / name).write_bytes(content)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A folder with a finished evaluation; copied by those who damage it."""

    folder = tmp_path_factory.mktemp("evaluated")
    small_digits.write(folder)
    (folder / "harden.toml").write_text('profile = "gaussian:sigma=0.2"\n')
    here = Path.cwd()
    os.chdir(folder)
    try:
        with pytest.raises(SystemExit) as caught:
            main(EVAL)
        assert not caught.value.code
    finally:
        os.chdir(here)
    return folder


@pytest.mark.parametrize(("name", "damage", "code", "hint"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_what_is_missing_changed_or_damaged_is_named(
    name, damage, code, hint, evaluated, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "copy"
    shutil.copytree(evaluated, folder)
    monkeypatch.chdir(folder)
    damage(folder)
    kept = {p.name: p.read_bytes() for p in (folder / "run").iterdir() if p.is_file()}
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(EVAL)
    said = capsys.readouterr().err
    assert caught.value.code == code, said
    assert said.startswith("error: ")
    assert "bug" not in said
    assert hint in said
    assert {p.name: p.read_bytes() for p in (folder / "run").iterdir() if p.is_file()} == kept


def test_a_log_that_lost_its_last_lines_is_filled_up_with_the_same_numbers(evaluated, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(evaluated, folder)
    monkeypatch.chdir(folder)
    run = folder / "run"
    before, whole = json.loads((run / "report.json").read_text()), (run / "trials.jsonl").read_bytes()
    (run / "report.json").unlink()
    (run / "trials.jsonl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit):
        main(EVAL)
    after = json.loads((run / "report.json").read_text())
    assert (run / "trials.jsonl").read_bytes() == whole
    assert after["conditions"] == before["conditions"]


def test_divergence_ends_with_code_4_and_the_way_out(harden, prepared):
    code, said = harden(
        "fit", "small.onnx", "--data", "train.npz", "--method", "noise", "--lr", "1e30", "--gradient-clip", "1e30",
        "--clip", "none", "--chips", "2", "--limit", "200", "--threads", "1", "--out", "run", "-q",
    )  # fmt: skip
    assert code == 4
    assert "diverged twice" in said
    assert "Lower --lr" in said
    assert (prepared / "run" / "checkpoint.safetensors").exists()
    assert not (prepared / "run" / "model.onnx").exists()


@pytest.mark.parametrize(("out", "hint"), [(True, "--out run"), (False, "only with --out")])
def test_ctrl_c_prints_the_command_that_goes_on(harden, monkeypatch, out, hint):
    def interrupt(self, stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    arguments = EVAL if out else EVAL[:-2]
    with monkeypatch.context() as keyboard:
        keyboard.setattr(command_output.Screen, "__call__", interrupt)
        code, said = harden(*arguments)
    assert code == 130
    assert said.startswith("interrupted; to resume: harden eval small.onnx --data test.npz")
    assert hint in said
    if out:
        assert harden(*arguments) == (0, "")
