"""Checks a user's profile file, and finds everything that is wrong with it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from harden.errors import HardenError
from harden.noise.assembly import try_assemble
from harden.noise.definition import STAGES, Definition, try_definition
from harden.noise.knobs import resolve
from harden.noise.periphery import KNOBS as PERIPHERY
from harden.noise.profile import Profile
from harden.noise.text import find_definition
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
    definition, problems = try_definition(text)
    if definition is None:
        return problems
    values, _ = resolve(definition.all_knobs(), {})
    _, problems = try_assemble(definition, values)
    problems += [f"knobs.{knob}: nothing uses it" for knob in sorted(_unused(definition))]
    problems += [
        f"knobs.{name}: says nothing about itself (about)" for name, knob in definition.knobs.items() if not knob.about
    ]
    return problems or _trial(Profile(label, definition, values))


def _trial(profile: Profile) -> list[str]:
    weights = {"w": torch.empty(64, 64).normal_(generator=generator(0, "check"))}
    last = profile.definition.time.last
    problems = []
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

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
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
