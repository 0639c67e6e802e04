"""The run folder: atomic files, append-only logs, a lock, and resume.

A run folder is a directory whose ``settings.toml`` says which run it holds. Whoever opens it with other settings is
refused, with the difference; whoever opens it while another process works in it is refused too. A file is either absent
or whole.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from harden.errors import HardenError, RunFolderError

SETTINGS = "settings.toml"
_LOCK = ".lock"


def write_atomic(path: Path | str, content: bytes | str) -> Path:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    Args:
        path: The file; its folder must exist.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        The path.

    Raises:
        HardenError: The file cannot be written (a full disk, a read-only folder); the old file is kept.
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
        HardenError: The file cannot be written (a full disk, a read-only folder); the old file is kept.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HardenError(f"cannot write the file ({error.strerror})", where=str(path)) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def similar(path: Path) -> str:
    """``Did you mean NAME? `` where the folder of a path that does not exist holds something of a similar name.

    Example:
        >>> similar(Path("nowhere/at/all"))
        ''
    """
    try:
        beside = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"Did you mean {path.with_name(near[0])}? " if near else ""


def append_line(path: Path | str, record: Mapping[str, Any]) -> None:
    """Append one JSON line and flush it, so that a killed process loses at most the line it was writing.

    Args:
        path: The log; created when absent. A torn last line of an earlier process is cut off first.
        record: What to write. Keys keep their order.

    Raises:
        HardenError: The log cannot be written.
    """
    path = Path(path)
    line = json.dumps(record, separators=(", ", ": "), allow_nan=True) + "\n"
    try:
        with path.open("ab+") as file:
            _cut_torn_line(file)
            file.write(line.encode())
    except OSError as error:
        raise HardenError(f"cannot append to the log ({error.strerror})", where=str(path)) from error


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
        HardenError: A line before the last is not JSON, so the log was damaged by something else.
    """
    path = Path(path)
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise HardenError("the log is damaged", where=f"{path}, line {number}") from error


class RunFolder:
    """A folder that belongs to one run while it is open.

    Use as a context manager. Opening creates the folder, takes its lock and compares its settings.

    Args:
        path: The folder. It must be absent, empty, or hold a run of the same settings.
        settings: The settings that identify the run, as TOML text.

    Raises:
        RunFolderError: The folder holds another run (the difference is shown), something that is no run, or is in use.
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
            raise RunFolderError(f"cannot create the folder ({error.strerror})", where=str(self.path)) from error
        self._take_lock()
        try:
            known = self.path / SETTINGS
            if known.exists():
                self._compare(known.read_text(encoding="utf-8"))
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
            others = sorted(p.name for p in self.path.iterdir() if p.name != _LOCK)
            if others:
                raise RunFolderError(
                    f"the folder is not empty and holds no run ({', '.join(others[:3])})",
                    where=str(self.path),
                    fix="Name another --out",
                )

    def _take_lock(self) -> None:
        try:
            self._lock = (self.path / _LOCK).open("a")
            _lock_file(self._lock)
        except OSError as error:
            if self._lock is not None:
                self._lock.close()
            raise RunFolderError(
                "another process is working in this folder, or it cannot be written",
                where=str(self.path),
                fix="Wait for it, or name another --out",
            ) from error

    def _compare(self, known: str) -> None:
        if known == self.settings:
            return
        old, new = known.splitlines(), self.settings.splitlines()
        gone = [f"it has   {line}" for line in old if line not in new]
        came = [f"you ask  {line}" for line in new if line not in old]
        raise RunFolderError(
            "the folder holds a run of other settings",
            where=str(self.path),
            fix="Name another --out, or repeat that run's command to resume it",
            problems=gone + came,
        )


def _lock_file(file: Any) -> None:
    """Take an exclusive OS lock without waiting; the system releases it when the process dies, however it dies."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
