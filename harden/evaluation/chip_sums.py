"""Sums over chips that survive a kill: probabilities and hits of each image, and images by confidence.

Probabilities are added as integers of 2^-32, so the sums do not depend on the order of the chips, nor on where a run
was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harden.errors import RunFolderError
from harden.evaluation.scores import UNIT, ChipScores
from harden.statistics.reliability import BINS
from harden.store import write_atomic


@dataclass(frozen=True)
class ConditionSums:
    """Sums over the chips of one condition.

    Attributes:
        hits: [N] how many chips got each image right.
        mean_p: [M, C] probabilities averaged over chips.
        bins: [15, 3] images of all chips by confidence.
    """

    hits: np.ndarray
    mean_p: np.ndarray
    bins: np.ndarray


class Sums:
    """Running sums of every condition.

    Args:
        conditions: How many.
        images: M, the images whose probabilities are summed.
        examples: N, all images.
        classes: C.

    Attributes:
        done: How many trials of the plan are in the sums, from its beginning.
    """

    def __init__(self, conditions: int, images: int, examples: int, classes: int) -> None:
        self.mass = np.zeros((conditions, images, classes), np.int64)
        self.hits = np.zeros((conditions, examples), np.int32)
        self.bins = np.zeros((conditions, BINS, 3), np.int64)
        self.done = 0

    def add(self, condition: int, scores: ChipScores) -> None:
        """Take the plan's next trial."""
        self.mass[condition] += scores.mass
        self.hits[condition] += scores.correct
        self.bins[condition] += scores.bins
        self.done += 1

    def of(self, condition: int, chips: int) -> ConditionSums:
        """Those of one condition, whose chips all ran."""
        return ConditionSums(self.hits[condition], self.mass[condition] / (UNIT * chips), self.bins[condition])

    def save(self, path: Path, identity: str, layout: str) -> None:
        """Write atomically, with what identifies the run."""
        metadata = {"identity": identity, "done": str(self.done), "layout": layout}
        write_atomic(path, save({"mass": self.mass, "hits": self.hits, "bins": self.bins}, metadata=metadata))

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
                mass, hits = file.get_tensor("mass"), file.get_tensor("hits")
                bins = file.get_tensor("bins") if "bins" in file.keys() else None  # noqa: SIM118, no mapping
        except (SafetensorError, OSError) as error:
            raise RunFolderError("the sums over chips are damaged", where=str(path), fix=fix) from error
        if metadata.get("identity") != identity or mass.shape != self.mass.shape or hits.shape != self.hits.shape:
            raise RunFolderError("the sums over chips are of another run", where=str(path), fix=fix)
        if bins is None:
            return None
        self.mass, self.hits, self.bins, self.done = mass, hits, bins, int(metadata["done"])
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


def summed_images(examples: int, classes: int, conditions: int, budget: int) -> np.ndarray | None:
    """Indices of the images whose probabilities are summed: all (None), or evenly spread ones that fit the budget.

    Args:
        examples: N.
        classes: C.
        conditions: How many tables are kept.
        budget: Most numbers in all tables together.
    """
    room = max(1, budget // max(1, classes * conditions))
    return None if examples <= room else (np.arange(room) * examples) // room
