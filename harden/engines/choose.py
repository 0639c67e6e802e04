"""From the text of ``--engine`` to an engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harden.engines.base import Engine
from harden.errors import SettingsError
from harden.values import engine_name

LOCAL = "local"


def check_name(name: str) -> str:
    """The name of an engine, if it is one.

    Raises:
        SettingsError: It is none.
    """
    try:
        return engine_name(name)
    except ValueError as error:
        raise SettingsError(f"'{name}' is not an engine: {error}", where="--engine") from None


@contextlib.contextmanager
def opened(engine: Engine | str | None, workers: int | None = None) -> Iterator[Engine | None]:
    """An engine for the length of a block; None stands for this machine, whose best layout is measured.

    Args:
        engine: An engine, which stays open; or ``local``, ``ray`` (the cluster that RAY_ADDRESS names or that runs on
            this machine, else one made of this machine for the block), ``ray://HOST:PORT`` (a cluster elsewhere).
        workers: How many tasks run at a time at most; None takes every processor of the cluster.

    Raises:
        SettingsError: It is no engine's name, or nothing answers at the address.
        MissingExtraError: Ray is not installed.
    """
    if engine is None or not isinstance(engine, str):
        yield engine
    elif check_name(engine) == LOCAL:
        yield None
    else:
        from harden.engines.cluster import joined
        from harden.engines.ray import RayEngine

        with joined(engine):
            yield RayEngine(workers)
