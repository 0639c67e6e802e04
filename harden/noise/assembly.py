"""From a definition and the values of its knobs to what a chip is drawn from."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass

from pydantic import ValidationError
from torch import Tensor

from harden.errors import ProfileError, UnknownNameError
from harden.noise.blackbox import BlackBox
from harden.noise.circuit import Circuit, Draw, Stage
from harden.noise.definition import STAGES, Definition, Times, said, substitute
from harden.noise.knobs import KnobValue
from harden.noise.laws.base import NoiseLaw
from harden.noise.mapping import Mapping
from harden.noise.scales import AnalogWeightLike
from harden.registry import LAWS


@dataclass(frozen=True)
class Assembled:
    """The circuit of a profile, and a black-box sampler where it has one."""

    circuit: Circuit
    black_box: BlackBox | None = None

    @property
    def timed(self) -> bool:
        """Whether anything depends on the time since programming."""
        return self.black_box is not None or any(stage.law.depends_on_time() for stage in self.circuit.stages)

    @property
    def grows_with_range(self) -> bool:
        """Whether the noise of a weight grows with the largest weight around it."""
        if self.black_box is not None and self.black_box.grows_with_range:
            return True
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
    knobs = definition.all_knobs()
    problems: list[str] = []
    table = {"weight_bits": "$quantise", **definition.mapping, "reference": values["reference"]}
    mapping = _build(Mapping, table, knobs, values, "mapping", problems)
    stages: list[Stage] = []
    for stage in STAGES:
        for position, entry in enumerate(getattr(definition, stage)):
            name = stage if position == 0 else f"{stage}{position}"
            law = _law(entry, knobs, values, name, problems)
            if law is not None:
                stages.append(Stage(name, law, ages=stage in ("drift", "read")))
                problems.extend(_beyond(definition.time, law, name))
    compensation = _resolved(definition.compensation, knobs, values, "compensation", problems)
    if compensation not in ("none", "global"):
        problems.append(f"compensation: '{compensation}' must be none or global")
    black_box = None
    if definition.sampler is not None:
        arguments = _resolved(definition.sampler.arguments, knobs, values, "sampler", problems)
        black_box = BlackBox(definition.sampler.function, arguments or {}, definition.sampler.grows_with_range)
    if problems or mapping is None:
        return None, problems
    circuit = Circuit(
        mapping=mapping,
        stages=tuple(stages),
        tile=(_whole(values["tile_rows"]), _whole(values["tile_columns"])),
        d2d=_decimal(values["d2d"]),
        c2c=_decimal(values["c2c"]),
        compensated=compensation == "global",
    )
    return Assembled(circuit, black_box), []


def _whole(value: KnobValue) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _decimal(value: KnobValue) -> float:
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _beyond(time: Times, law: NoiseLaw, name: str) -> list[str]:
    """A law that was measured for some times only must not be used at others."""
    covered = law.covers_s()
    if covered is None or (covered[0] <= time.first and time.last <= covered[1]):
        return []
    return [f"{name}: measured from {covered[0]:g} s to {covered[1]:g} s only, but [time] allows {time}"]


def _law(entry, knobs, values, name: str, problems: list[str]) -> NoiseLaw | None:
    fields = dict(entry)
    law = fields.pop("law", None)
    if not isinstance(law, str):
        problems.append(f'{name}: needs law = "..."')
        return None
    try:
        kind = LAWS.module(law).Law
    except UnknownNameError as error:
        problems.append(f"{name}: {error}")
        return None
    return _build(kind, fields, knobs, values, name, problems)


def _build(kind, table, knobs, values, name: str, problems: list[str]):
    try:
        return kind.model_validate(substitute(table, knobs, values))
    except ValidationError as error:
        problems.extend(said(error, name))
    except ValueError as error:
        problems.append(f"{name}: {error}")
    return None


def _resolved(value, knobs, values, name: str, problems: list[str]):
    try:
        return substitute(value, knobs, values)
    except ValueError as error:
        problems.append(f"{name}: {error}")
        return None
