"""Names on the command line, and the objects behind them.

A member is a file in its kind's folder; the file's name is the member's name. Third parties add members by entry
points. Listing names imports nothing, so ``harden --help`` stays fast.

Example:
    >>> "gaussian" in Registry("noise law", "harden.noise.laws")
    True
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from types import ModuleType

from harden.errors import UnknownNameError


class Registry:
    """The members of one kind: files of a package folder, and entry points.

    Args:
        kind: What a member is called in messages, such as "method".
        package: The package whose files are the members.
        group: The entry-point group of third parties' members; each entry point names a module.
        suffix: The members' file ending. ``.py`` members are modules, others are data files.
    """

    def __init__(self, kind: str, package: str, group: str | None = None, suffix: str = ".py") -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self.suffix = suffix

    def names(self) -> list[str]:
        """All names, sorted. Imports none of the members."""
        folder = resources.files(self.package)
        own = {
            entry.name.removesuffix(self.suffix)
            for entry in folder.iterdir()
            if entry.name.endswith(self.suffix) and not entry.name.startswith("_") and entry.name != "base.py"
        }
        return sorted(own | set(self._entry_points()))

    def module(self, name: str) -> ModuleType:
        """Import the member called ``name``.

        Raises:
            UnknownNameError: No member has this name.
        """
        self._check(name)
        entry = self._entry_points().get(name)
        return entry.load() if entry else importlib.import_module(f"{self.package}.{name}")

    def text(self, name: str) -> str:
        """The content of the data file called ``name``.

        Raises:
            UnknownNameError: No member has this name.
        """
        self._check(name)
        return (resources.files(self.package) / f"{name}{self.suffix}").read_text(encoding="utf-8")

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _check(self, name: str) -> None:
        known = self.names()
        if name not in known:
            raise UnknownNameError(self.kind, name, known)

    def _entry_points(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {} if self.group is None else {entry.name: entry for entry in _entry_points(self.group)}


@lru_cache
def _entry_points(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """A group's entry points; looking through all installed packages takes milliseconds, so it is done once."""
    return tuple(importlib.metadata.entry_points(group=group))


METHODS = Registry("method", "harden.methods", "harden.methods")
LEVERS = Registry("lever", "harden.levers", "harden.levers")
TASKS = Registry("task", "harden.tasks", "harden.tasks")
LAWS = Registry("noise law", "harden.noise.laws", "harden.laws")
DEVICES = Registry("profile", "harden.noise.devices", suffix=".toml")
SECTIONS = Registry("report section", "harden.report.sections", "harden.sections")
