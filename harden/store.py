"""The run folder: atomic files, append-only logs, a lock, and resume.

A run folder is a directory whose ``settings.toml`` says which run it holds. Whoever opens it with other settings is
refused, with the difference; whoever opens it while another process works in it is refused too. A file is either absent
or whole, and what a killed process left half-written is gone when the folder is opened again.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from harden.errors import InputError, RunFolderError, WriteError
from harden.parsing import parse_json, parse_toml, read_text

SETTINGS = "settings.toml"
_LOCK = ".lock"
_TEMPORARY = ".harden-tmp-"  # prefix of files that are being written
_SCRATCH = "harden-scratch-"  # prefix of folders for files that a process needs while it runs
_YOUNG_S = 60.0  # a scratch folder this young may not have its lock yet
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)  # what file systems without it answer


def write_atomic(path: Path | str, content: bytes | str) -> Path:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    Args:
        path: The file; its folder must exist.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        The path.

    Raises:
        WriteError: The file cannot be written (a full disk, a read-only folder); the old file is kept.
    """
    path = Path(path)
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of ``path`` when the block ends, and leaves no trace when it fails.

    Args:
        path: The file; its folder must exist.

    Yields:
        The new file, open for writing; the block may seek in it.

    Raises:
        WriteError: The file cannot be written (a full disk, a read-only folder); the old file is kept.
    """
    temporary = path.with_name(f"{_TEMPORARY}{path.name[:100]}-{uuid.uuid4().hex[:12]}")
    try:
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(error, path) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut, where a folder can be opened and synced; Windows has no such call."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def _unwritable(error: OSError, path: Path) -> WriteError:
    fixes = {
        errno.ENOSPC: "Free some space and repeat the command: it goes on where it was",
        errno.EDQUOT: "Free some space and repeat the command: it goes on where it was",
        errno.EROFS: "Name a folder that can be written: --out",
        errno.EACCES: "Name a folder that can be written: --out",
    }
    return WriteError(f"cannot be written ({error.strerror})", where=str(path), fix=fixes.get(error.errno or 0))


def similar(path: Path) -> str:
    """``Did you mean NAME? `` where the folder of a path that does not exist holds something of a similar name.

    Example:
        >>> similar(Path("nowhere/at/all"))
        ''
    """
    try:
        beside = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):  # no folder, or a name that no file can have
        return ""
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"Did you mean {path.with_name(near[0])}? " if near else ""


def append_line(path: Path | str, record: Mapping[str, Any]) -> None:
    """Append one JSON line and flush it, so that a killed process loses at most the line it was writing.

    Args:
        path: The log; created when absent. A torn last line of an earlier process is cut off first.
        record: What to write. Keys keep their order.

    Raises:
        WriteError: The log cannot be written.
    """
    path = Path(path)
    line = json.dumps(record, separators=(", ", ": "), allow_nan=True) + "\n"
    try:
        with path.open("ab+") as file:
            _cut_torn_line(file)
            file.write(line.encode())
    except OSError as error:
        raise _unwritable(error, path) from error


def _cut_torn_line(file: Any) -> None:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    whole = file.read().rfind(b"\n") + 1
    file.truncate(whole)
    file.seek(whole)


def read_lines(path: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a log; a torn last line, left by a killed process, is dropped.

    Args:
        path: The log. An absent file has no records.

    Yields:
        One record a line.

    Raises:
        InputError: A line before the last is not JSON, so the log was damaged by something else.
    """
    path = Path(path)
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield parse_json(line, f"{path}, line {number}", "a line of the log is damaged", _AGAIN)


_AGAIN = "Restore the file, or name another --out"


def sync(path: Path) -> None:
    """Bring a log to the disk, so that it outlives a power cut; an absent file is left absent."""
    if not path.exists():
        return
    try:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(error, path) from error


def read_record(path: Path) -> Any:
    """What a finished step of a run left as JSON; None where it left nothing yet.

    Raises:
        InputError: The file is damaged.
    """
    if not path.exists():
        return None
    return parse_json(read_text(path, None), str(path), "the record is damaged", "Delete it to do that step again")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what a process needs while it runs; gone afterwards, and after a kill when the next one is made.

    Yields:
        The folder, empty.

    Raises:
        WriteError: It cannot be made.
    """
    _sweep_scratch()
    try:
        folder = tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True)  # Windows: mapped files
    except OSError as error:
        raise _unwritable(error, Path(tempfile.gettempdir())) from error
    with folder as name, Path(name, _LOCK).open("a") as lock:
        _lock_file(lock)
        inside = Path(name, "files")
        inside.mkdir()
        yield inside


def _sweep_scratch() -> None:
    """Remove the scratch folders of killed processes: those whose lock nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):  # another user's, in use, or gone in the meantime
            if time.time() - folder.stat().st_mtime < _YOUNG_S:
                continue
            with (folder / _LOCK).open("a") as lock:
                _lock_file(lock)
                shutil.rmtree(folder, ignore_errors=True)


