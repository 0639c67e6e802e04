"""Sweeps of one knob, corners over several, and the stress curve: all of them are lists of conditions.

Every condition draws the same chips, so curves are smooth and differences between corners are paired.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harden.errors import SettingsError
from harden.evaluation.plan import Condition
from harden.noise.knobs import resolve
from harden.noise.profile import Profile

STRESS = (1.0, 1.1, 1.25, 1.4)
SEVERITY, TIME = "severity", "at_s"
_MOST_POINTS = 1000


def parse_sweep(text: str) -> tuple[str, tuple[float, ...]]:
    """Read ``key=start:stop:step`` (the stop is included where a step meets it) or ``key=v1,v2,...``.

    Args:
        text: As given to ``--sweep``.

    Returns:
        The key and its values.

    Raises:
        SettingsError: It cannot be read, or has no points.

    Example:
        >>> parse_sweep("sigma=0:0.2:0.05")
        ('sigma', (0.0, 0.05, 0.1, 0.15, 0.2))
    """
    key, _, values = text.partition("=")
    example = "Write 'sigma=0:0.4:0.05' or 'sigma=0.1,0.2'"
    try:
        if ":" in values:
            start, stop, step = (float(v) for v in values.split(":"))
            points = _steps(text, start, stop, step)
        else:
            points = tuple(float(v) for v in values.split(",") if v.strip())
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"cannot read the sweep '{text}'", where="--sweep", fix=example) from error
    if not key.strip() or not points:
        raise SettingsError(f"the sweep '{text}' has no points", where="--sweep", fix=example)
    if not all(math.isfinite(p) for p in points):
        raise SettingsError(f"the sweep '{text}' holds a value that is not finite", where="--sweep", fix=example)
    return key.strip(), points


def _steps(text: str, start: float, stop: float, step: float) -> tuple[float, ...]:
    if step == 0 or not all(map(math.isfinite, (start, stop, step))):
        raise SettingsError(f"the sweep '{text}' has a step of {step:g}", where="--sweep", fix="Give a step that moves")
    count = math.floor((stop - start) / step + 1e-9) + 1
    if count > _MOST_POINTS:
        raise SettingsError(f"the sweep '{text}' has {count} points", where="--sweep", fix="Take a larger step")
    digits = 12 - math.floor(math.log10(max(abs(start), abs(stop), abs(step))))
    return tuple(round(start + i * step, digits) for i in range(count))


def sweep(
    profile: Profile, axes: Mapping[str, Sequence[float]], times: Sequence[float] | None = None
) -> tuple[Condition, ...]:
    """Every combination of the axes' values, the last axis fastest.

    Args:
        profile: The device in the middle of it all.
        axes: Values by knob of the profile; ``severity`` scales its noise, ``at_s`` is the time.
        times: Times of every combination, where ``at_s`` is no axis; None is the first valid one.

    Returns:
        One condition a combination, knowing its own point.

    Raises:
        SettingsError: An unknown knob, or a value out of its range; all problems at once.
        ProfileError: A time outside the profile's valid times.
    """
    if not axes or not all(axes.values()):
        raise SettingsError("the sweep has no points", where="--sweep", fix="Write 'sigma=0:0.4:0.05'")
    conditions, problems = [], []
    for values in itertools.product(*axes.values()):
        point = dict(zip(axes, map(float, values), strict=True))
        try:
            changed = at_point(profile, point)
        except SettingsError as error:
            problems += error.problems or (error.what,)
            continue
        at = (point[TIME],) if TIME in point else times or (None,)
        conditions += [Condition(changed, t, sweep=point) for t in at]
    if problems:
        raise SettingsError("the sweep leaves the profile's ranges", where="--sweep", problems=sorted(set(problems)))
    return tuple(conditions)


def at_point(profile: Profile, point: Mapping[str, float]) -> Profile:
    """The profile with some knobs turned.

    Raises:
        SettingsError: Lists unknown knobs and values out of range.
    """
    turned = {k: v for k, v in point.items() if k not in (SEVERITY, TIME)}
    if turned:
        knobs = profile.definition.all_knobs()
        whole = {k: int(v) if isinstance(getattr(knobs.get(k), "default", 0.0), int) and v == int(v) else v
                 for k, v in turned.items()}  # fmt: skip
        values, problems = resolve(knobs, {**profile.knobs, **whole})
        if problems:
            raise SettingsError(f"profile '{profile.name}' does not accept these parameters", problems=problems)
        profile = replace(profile, knobs=values)
    return profile.scaled(point[SEVERITY]) if SEVERITY in point else profile


def corners(profile: Profile, axes: Mapping[str, Sequence[float]] | None = None) -> tuple[Condition, ...]:
    """A corner table: noise scale times whatever else is given, every cell on the same chips.

    Args:
        profile: The device.
        axes: Such as ``{"severity": (0.5, 1, 2), "at_s": (0, 3600), "stuck_at": (0, 0.01)}``; by default a severity
            of 0.5, 1, 1.5 and 2.
    """
    return sweep(profile, axes or {SEVERITY: (0.5, 1.0, 1.5, 2.0)})


def stress(profile: Profile, at_s: float | None = None) -> tuple[Condition, ...]:
    """The stress curve: the same chips at 1, 1.1, 1.25 and 1.4 times the noise.

    It shows how near the edge a model is. It is no estimate of a tail probability: accuracy saturates at chance, so
    nothing may be extrapolated from larger noise to rarer chips.
    """
    return sweep(profile, {SEVERITY: STRESS}, None if at_s is None else (at_s,))
