"""The run folder: one run, its settings, a lock, and resume.

A run folder is a directory whose ``settings.toml`` says which run it holds. Whoever opens it with other settings is
refused, with the difference; whoever opens it while another process works in it is refused too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from harden.errors import InputError, RunFolderError, WriteError
from harden.parsing import parse_toml, read_text
from harden.store import LOCK, TEMPORARY, lock_file, read_record, unwritable, write_atomic

SETTINGS = "settings.toml"


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
            for left in self.path.rglob(f"{TEMPORARY}*"):
                left.unlink(missing_ok=True)
            file = self.path / SETTINGS
            if file.exists():
                self._compare(read_text(file, None))
            else:
                write_atomic(file, self.settings)
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

    def step(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What a step made: read from ``NAME.json`` where an earlier process got so far, else made and kept there.

        Args:
            name: What the record is called.
            make: The step; what it gives must be JSON.
        """
        record = self.path / f"{name}.json"
        earlier = read_record(record)
        return self._kept(record, make()) if earlier is None else earlier

    def steps(self, name: str, makes: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """The same of several steps with one record, each kept as soon as it is made.

        Args:
            name: What the record is called.
            makes: The steps by the names that they have in it.
        """
        record = self.path / f"{name}.json"
        results: dict[str, dict[str, Any]] = read_record(record) or {}
        for key, make in makes.items():
            if key not in results:
                results[key] = make()
                self._kept(record, results)
        return results

    def _kept(self, record: Path, made: dict[str, Any]) -> dict[str, Any]:
        write_atomic(record, json.dumps(made, indent=1) + "\n")
        return made

    def _refuse_foreign(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError("is a file, not a folder", where=str(self.path), fix="Name another --out")
        if self.path.is_dir() and not (self.path / SETTINGS).exists():
            others = sorted(p.name for p in self.path.iterdir() if not p.name.startswith((LOCK, TEMPORARY)))
            if others:
                raise RunFolderError(
                    f"the folder is not empty and holds no run ({', '.join(others[:3])})",
                    where=str(self.path),
                    fix="Name another --out",
                )

    def _take_lock(self) -> None:
        try:
            self._lock = (self.path / LOCK).open("a")
        except OSError as error:
            raise unwritable(error, self.path) from error
        try:
            lock_file(self._lock)
        except OSError as error:
            self._lock.close()
            raise RunFolderError(
                "another process is working in this folder",
                where=str(self.path),
                fix="Wait for it, or name another --out",
            ) from error

    def _compare(self, held: str) -> None:
        if held != self.settings and _pairs(held) != _pairs(self.settings):  # another version may order them otherwise
            raise _another_run(self.path, held, self.settings)


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
    file = Path(path) / SETTINGS
    if file.exists():
        held = read_text(file, None).partition("[resolved]")[0].rstrip()
        if held != settings.rstrip() and _pairs(held) != _pairs(settings):
            raise _another_run(Path(path), held, settings)


def _another_run(path: Path, held: str, asked: str) -> RunFolderError:
    there, here = _pairs(held), _pairs(asked)
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
    pairs: dict[str, str] = {}
    for name, value in parse_toml(settings, None).items():
        inner = value if isinstance(value, dict) else {"": value}
        pairs |= {f"{name}.{key}".rstrip("."): json.dumps(item, default=str) for key, item in inner.items()}
    return pairs
