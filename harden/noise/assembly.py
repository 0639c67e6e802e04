"""From a definition and the values of its knobs to what a chip is drawn from."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from torch import Tensor

from harden.errors import ProfileError, UnknownNameError
from harden.noise.blackbox import BlackBox
from harden.noise.circuit import Circuit, Draw, Stage
from harden.noise.definition import COMMON, STAGES, Definition, Times, said, substitute
from harden.noise.knobs import Knob, KnobValue
from harden.noise.laws.base import NoiseLaw
from harden.noise.mapping import Mapping
from harden.noise.periphery import KNOBS as PERIPHERY
from harden.noise.periphery import Periphery
from harden.noise.reference import AnalogWeightLike
from harden.parsing import Table
from harden.registry import LAWS

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Assembled:
    """The circuit of a profile, a black-box sampler where it has one, and what stands around the crossbars."""

    circuit: Circuit
    black_box: BlackBox | None = None
    periphery: Periphery = field(default_factory=Periphery)

    @property
    def grows_with_range(self) -> bool:
        """Whether the noise of a weight grows with the largest weight around it."""
        if self.black_box is not None:
            return self.black_box.grows_with_range
        if self.circuit.mapping.reference == "cell":
            return False
        return any(stage.law.grows_with_range() for stage in self.circuit.stages)

    def check(self) -> None:
        """Import a black-box sampler now.

        Raises:
            ProfileError: It cannot be imported.
        """
        if self.black_box is not None:
            _ = self.black_box.call

    def draw(self, weight: Tensor, use: AnalogWeightLike | None, draw: Draw) -> Tensor:
        """Draw one tensor of a chip; see `Circuit.draw`."""
        source = self.black_box or self.circuit
        return source.draw(weight, use, draw)


def assemble(definition: Definition, values: MappingOf[str, KnobValue], where: str) -> Assembled:
    """Resolve the knobs and build the mapping and the laws.

    Raises:
        ProfileError: A stage or the mapping is malformed; every problem is listed.
    """
    assembled, problems = try_assemble(definition, values)
    if assembled is None:
        raise ProfileError("; ".join(problems), where=where)
    return assembled


def try_assemble(definition: Definition, values: MappingOf[str, KnobValue]) -> tuple[Assembled | None, list[str]]:
    """As `assemble`, but every problem is returned instead of raised."""
    usual = {**COMMON, **PERIPHERY}  # a black-box sampler has none of the former, a bare definition none of the latter
    common = {name: knob.read(knob.default) for name, knob in usual.items()}
    builder = _Builder({**usual, **definition.all_knobs()}, {**common, **values})
    table = {"weight_bits": "$quantise", **definition.mapping, "reference": builder.values["reference"]}
    mapping = builder.build(Mapping, table, "mapping")
    stages = list(builder.stages(definition))
    compensation = builder.resolve(definition.compensation, "compensation")
    if compensation not in ("none", "global"):
        builder.problems.append(f"compensation: '{compensation}' must be none or global")
    black_box = None
    if definition.sampler is not None:
        sampler = definition.sampler
        arguments: Table = builder.resolve(sampler.arguments, "sampler") or {}
        black_box = BlackBox(sampler.function, arguments, sampler.grows_with_range)
        if stages:
            builder.problems.append("a profile has either a [sampler] or laws, not both")
    periphery = builder.periphery()
    if builder.problems or mapping is None or periphery is None:
        return None, builder.problems
    circuit = Circuit(
        mapping=mapping,
        stages=tuple(stages),
        tile=(int(builder.number("tile_rows")), int(builder.number("tile_columns"))),
        d2d=builder.number("d2d"),
        c2c=builder.number("c2c"),
        compensated=compensation == "global",
    )
    return Assembled(circuit, black_box, periphery), []


@dataclass
class _Builder:
    """Builds the parts of a profile from its tables and collects what is wrong with them."""

    knobs: MappingOf[str, Knob]
    values: MappingOf[str, KnobValue]
    problems: list[str] = field(default_factory=list[str])

    def stages(self, definition: Definition) -> list[Stage]:
        """The laws of all stages, each with the name of its stream."""
        stages: list[Stage] = []
        for stage in STAGES:
            for position, entry in enumerate(getattr(definition, stage)):
                name = stage if position == 0 else f"{stage}{position}"
                law = self._law(entry, name)
                if law is not None:
                    stages.append(Stage(name, law, ages=stage in ("drift", "read")))
                    self.problems += _beyond(definition.time, law, name)
            if stage == "stuck" and self.values["stuck_at"]:
                law = self._law({"law": "stuck_at", "rate": "$stuck_at"}, "stuck_at")
                if law is not None:
                    stages.append(Stage("stuck_at", law, ages=False))
        return stages

    def _law(self, table: Table, name: str) -> NoiseLaw | None:
        law = table.get("law")
        if not isinstance(law, str):
            self.problems.append(f'{name}: needs law = "..."')
            return None
        try:
            return self.build(_law_called(law), {key: item for key, item in table.items() if key != "law"}, name)
        except UnknownNameError as error:
            self.problems.append(f"{name}: {error}")
            return None

    def build(self, kind: type[_Model], table: Table, name: str) -> _Model | None:
        """A table as its pydantic model, or None and a problem for each fault."""
        try:
            return kind.model_validate(substitute(dict(table), self.knobs, self.values))
        except ValidationError as error:
            self.problems += said(error, name, kind)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
        return None

    def resolve(self, value: Any, name: str) -> Any:
        """A value with its knobs put in, or None and a problem."""
        try:
            return substitute(value, self.knobs, self.values)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return None

    def periphery(self) -> Periphery | None:
        """The converters and the output noise, or None and a problem."""
        try:
            return Periphery(**{name: self.values[name] for name in PERIPHERY})  # pyright: ignore[reportArgumentType]
        except ValueError as error:
            self.problems.append(f"periphery: {error}")
            return None

    def number(self, knob: str) -> float:
        """The value of a knob that every profile has."""
        value = self.values[knob]
        if not isinstance(value, (int, float)):
            raise TypeError(f"{knob} = {value!r} is not a number")
        return value


@cache  # finding a law means asking every installed package for entry points
def _law_called(name: str) -> type[NoiseLaw]:
    return LAWS.module(name).Law


def _beyond(time: Times, law: NoiseLaw, name: str) -> list[str]:
    """A law that was measured for some times only must not be used at others."""
    covered = law.covers_s()
    if covered is None or (covered[0] <= time.first and time.last <= covered[1]):
        return []
    return [f"{name}: measured from {covered[0]:g} s to {covered[1]:g} s only, but [time] allows {time}"]
