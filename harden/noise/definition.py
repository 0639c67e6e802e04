"""The schema of a profile's TOML file, checked strictly, with every problem reported at once.

The file is data: a summary and a citation, the knobs, the mapping from weights to devices, the valid times, and the
laws of each stage. A string ``"$name"`` stands for the value of a knob.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harden.errors import ProfileError, nearest
from harden.noise import periphery as around
from harden.noise.knobs import Knob, KnobValue
from harden.parsing import Table, parse_toml

STAGES = ("program", "stuck", "drift", "read")

COMMON = {
    "reference": Knob(
        default="tensor",
        choices=("tensor", "column", "tile", "cell"),
        about="what the noise is relative to: the largest weight of the tensor, output column or tile, or each weight",
    ),
    "tile_rows": Knob(default=256, min=1, about="inputs of a tile (reference = tile)"),
    "tile_columns": Knob(default=256, min=1, about="outputs of a tile (reference = tile)"),
    "quantise": Knob(
        default=0, min=0, max=24, about="bits to which weights are rounded before any noise; 0: not at all"
    ),
    "d2d": Knob(default=0.0, min=0, about="die to die: relative standard deviation of a gain common to a whole chip"),
    "gradient": Knob(
        default="straight",
        choices=("straight", "own"),
        about="gradient in training: straight, or with each weight's own factor where the noise follows its size",
    ),
    "stuck_at": Knob(
        default=0.0,
        min=0,
        max=1,
        about="share of the devices that are stuck, half of them at either end of their range",
    ),
    "c2c": Knob(default=0.0, min=0, about="cell to cell: relative standard deviation of each device's own gain"),
}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Times(_Table):
    """When the profile is valid, in seconds since programming: listed times, a range, or both; else always."""

    valid_s: tuple[float, ...] = ()
    from_s: float | None = Field(default=None, ge=0)
    to_s: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Times:
        if list(self.valid_s) != sorted(set(self.valid_s)) or any(time < 0 for time in self.valid_s):
            raise ValueError("valid_s must ascend and be >= 0")
        if self.to_s is not None and self.to_s < (self.from_s or 0.0):
            raise ValueError("to_s must not be before from_s")
        return self

    @property
    def _range(self) -> tuple[float, float] | None:
        if self.valid_s and self.from_s is None and self.to_s is None:
            return None
        return self.from_s or 0.0, math.inf if self.to_s is None else self.to_s

    @property
    def first(self) -> float:
        """The first valid time."""
        return min([*self.valid_s[:1], *([self._range[0]] if self._range else [])])

    @property
    def last(self) -> float:
        """The last valid time; infinity where there is none."""
        return max([*self.valid_s[-1:], *([self._range[1]] if self._range else [])])

    def covers(self, at_s: float) -> bool:
        """Whether the profile was measured for this time."""
        return at_s in self.valid_s or (self._range is not None and self._range[0] <= at_s <= self._range[1])

    def __str__(self) -> str:
        parts = [f"{time:g} s" for time in self.valid_s]
        if self._range is not None:
            low, high = self._range
            parts.append(f">= {low:g} s" if high == math.inf else f"{low:g} s to {high:g} s")
        return ", ".join(parts)


class Sampler(_Table):
    """A black-box sampler: ``function = "module:name"`` and its keyword arguments."""

    function: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    arguments: Table = {}
    grows_with_range: bool = True


class Definition(_Table):
    """A profile as it stands in its file."""

    summary: str
    citation: str
    notes: str = ""
    level: str | None = None
    knobs: dict[str, Knob] = {}
    mapping: Table = {"kind": "direct"}
    time: Times = Times()
    program: tuple[Table, ...] = ()
    stuck: tuple[Table, ...] = ()
    drift: tuple[Table, ...] = ()
    read: tuple[Table, ...] = ()
    compensation: Literal["none", "global"] | str = "none"
    sampler: Sampler | None = None
    periphery: dict[str, int | float] = {}

    @field_validator("periphery")
    @classmethod
    def _periphery_knobs(cls, table: dict[str, int | float]) -> dict[str, int | float]:
        for name, value in table.items():
            if name not in around.KNOBS:
                raise ValueError(f"{name}: no such key; known: {', '.join(around.KNOBS)}")
            try:
                around.KNOBS[name].read(value)
            except ValueError as error:
                raise ValueError(f"{name} = {value}: {error}") from None
        return table

    @field_validator("summary", "citation")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must not be empty")
        return text

    @model_validator(mode="after")
    def _hangs_together(self) -> Definition:
        if self.level is not None and (self.level not in self.knobs or not self.knobs[self.level].decimal):
            raise ValueError(f"level = '{self.level}' must name a knob with a decimal default")
        for name, knob in {**COMMON, **around.KNOBS}.items():
            own = self.knobs.get(name, knob)
            if (own.decimal, type(own.default)) != (
                knob.decimal,
                type(knob.default),
            ) and not own.decimal & knob.decimal:
                raise ValueError(f"knobs.{name}: every profile has this knob, its default must be like {knob.default}")
        if not any(getattr(self, stage) for stage in STAGES) and self.sampler is None:
            raise ValueError(f"no noise: give at least one law under [[{']], [['.join(STAGES)}]], or a [sampler]")
        return self

    def all_knobs(self) -> dict[str, Knob]:
        """The file's knobs, and those that every profile has; of a black-box sampler, those of its periphery only."""
        surround = {
            name: knob.model_copy(update={"default": type(knob.default)(self.periphery.get(name, knob.default))})
            for name, knob in around.KNOBS.items()
        }
        if self.sampler is not None:
            return {**surround, **self.knobs}
        common = dict(COMMON)
        reference = self.mapping.get("reference")
        if isinstance(reference, str):
            common["reference"] = common["reference"].model_copy(update={"default": reference})
        return {**common, **surround, **self.knobs}


