"""What an evaluation will run: noise conditions times chips."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from harden.errors import SettingsError
from harden.evaluation.copies import Copies
from harden.noise.profile import Profile


class Noise(TypedDict):
    """The keys of every condition's record that say what the noise is."""

    name: str
    digest: str
    parameters: Mapping[str, object]
    at_s: float


class Identity(Noise, total=False):
    """Those, and the keys of some conditions."""

    sweep: Mapping[str, float]
    copies: Mapping[str, int]


@dataclass(frozen=True)
class Condition:
    """One noise law at one time: a row of the report.

    Attributes:
        profile: The noise, severity included.
        at_s: Seconds since programming; None is the profile's first valid time.
        sweep: The swept knobs and their values, for curves; empty outside a sweep.
        copies: Devices averaged for each weight, globs with numbers; see :mod:`harden.evaluation.copies`.

    Raises:
        ProfileError: The time is outside the profile's valid times.
    """

    profile: Profile
    at_s: float | None = None
    sweep: dict[str, float] = field(default_factory=dict)
    copies: Copies = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "at_s", self.profile.check_time(self.at_s))

    @property
    def time(self) -> float:
        """Seconds since programming, resolved."""
        return self.profile.check_time(self.at_s)

    def describe(self) -> Identity:
        """What identifies the condition in the document."""
        described: Identity = {
            "name": self.profile.name,
            "digest": self.profile.digest,
            "parameters": dict(self.profile.parameters),
            "at_s": self.time,
        }
        if self.sweep:
            described["sweep"] = dict(self.sweep)
        if self.copies:
            described["copies"] = dict(self.copies)
        return described


@dataclass(frozen=True)
class Task:
    """One trial: a condition's number and a chip's."""

    condition: int
    chip: int


@dataclass(frozen=True)
class TrialPlan:
    """All trials of an evaluation, condition after condition.

    Attributes:
        conditions: In the order of the report.
        chips: Chips per condition; chip k draws from the same streams in every condition.
        seed: The root seed.
        batch: Images per batch.
        digital: Globs of weights kept off the crossbars.
    """

    conditions: tuple[Condition, ...]
    chips: int
    seed: int
    batch: int
    digital: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.conditions) * self.chips

    def tasks(self, start: int = 0) -> Iterator[Task]:
        """The tasks from number ``start`` on."""
        for number in range(start, len(self)):
            yield Task(number // self.chips, number % self.chips)

    def identify(self, task: Task) -> Mapping[str, object]:
        """What tells a trial from all others, for its line in the log."""
        condition = self.conditions[task.condition]
        return {
            "condition": task.condition,
            "profile": condition.profile.name,
            "digest": condition.profile.digest[:16],
            "at_s": condition.time,
            "seed": self.seed,
            "chip": task.chip,
            **({"copies": dict(condition.copies)} if condition.copies else {}),
        }

    def digest(self, **others: object) -> str:
        """SHA-256 of all that decides a number; ``others`` are the model's, the data's and the metrics' identities."""
        content = {
            "conditions": [c.describe() for c in self.conditions],
            "chips": self.chips,
            "seed": self.seed,
            "batch": self.batch,
            "digital": list(self.digital),
            **others,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def as_conditions(profile: str | Profile | Condition | Sequence[str | Profile | Condition]) -> tuple[Condition, ...]:
    """One profile (or its text, ``NAME:key=value,...``), one condition, or several of them, as conditions.

    Raises:
        SettingsError: There is none.
    """
    several = profile if isinstance(profile, Sequence) and not isinstance(profile, str) else (profile,)
    if not several:
        raise SettingsError("no noise to evaluate under", where="--profile", fix="Name one: harden profiles list")
    parsed = (Profile.parse(noise) if isinstance(noise, str) else noise for noise in several)
    return tuple(noise if isinstance(noise, Condition) else Condition(noise) for noise in parsed)


def check_numbers(chips: int, batch: int | None, threads: int | None) -> None:
    """Refuse numbers that make no sense, all at once.

    Raises:
        SettingsError: Lists the problems.
    """
    problems = []
    if chips < 1:
        problems.append(f"--chips must be at least 1, not {chips}")
    if batch is not None and batch < 1:
        problems.append(f"--batch-size must be at least 1, not {batch}")
    if threads is not None and threads < 1:
        problems.append(f"--threads must be at least 1, not {threads}")
    if problems:
        raise SettingsError("cannot evaluate like this", problems=problems)
