"""Joining a Ray cluster, and leaving it as it was found. Nothing is reported to Ray's makers."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from harden.errors import MissingExtraError, SettingsError

# Read by Ray when it is imported, by this process and by those it starts.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray announces as its future default; without it, a warning
}


def load_ray() -> Any:
    """The module ``ray``, told to keep quiet and to report nothing.

    Raises:
        MissingExtraError: It is not installed.
    """
    os.environ.update(_ENVIRONMENT)
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--engine ray", "ray") from error
    return ray


@contextlib.contextmanager
def joined(engine: str) -> Iterator[Any]:
    """Be part of a cluster for the length of a block; a connection that is there already is used and left open.

    Args:
        engine: ``ray`` or ``ray://HOST:PORT``.

    Yields:
        The module ``ray``.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingsError: Nothing answers at the address.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, engine)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, engine: str) -> None:
    address = None if engine == "ray" else engine
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # ConnectionError, TimeoutError, RuntimeError and Ray's own, by version and address
        where = f"--engine {engine}"
        if engine == "ray" and "RAY_ADDRESS" in os.environ:
            where = f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}"
        raise SettingsError(
            f"no Ray cluster answers ({_first_line(error)})",
            where=where,
            fix="Check the address, and that the cluster runs the same versions of Python and Ray: ray status",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
