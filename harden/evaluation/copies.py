"""Several devices for each weight, averaged: a what-if that pays area for less noise.

With n copies a use's weights are :math:`\\frac1n \\sum_{j} \\tilde W_j`, each copy with streams of its own; what is a
property of the chip as a whole (a parameter that varies from chip to chip) is common to all. Independent noise falls as
:math:`1/\\sqrt n`; what all devices have in common, a shared drift or the converters, stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor

from harden.errors import SettingsError
from harden.noise.profile import Profile

Copies = tuple[tuple[str, int], ...]


def parse_copies(texts: Sequence[str]) -> Copies:
    """What ``--copies`` says: ``N`` for all uses, ``GLOB=N`` for those that a glob names.

    Raises:
        SettingsError: A text is neither; all of them are listed.

    Example:
        >>> parse_copies(["2", "fc*=4"])
        (('*', 2), ('fc*', 4))
    """
    copies, problems = [], []
    for text in texts:
        glob, _, count = text.rpartition("=")
        if not count.strip().isdigit() or int(count) < 1 or ("=" in text and not glob):
            problems.append(f"--copies {text}: write N or GLOB=N, N at least 1")
        else:
            copies.append((glob or "*", int(count)))
    if problems:
        raise SettingsError("these copies make no sense", problems=problems)
    return tuple(copies)


def count_copies(copies: Copies, weights: Mapping[str, Any]) -> dict[str, int]:
    """The number of devices of each use by key; of several globs that name it, the last counts."""
    return {key: next((n for glob, n in reversed(copies) if _names(glob, use)), 1) for key, use in weights.items()}


def check_copies(copies: Copies, weights: Mapping[str, Any]) -> None:
    """Refuse globs that name no weight on a crossbar.

    Raises:
        SettingsError: Lists them.
    """
    idle = [glob for glob, _ in copies if not any(_names(glob, use) for use in weights.values())]
    if idle:
        raise SettingsError(
            f"--copies names no weight on a crossbar: {', '.join(idle)}", fix="See the names: harden inspect MODEL"
        )


def averaged_chip(
    profile: Profile, weights: Mapping[str, Any], copies: Copies, *, seed: int, index: int, at_s: float
) -> dict[str, Tensor]:
    """The weights of a virtual chip; the first copy of each use is the device of a chip without copies."""
    counts = count_copies(copies, weights)
    several = {f"{key}#copy{j}" if j else key: use for key, use in weights.items() for j in range(counts[key])}
    drawn = profile.chip(several, seed=seed, index=index, at_s=at_s)
    return {
        key: drawn[key]
        if n == 1
        else (sum((drawn[f"{key}#copy{j}"].double() for j in range(1, n)), drawn[key].double()) / n).to(
            drawn[key].dtype
        )
        for key, n in counts.items()
    }


def _names(glob: str, use: Any) -> bool:
    return any(fnmatchcase(text, glob) for text in (use.name, use.node, use.key))
