"""Between the process that asked for a training run and the workers that carry it out elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

_CHECKPOINT = "checkpoint"


class Mailbox:
    """Keeps letters in their order until they are collected, and the last checkpoint for workers that start anew.

    An actor of a Ray cluster; its methods take turns.

    Args:
        files: The checkpoint to begin with, by file name.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)
        self._letters: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._stopped = False
        self._failed = False

    async def post(self, kind: str, content: Any) -> None:
        """Leave a letter."""
        if kind == _CHECKPOINT:
            self._files = {f"{_CHECKPOINT}.safetensors": content}
        self._letters.put_nowait((kind, content))

    async def fail(self, error: Exception) -> None:
        """Leave word that trying again is of no use."""
        self._failed = True
        self._letters.put_nowait(("failed", error))

    async def collect(self, wait_s: float) -> list[tuple[str, Any]]:
        """All letters; where there is none, the first that comes within so many seconds."""
        letters = []
        if wait_s > 0 and self._letters.empty():
            with contextlib.suppress(asyncio.TimeoutError):
                letters.append(await asyncio.wait_for(self._letters.get(), wait_s))
        while not self._letters.empty():
            letters.append(self._letters.get_nowait())
        return letters

    async def files(self) -> dict[str, bytes]:
        """The last checkpoint, by file name."""
        return self._files

    async def stop(self) -> None:
        """Ask the workers to stop."""
        self._stopped = True

    async def stopped(self) -> bool:
        """Whether they are to stop."""
        return self._stopped

    async def failed(self) -> bool:
        """Whether trying again is of no use."""
        return self._failed
