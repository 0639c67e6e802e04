"""Files are whole or absent, logs survive a kill, a folder holds one run."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.errors import HardenError, RunFolderError
from harden.runfolder import RunFolder, refuse_another_run
from harden.store import append_line, read_lines, write_atomic


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = write_atomic(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(HardenError, match=r"a\.txt.*No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@given(cut=st.integers(min_value=0, max_value=60))
def test_a_log_cut_anywhere_keeps_its_whole_lines(cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "trials.jsonl"
    for chip in range(3):
        append_line(path, {"chip": chip, "accuracy": 0.5})
    whole = path.read_bytes()
    cut = min(cut, len(whole))
    path.write_bytes(whole[: len(whole) - cut])
    kept = whole[: len(whole) - cut].count(b"\n")
    assert [r["chip"] for r in read_lines(path)] == list(range(kept))
    append_line(path, {"chip": "next"})
    assert [r["chip"] for r in read_lines(path)] == [*range(kept), "next"]


def test_a_log_damaged_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"a": 1}\nnot json\n{"a": 2}\n')
    with pytest.raises(HardenError, match="line 2"):
        list(read_lines(path))


def test_a_folder_of_another_run_is_refused_with_the_difference(tmp_path):
    with RunFolder(tmp_path / "run", "seed = 0\nlr = 0.1\n"):
        pass
    with pytest.raises(RunFolderError) as caught, RunFolder(tmp_path / "run", "seed = 1\nlr = 0.1\n"):
        pass
    assert caught.value.exit_code == 2
    assert caught.value.problems == ("seed: 0 there, 1 asked for",)


def test_a_folder_of_something_else_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunFolderError, match=r"thesis\.tex"), RunFolder(tmp_path, ""):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_in_use_is_refused(tmp_path):
    with (
        RunFolder(tmp_path / "run", ""),
        pytest.raises(RunFolderError, match="another process"),
        RunFolder(tmp_path / "run", ""),
    ):
        pass


def _hold(folder, ready):
    with RunFolder(folder, ""):
        ready.set()
        signal.pause()


def test_the_lock_dies_with_its_process(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path / "run"), ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(RunFolderError, match="another process"), RunFolder(tmp_path / "run", ""):
        pass
    process.kill()
    process.join()
    with RunFolder(tmp_path / "run", ""):
        pass


def test_errors_survive_pickling_and_json(tmp_path):
    import pickle

    error = RunFolderError("what", where="here", fix="do this", problems=("a", "b"))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.problems == error.problems
    assert json.dumps(str(again))


def test_another_run_is_refused_before_anything_is_resolved(tmp_path):
    with RunFolder(tmp_path / "run", "seed = 0\n\n[resolved]\nthreads = 2\n"):
        pass
    refuse_another_run(tmp_path / "run", "seed = 0\n")
    refuse_another_run(tmp_path / "absent", "seed = 0\n")
    with pytest.raises(RunFolderError, match="seed: 0 there, 1 asked for"):
        refuse_another_run(tmp_path / "run", "seed = 1\n")
    assert not (tmp_path / "absent").exists()


def test_lists_and_tables_of_another_run_are_shown_whole(tmp_path):
    with RunFolder(tmp_path / "run", 'at = [\n    1.0,\n    2.0,\n]\n\n[options]\nbeta = 0.1\nname = "x"\n'):
        pass
    with pytest.raises(RunFolderError) as caught, RunFolder(tmp_path / "run", 'at = [1.0]\n[options]\nname = "x"\n'):
        pass
    assert caught.value.problems == (
        "at: [1.0, 2.0] there, [1.0] asked for",
        "options.beta: 0.1 there, nothing asked for",
    )