def read_definition(text: str, where: str) -> Definition:
    """Parse and check the text of a profile's file.

    Args:
        text: TOML.
        where: The file's name, for messages.

    Raises:
        ProfileError: Not TOML, or not a profile; every problem is listed.
    """
    definition, problems = try_definition(parse_toml(text, where, ProfileError))
    if definition is None:
        raise ProfileError("; ".join(problems), where=where)
    return definition


def try_definition(table: Table) -> tuple[Definition | None, list[str]]:
    """As `read_definition` of parsed TOML, but every problem is returned instead of raised."""
    try:
        definition = Definition.model_validate(table)
    except ValidationError as error:
        return None, said(error, kind=Definition)
    reference = definition.mapping.get("reference", COMMON["reference"].default)
    try:
        COMMON["reference"].read(reference)
    except ValueError as error:
        return None, [f"mapping.reference = {reference}: {error}"]
    return definition, []


def said(error: ValidationError, prefix: str = "", kind: type[BaseModel] | None = None) -> list[str]:
    """What is wrong with each field of a table of ``kind``, one line each."""
    lines: list[str] = []
    for item in error.errors(include_url=False):
        field = ".".join([*([prefix] if prefix else []), *(str(part) for part in item["loc"])])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"no such key. {nearest(str(item['loc'][-1]), _keys(kind, item['loc'][:-1]))}"
        lines.append(f"{field}: {message}" if field else message)
    return lines


def _keys(kind: type[BaseModel] | None, path: Sequence[int | str]) -> list[str]:
    """The keys of the table at ``path`` inside a table of ``kind``, as far as its types tell."""
    for part in path:
        field = kind.model_fields.get(str(part)) if kind else None
        if field is not None:  # a name or a number inside a dict or a list keeps the type of its items
            inside = [field.annotation, *get_args(field.annotation)]
            kind = next(
                (option for option in inside if isinstance(option, type) and issubclass(option, BaseModel)), None
            )
    return list(kind.model_fields) if kind else []


def substitute(value: object, knobs: Mapping[str, Knob], values: Mapping[str, KnobValue]) -> Any:
    """Replace every ``"$knob"`` and ``"$knob.part"`` by what it stands for.

    Raises:
        ValueError: No such knob, or no such part.
    """
    if isinstance(value, dict):
        return {key: substitute(item, knobs, values) for key, item in cast("Table", value).items()}
    if isinstance(value, (list, tuple)):
        return [substitute(item, knobs, values) for item in cast("Sequence[object]", value)]
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    name, _, part = value[1:].partition(".")
    if name not in values:
        raise ValueError(f"{value}: there is no knob '{name}'")
    meaning = knobs[name].meaning(values[name])
    if not part:
        return meaning
    if not isinstance(meaning, dict) or part not in meaning:
        raise ValueError(f"{value}: the value of knob '{name}' has no part '{part}'")
    return cast("Table", meaning)[part]
