"""The knobs of a profile: what a user may turn, within which limits, and how the text of a flag becomes a value.

A knob of a decimal number may also be a distribution, drawn anew for every chip: a family of chips instead of one.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, model_validator

from harden.parsing import Table

if TYPE_CHECKING:
    import numpy as np

_CALL = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*")


@dataclass(frozen=True)
class Distribution:
    """A value that differs from chip to chip.

    ``lognormal(median, s)`` is median · exp(s ξ), ``normal(mean, s)`` is mean + s ξ, ``uniform(low, high)`` lies
    between.

    Example:
        >>> str(Distribution.parse("lognormal(0.1, 0.3)")), Distribution.parse("uniform(0, 1)").centre
        ('lognormal(0.1,0.3)', 0.5)
    """

    kind: str
    first: float
    second: float

    @classmethod
    def parse(cls, text: str) -> Distribution:
        """Read ``kind(a, b)``.

        Raises:
            ValueError: The text is not a distribution.
        """
        match = _CALL.fullmatch(text)
        if match is None or match[1] not in ("lognormal", "normal", "uniform"):
            raise ValueError("expected a number, lognormal(median, s), normal(mean, s) or uniform(low, high)")
        try:
            first, second = (float(part) for part in match[2].split(","))
        except ValueError:
            raise ValueError(f"{match[1]} takes two numbers") from None
        if not (math.isfinite(first) and math.isfinite(second)):
            raise ValueError(f"{match[1]} takes two finite numbers")
        if match[1] == "lognormal" and first <= 0:
            raise ValueError("the median of a lognormal must be > 0")
        if match[1] == "uniform" and second < first:
            raise ValueError("uniform(low, high) needs low <= high")
        if match[1] != "uniform" and second < 0:
            raise ValueError("the spread of a distribution must be >= 0")
        return cls(match[1], first, second)

    @property
    def centre(self) -> float:
        """The median."""
        return (self.first + self.second) / 2 if self.kind == "uniform" else self.first

    def draw(self, rng: np.random.Generator) -> float:
        """One chip's value."""
        if self.kind == "uniform":
            return float(rng.uniform(self.first, self.second))
        step = self.second * float(rng.standard_normal())
        return self.first * math.exp(step) if self.kind == "lognormal" else self.first + step

    def __str__(self) -> str:
        return f"{self.kind}({self.first:g},{self.second:g})"


KnobValue = float | int | bool | str | Distribution


class Knob(BaseModel):
    """One knob: its default, which also fixes its type, and its limits.

    Attributes:
        default: A decimal number or the text of a distribution, a whole number, true or false, or one of ``choices`` or
            the names of ``values``.
        min: The smallest value allowed.
        max: The largest value allowed.
        choices: The names allowed.
        values: What each name stands for; ``$knob`` is the value, ``$knob.part`` a part of a table.
        about: What it does, and its unit.
        fixed: Whether it is the same on every chip: no distributions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    default: bool | int | float | str
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    values: Table | None = None
    about: str = ""
    fixed: bool = False

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        table = cast("Table", data)
        choices = table.get("choices")
        return {**table, "choices": tuple(cast("list[Any]", choices))} if isinstance(choices, list) else table

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Knob:
        if isinstance(self.default, str) and not self.names:
            try:
                Distribution.parse(self.default)
            except ValueError as error:
                raise ValueError(f"a text default needs choices or values; else {error}") from None
        self.read(self.default)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names allowed, for a knob that is a choice."""
        return self.choices or tuple(self.values or ())

    @property
    def decimal(self) -> bool:
        """Whether the knob is a decimal number, or a distribution of one."""
        return not self.names and isinstance(self.default, (float, str))

    def read(self, value: object) -> KnobValue:
        """Check a value, or the text of one, and give it the knob's type.

        Raises:
            ValueError: What is wrong, in words.
        """
        if self.names:
            name = str(value)
            if name not in self.names:
                raise ValueError(f"must be one of {', '.join(self.names)}")
            return name
        if isinstance(self.default, bool):
            return _truth(value)
        number = _number(value, whole=isinstance(self.default, int))
        if self.fixed and isinstance(number, Distribution):
            raise ValueError("must be a number, the same for every chip")
        for part in (number.first, number.second) if _is_uniform(number) else (number,):
            self._within(part.centre if isinstance(part, Distribution) else part)
        return number

    def clamp(self, value: float) -> float:
        """The nearest value within the limits, for draws of a distribution."""
        low = -math.inf if self.min is None else self.min
        high = math.inf if self.max is None else self.max
        return min(max(value, low), high)

    def meaning(self, value: KnobValue) -> object:
        """What ``$knob`` stands for in a stage."""
        return self.values[str(value)] if self.values is not None else value

    def _within(self, number: float) -> None:
        if self.min is not None and number < self.min:
            raise ValueError(f"must be >= {self.min:g}")
        if self.max is not None and number > self.max:
            raise ValueError(f"must be <= {self.max:g}")


def resolve(knobs: Mapping[str, Knob], values: Mapping[str, object]) -> tuple[dict[str, KnobValue], list[str]]:
    """All knobs with the given values, else their defaults, and every problem that was found."""
    resolved: dict[str, KnobValue] = {name: knob.read(knob.default) for name, knob in knobs.items()}
    problems: list[str] = []
    for name, value in values.items():
        if name not in knobs:
            near = difflib.get_close_matches(name, knobs, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(knobs))}"
            problems.append(f"{name}: no such parameter, {hint}")
            continue
        try:
            resolved[name] = knobs[name].read(value)
        except ValueError as error:
            problems.append(f"{name} = {value}: {error}")
    return resolved, problems


def _is_uniform(value: object) -> bool:
    return isinstance(value, Distribution) and value.kind == "uniform"


def _truth(value: object) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _number(value: object, *, whole: bool) -> Any:
    if isinstance(value, Distribution):
        return value
    if isinstance(value, bool):
        raise ValueError("must be a number")
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        if whole:
            raise ValueError("must be a whole number") from None
        return Distribution.parse(str(value))
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    if whole:
        if number != int(number):
            raise ValueError("must be a whole number")
        return int(number)
    return number
