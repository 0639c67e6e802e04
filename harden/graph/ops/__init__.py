"""ONNX operators in torch: one file a family, one function an operator (and a set of versions).

A function takes the node and its inputs (None where one is left out) and returns the output, or a tuple of them. What
the rest of harden must know about an operator is said where it is registered, by :func:`operator`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

ONNX = ""
MICROSOFT = "com.microsoft"
OWN = "harden"
"""The domain of nodes that only harden's own flattened graphs have."""
NEWEST = 10_000
"""A version beyond all others."""
_ALL = range(64)


@dataclass(frozen=True)
class Operator:
    """One operator, from one opset version on.

    Attributes:
        name: The operator's type, such as ``"Conv"``.
        domain: Its domain; the empty string is ONNX's own.
        since: The first opset version the function is right for.
        function: ``function(node, *inputs)``; ``function(node, frame, *inputs)`` where ``frame`` is set.
        host: Positions of inputs that are read as plain numbers (shapes, axes, bounds); no gradient flows to them.
        fixed: Positions of further inputs without gradient (indices, conditions).
        learned: Positions that hold weights whatever their size: a tensor there becomes a parameter.
        analog: Positions whose weights sit on a crossbar.
        chain: The output holds the input's numbers, rearranged (Reshape, Transpose, Cast, ...).
        gradient: Whether gradients flow through it at all.
        shape_only: The output depends on the input's shape, not on its values.
        dynamic: The output's shape depends on the input's values.
        frame: The function also takes the running frame (mode, nested graphs).
    """

    name: str
    domain: str
    since: int
    function: Callable[..., Any]
    host: Collection[int] = ()
    fixed: Collection[int] = ()
    learned: Collection[int] = ()
    analog: Collection[int] = ()
    chain: bool = False
    gradient: bool = True
    shape_only: bool = False
    dynamic: bool = False
    frame: bool = False

    def differentiable(self, position: int) -> bool:
        """Whether gradients reach the input at ``position``."""
        return self.gradient and position not in self.host and position not in self.fixed


_OPERATORS: dict[tuple[str, str], list[Operator]] = {}


def operator(*names: str, since: int = 1, domain: str = ONNX, **facts: Any) -> Callable[[Callable], Callable]:
    """Register a function as the implementation of operators.

    Args:
        names: Operator types that the function implements.
        since: The first opset version it is right for; an implementation with a larger one takes over from there.
        domain: The operators' domain.
        facts: Fields of :class:`Operator`.
    """

    def register(function: Callable) -> Callable:
        for name in names:
            versions = _OPERATORS.setdefault((domain, name), [])
            versions.append(Operator(name, domain, since, function, **facts))
            versions.sort(key=lambda item: item.since)
        return function

    return register


@cache
def _load_families() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def lookup(domain: str, name: str, version: int) -> Operator | None:
    """The implementation of an operator at an opset version, or None."""
    _load_families()
    versions = [item for item in _OPERATORS.get((domain, name), ()) if item.since <= version]
    return versions[-1] if versions else None


def operators() -> dict[tuple[str, str], list[Operator]]:
    """Every operator that files may hold, by domain and name, with its versions in rising order."""
    _load_families()
    return {key: list(versions) for key, versions in sorted(_OPERATORS.items()) if key[0] != OWN}


def every_position() -> Collection[int]:
    """All input positions, for operators with any number of inputs."""
    return _ALL
