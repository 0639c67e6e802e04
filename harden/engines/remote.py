"""What a worker of a cluster does: it fetches the function once, and calls it for task after task."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from typing import Any

from harden.errors import SettingsError

_NUMBERS_COME_FROM = ("torch", "onnxruntime", "numpy")
_fetched: dict[str, Callable[[Any], Any]] = {}


def versions() -> dict[str, str]:
    """The versions of what decides a number."""
    versions = {name: importlib.metadata.version(name) for name in _NUMBERS_COME_FROM}
    return {"harden": importlib.import_module("harden").__version__, **versions}


def call(key: str, box: Sequence[Any], expected: dict[str, str], task: Any) -> Any:
    """Run one task.

    Args:
        key: Names the function; the last one stays in the worker.
        box: Holds the function's reference. In a box, because Ray would fetch a bare one for every task.
        expected: The versions of the machine that asks.
        task: The task.

    Raises:
        SettingsError: The worker has other versions, so its numbers might differ.
    """
    if key not in _fetched:
        check_versions(expected)
        import ray

        _fetched.clear()
        _fetched[key] = ray.get(box[0])
    return _fetched[key](task)


def check_versions(expected: dict[str, str]) -> None:
    """Refuse to work for a machine with other versions.

    Raises:
        SettingsError: Names them.
    """
    own = versions()
    different = [f"{name} {own[name]}, not {version}" for name, version in expected.items() if own[name] != version]
    if different:
        raise SettingsError(
            "a machine of the cluster has other versions than this one, so its numbers could differ",
            where=platform.node(),
            fix="Install the same versions on every machine",
            problems=different,
        )
