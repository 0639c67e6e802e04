"""Sums over chips that survive a kill, such as the probabilities and hits of each image.

They are sums of whole numbers, so they do not depend on the order of the chips, nor on where a run was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harden.errors import RunFolderError
from harden.store import write_atomic


class Sums:
    """Running sums of every condition: whole numbers.

    Args:
        conditions: How many.
        shapes: What each of them adds up, by name: the scorer's.

    Attributes:
        done: How many trials of the plan are in the sums, from its beginning.
    """

    def __init__(self, conditions: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._sums = {name: np.zeros((conditions, *shape), np.int64) for name, shape in shapes.items()}
        self.done = 0

    def add(self, condition: int, parts: Mapping[str, np.ndarray]) -> None:
        """Take the plan's next trial."""
        for name, total in self._sums.items():
            total[condition] += parts[name]
        self.done += 1

    def of(self, condition: int) -> Mapping[str, np.ndarray]:
        """Those of one condition, whose chips all ran."""
        return {name: total[condition] for name, total in self._sums.items()}

    def save(self, path: Path, identity: str, layout: str) -> None:
        """Write atomically, with what identifies the run."""
        metadata = {"identity": identity, "done": str(self.done), "layout": layout}
        write_atomic(path, save(self._sums, metadata=metadata))

    def load(self, path: Path, identity: str) -> str | None:
        """Take up an earlier process's sums.

        Returns:
            That process's layout; None where there is no file, or one of an older version that kept less, whose trials
            run again.

        Raises:
            RunFolderError: The file belongs to another run, or is damaged.
        """
        if not path.exists():
            return None
        fix = "Name another --out, or remove the file to compute its sums again"
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                sums = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        except (SafetensorError, OSError) as error:
            raise RunFolderError("the sums over chips are damaged", where=str(path), fix=fix) from error
        same = all(name in self._sums and part.shape == self._sums[name].shape for name, part in sums.items())
        if metadata.get("identity") != identity or not same:
            raise RunFolderError("the sums over chips are of another run", where=str(path), fix=fix)
        if sums.keys() != self._sums.keys():
            return None
        self._sums = {name: sums[name].astype(np.int64) for name in self._sums}
        self.done = int(metadata["done"])
        return metadata["layout"]


def sums_path(trial_log: Path) -> Path:
    """The file of sums that belongs to a log of trials.

    Example:
        >>> sums_path(Path("run/trials.before.jsonl")).name
        'probabilities.before.safetensors'
    """
    stem = trial_log.name.removesuffix(".jsonl")
    rest = stem.removeprefix("trials")
    return trial_log.with_name(f"probabilities{rest if rest != stem else '.' + stem}.safetensors")
