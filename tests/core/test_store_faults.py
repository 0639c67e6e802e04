"""The store where systems differ or fail: other locks, folders that cannot be synced, what killed processes left."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
import types
from pathlib import Path

import pytest

from harden import store
from harden.errors import RunFolderError, WriteError
from harden.runfolder import RunFolder
from harden.store import scratch, write_atomic


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").touch()
    for name in (".harden-tmp-settings.toml-1", ".harden-tmp-settings.toml-2"):
        (run / name).write_text("half")
    with RunFolder(run, "seed = 0\n"):
        assert sorted(p.name for p in run.rglob("*")) == [".lock", "settings.toml"]


def test_long_names_can_be_written(tmp_path):
    assert write_atomic(tmp_path / ("n" * 250), "x").read_text() == "x"


def test_a_folder_that_cannot_be_synced_is_no_failure_and_a_failing_disk_is(tmp_path, monkeypatch):
    real = os.fsync

    def refuse(code):
        def call(handle):
            if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112
                raise OSError(code, os.strerror(code))
            real(handle)

        return call

    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    write_atomic(tmp_path / "a", "x")
    if Path("/proc/self/fd").exists():
        monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
        with pytest.raises(WriteError, match="Input/output error"):
            write_atomic(tmp_path / "a", "y")
    monkeypatch.setattr(os, "fsync", real)
    monkeypatch.delattr(os, "O_DIRECTORY", raising=False)  # as on Windows
    assert write_atomic(tmp_path / "a", "z").read_text() == "z"


def test_the_lock_of_windows(tmp_path, monkeypatch):
    held = set()

    def locking(handle, mode, count):
        number = os.fstat(handle).st_ino
        if (mode, count) != (3, 1) or number in held:
            raise PermissionError(errno.EACCES, "Permission denied")
        held.add(number)

    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=3))
    monkeypatch.setattr(store.sys, "platform", "win32")
    with (
        RunFolder(tmp_path / "run", ""),
        pytest.raises(RunFolderError, match="another process"),
        RunFolder(tmp_path / "run", ""),
    ):
        pass
    assert len(held) == 1


def test_scratch_folders_go_and_those_of_killed_processes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "harden-scratch-left"
    (left / "files").mkdir(parents=True)
    long_ago = time.time() - 3600
    os.utime(left, (long_ago, long_ago))
    with scratch() as mine:
        assert not left.exists()
        assert list(mine.iterdir()) == []
        os.utime(mine.parent, (long_ago, long_ago))
        with scratch() as other:  # a folder whose lock is held stays, however old it is
            assert mine.exists()
            assert other != mine
    assert list(tmp_path.iterdir()) == []


def test_a_full_temporary_folder_is_told(monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with pytest.raises(WriteError, match="No space left"), scratch():
        pass
