"""Checks a user's profile file, and finds everything that is wrong with it at once."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import cast

import torch

from harden.errors import HardenError, ProfileError
from harden.noise.assembly import try_assemble
from harden.noise.definition import STAGES, Definition, try_definition
from harden.noise.knobs import resolve
from harden.noise.periphery import KNOBS as PERIPHERY
from harden.noise.profile import Profile
from harden.noise.profile_text import find_definition
from harden.origins import value_lines
from harden.parsing import Table, parse_toml
from harden.streams import generator


def check(name: str | Path) -> list[str]:
    """Every problem of a profile.

    The file is parsed, its knobs and laws are built, no knob is left unused, and one chip is drawn of a small tensor
    at the first and the last valid time.

    Args:
        name: A TOML file, or the name of a shipped device.

    Returns:
        One line a problem; nothing if the profile is fine.

    Raises:
        ProfileError, UnknownNameError: There is no such file.

    Example:
        >>> check("pcm")
        []
    """
    label, text = find_definition(str(name))
    table = parse_toml(text, str(name), ProfileError)
    definition, problems = _forgiving(table)
    if definition is None:
        return _placed(problems, text)
    values, _ = resolve(definition.all_knobs(), {})
    _, others = try_assemble(definition, values)
    problems += others
    problems += [f"knobs.{knob}: nothing uses it" for knob in sorted(_unused(definition))]
    problems += [
        f"knobs.{name}: has no description (about)" for name, knob in definition.knobs.items() if not knob.about
    ]
    return _placed(problems, text) or _trial(Profile(label, definition, values))


def _forgiving(table: Table) -> tuple[Definition | None, list[str]]:
    """The definition without the keys that are wrong, so that the laws can be looked at too; None if that fails."""
    problems: list[str] = []
    rest = copy.deepcopy(dict(table))
    while True:
        definition, wrong = try_definition(rest)
        fresh = [line for line in wrong if line not in problems]
        problems += fresh
        if definition is not None:
            return definition, problems
        mended = [_mended(rest, line.partition(":")[0]) for line in fresh]
        if not mended or not all(mended):
            return None, problems


def _mended(table: dict[str, object], field: str) -> bool:
    """Take a wrong key out, or put something harmless in its place; False where that is no way out."""
    path = field.split(".")
    if path[0] in ("summary", "citation"):
        table[path[0]] = "?"
        return True
    knobs = cast("dict[str, object]", table.get("knobs"))
    if path[0] == "knobs" and len(path) > 1 and path[1] in knobs:
        knob = knobs[path[1]]
        extra = path[2] if isinstance(knob, dict) and path[2:] and "default" in knob else None
        if extra in (None, "default") or cast("dict[str, object]", knob).pop(extra, None) is None:
            knobs[path[1]] = {"default": 0.5, "about": "?"}
        return True
    return table.pop(path[0], None) is not None


def _placed(problems: list[str], text: str) -> list[str]:
    """Each problem with the line that it is in, where its field is written down; in the order of lines."""
    lines = value_lines(text)
    placed = [(_line(problem.partition(":")[0].split(" ")[0], lines), problem) for problem in problems]
    return [
        f"line {line}: {problem}" if line else problem for line, problem in sorted(placed, key=lambda item: item[0])
    ]


def _line(field: str, lines: dict[tuple[str, ...], int]) -> int:
    first, *rest = field.split(".")
    stage = re.fullmatch(rf"({'|'.join(STAGES)})(\d*)", first)  # the second law of a stage is called program1
    path = (stage[1], *([] if rest and rest[0].isdigit() else [stage[2] or "0"]), *rest) if stage else (first, *rest)
    prefixes = (path[:end] for end in range(len(path), 0, -1))
    return next((lines[part] for part in prefixes if part in lines), 0)


def _trial(profile: Profile) -> list[str]:
    weights = {"w": torch.empty(64, 64).normal_(generator=generator(0, "check"))}
    last = profile.definition.time.last
    problems: list[str] = []
    for at_s in {profile.default_at_s, last if last != float("inf") else profile.default_at_s}:
        try:
            drawn = profile.chip(weights, seed=0, index=0, at_s=at_s)["w"]
        except HardenError as error:
            problems.append(f"a chip at {at_s:g} s cannot be drawn: {error}")
            continue
        if not bool(drawn.isfinite().all()):
            problems.append(f"a chip at {at_s:g} s has weights that are not finite")
        elif torch.equal(drawn, weights["w"]):
            problems.append(f"a chip at {at_s:g} s has no noise at all")
    return problems


def _unused(definition: Definition) -> set[str]:
    used: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for item in cast("Table", value).values():
                walk(item)
        elif isinstance(value, (list, tuple)):
            for item in cast("list[object] | tuple[object, ...]", value):
                walk(item)
        elif isinstance(value, str) and value.startswith("$"):
            used.add(value[1:].partition(".")[0])

    for part in ("mapping", "compensation", *STAGES):
        walk(getattr(definition, part))
    if definition.sampler is not None:
        walk(definition.sampler.arguments)
    common = set(definition.all_knobs()) - set(definition.knobs)
    overridden = {"reference", "tile_rows", "tile_columns", "quantise", "d2d", "c2c", *PERIPHERY}
    return set(definition.knobs) - used - common - overridden