class RunFolder:
    """A folder that belongs to one run while it is open.

    Use as a context manager. Opening creates the folder, takes its lock and compares its settings.

    Args:
        path: The folder. It must be absent, empty, or hold a run of the same settings.
        settings: The settings that identify the run, as TOML text.

    Raises:
        RunFolderError: The folder holds another run (the difference is shown), something that is no run, or is in use.
        WriteError: The folder cannot be written.
    """

    def __init__(self, path: Path | str, settings: str) -> None:
        self.path = Path(path)
        self.settings = settings
        self._lock: Any = None

    def __enter__(self) -> RunFolder:
        self._refuse_foreign()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"cannot create the folder ({error.strerror})", where=str(self.path)) from error
        self._take_lock()
        try:
            for left in self.path.rglob(f"{_TEMPORARY}*"):
                left.unlink(missing_ok=True)
            known = self.path / SETTINGS
            if known.exists():
                self._compare(read_text(known, None))
            else:
                write_atomic(known, self.settings)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The lock file stays: removing it would let a third process lock a new file while a second still holds the old.
        self._lock.close()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def _refuse_foreign(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError("is a file, not a folder", where=str(self.path), fix="Name another --out")
        if self.path.is_dir() and not (self.path / SETTINGS).exists():
            others = sorted(p.name for p in self.path.iterdir() if not p.name.startswith((_LOCK, _TEMPORARY)))
            if others:
                raise RunFolderError(
                    f"the folder is not empty and holds no run ({', '.join(others[:3])})",
                    where=str(self.path),
                    fix="Name another --out",
                )

    def _take_lock(self) -> None:
        try:
            self._lock = (self.path / _LOCK).open("a")
        except OSError as error:
            raise _unwritable(error, self.path) from error
        try:
            _lock_file(self._lock)
        except OSError as error:
            self._lock.close()
            raise RunFolderError(
                "another process is working in this folder",
                where=str(self.path),
                fix="Wait for it, or name another --out",
            ) from error

    def _compare(self, known: str) -> None:
        if known != self.settings:
            raise _another_run(self.path, known, self.settings)


def no_finished_run(folder: Path, record: str) -> InputError:
    """What is said of a folder without the record that a run leaves at its end."""
    if (folder / SETTINGS).exists():
        what, fix = f"the run in it is not finished (no {record})", "The command that began it resumes it"
        return InputError(what, where=str(folder), fix=fix)
    return InputError(f"holds no run (no {record})", where=str(folder), fix="Run harden fit or eval with --out")


def refuse_another_run(path: Path | str, settings: str) -> None:
    """Refuse a folder that holds a run of other settings, before anything that takes time is opened.

    Args:
        path: The folder; it may be absent.
        settings: As of :class:`RunFolder`, without what is resolved later: that is not compared.

    Raises:
        RunFolderError: The folder holds another run.
    """
    kept = Path(path) / SETTINGS
    if kept.exists():
        known = read_text(kept, None).partition("[resolved]")[0].rstrip()
        if known != settings.rstrip():
            raise _another_run(Path(path), known, settings)


def _another_run(path: Path, known: str, asked: str) -> RunFolderError:
    there, here = _pairs(known), _pairs(asked)
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return RunFolderError(
        "the folder holds a run of other settings",
        where=str(path),
        fix="Name another folder with --out, or repeat that run's command to resume it",
        problems=[
            f"{name}: {there.get(name, 'nothing')} there, {here.get(name, 'nothing')} asked for" for name in names
        ],
    )


def _pairs(settings: str) -> dict[str, str]:
    """Every value of a TOML text by its dotted name, as it is written there."""
    found: dict[str, str] = {}
    for name, value in parse_toml(settings, None).items():
        inner = value if isinstance(value, dict) else {"": value}
        found |= {f"{name}.{key}".rstrip("."): json.dumps(one, default=str) for key, one in inner.items()}
    return found


def _lock_file(file: Any) -> None:
    """Take an exclusive OS lock without waiting; the system releases it when the process dies, however it dies."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
