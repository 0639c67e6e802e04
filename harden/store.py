"""The files of a run: atomic writes, append-only logs, and a folder for what a process needs while it runs.

A file is either absent or whole. What a killed process left half-written is gone when its folder is opened again.
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
from typing import IO, Any

from harden.errors import WriteError
from harden.parsing import parse_json, read_text

LOCK = ".lock"
TEMPORARY = ".harden-tmp-"  # prefix of files that are being written
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
    temporary = path.with_name(f"{TEMPORARY}{path.name[:100]}-{uuid.uuid4().hex[:12]}")
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
        raise unwritable(error, path) from error


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


def unwritable(error: OSError, path: Path) -> WriteError:
    """What is said of a file or folder that the system refuses to write."""
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
        raise unwritable(error, path) from error


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
        raise unwritable(error, path) from error


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
        raise unwritable(error, Path(tempfile.gettempdir())) from error
    with folder as name, Path(name, LOCK).open("a") as lock:
        lock_file(lock)
        inside = Path(name, "files")
        inside.mkdir()
        yield inside


def _sweep_scratch() -> None:
    """Remove the scratch folders of killed processes: those whose lock nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):  # another user's, in use, or gone in the meantime
            if time.time() - folder.stat().st_mtime < _YOUNG_S:
                continue
            with (folder / LOCK).open("a") as lock:
                lock_file(lock)
                shutil.rmtree(folder, ignore_errors=True)


def lock_file(file: Any) -> None:
    """Take an exclusive OS lock without waiting; the system releases it when the process dies, however it dies."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
