"""What a profile is and does, in numbers and as text: for ``harden profiles list`` and ``harden profiles show``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import torch
from torch import Tensor

from harden.noise.circuit import Draw
from harden.noise.knobs import Distribution
from harden.noise.profile import Profile
from harden.noise.reference import AnalogWeightLike
from harden.noise.rms import pooled, rms_noise
from harden.registry import DEVICES
from harden.streams import generator

_POINTS = 33
_DRAWS = 4096
_HEIGHT = 12
_REFERENCE_WEIGHTS = 65_536


class Parameter(TypedDict):
    """A knob: its value here, its default, its limits in words, and what it does."""

    name: str
    value: object
    default: bool | int | float | str
    limits: str
    about: str


class ModelNoise(TypedDict):
    """What a profile does to a model's weights: to all of them, over their tensors' max|w|, and to each tensor."""

    relative_to_max: float
    tensors: Mapping[str, Mapping[str, float]]


class _OfModel(TypedDict, total=False):
    model: ModelNoise  # with weights


class Description(_OfModel):
    """A profile in numbers and words; see :func:`describe`."""

    name: str
    summary: str
    citation: str
    notes: str
    digest: str
    parameters: list[Parameter]
    valid: str
    at_s: float
    unit: str
    reference: object
    curve: list[dict[str, float]]
    equivalent_noise: float


def listing() -> list[dict[str, str]]:
    """One record a shipped device: ``name``, ``kind``, ``summary``, ``source``, ``level``, ``valid``.

    Example:
        >>> next(entry["level"] for entry in listing() if entry["name"] == "rram1")
        'sigma_d'
    """
    entries: list[dict[str, str]] = []
    for name in DEVICES:
        profile = Profile.load(name)
        entries.append(
            {
                "name": name,
                "kind": profile.circuit.mapping.kind,
                "summary": profile.summary,
                "source": profile.citation,
                "level": profile.definition.level or "",
                "valid": str(profile.definition.time),
            }
        )
    return entries


def curve(profile: Profile, at_s: float | None = None) -> list[dict[str, float]]:
    """The spread and the shift of single devices along their range, from 4,096 draws at each of 33 values.

    Returns:
        ``value`` (µS or nA, or |w|/max|w| where weights are stored directly), ``sigma`` and ``shift`` in the same unit.
    """
    time = profile.check_time(at_s)
    mapping = profile.circuit.mapping
    target = torch.linspace(mapping.low, mapping.high, _POINTS, dtype=torch.float64)
    grid = target[:, None].expand(_POINTS, _DRAWS).contiguous()
    if profile.definition.sampler is not None:
        read = profile.chip({"show": grid}, seed=0, index=0, at_s=time)["show"]
    else:
        read = profile.circuit.read_devices(grid, Draw(0, ("show",), profile.name, time, profile.severity))
    deviation = read - grid
    columns = (target, deviation.std(1), deviation.mean(1))
    return [
        {"value": float(value), "sigma": float(sigma), "shift": float(shift)}
        for value, sigma, shift in zip(*(column.numpy() for column in columns), strict=True)
    ]


def describe(
    profile: Profile,
    weights: Mapping[str, AnalogWeightLike] | Mapping[str, Tensor] | None = None,
    *,
    at_s: float | None = None,
) -> Description:
    """Everything that ``harden profiles show`` prints.

    Args:
        profile: The device.
        weights: The uses of a model, to say what the profile would do to it.
        at_s: Seconds since programming; None is the first valid time.

    Returns:
        ``name``, ``summary``, ``citation``, ``notes``, ``digest``, ``parameters`` (value, default, limits, about),
        ``valid``, ``at_s``, ``unit``, ``curve``, ``equivalent_noise`` (RMS over max|w|, of 65,536 normally distributed
        weights), and with weights ``model``: the same for each tensor (``tensors``) and for all weights
        (``relative_to_max``).
    """
    time = profile.check_time(at_s)
    sample = {"w": torch.empty(256, _REFERENCE_WEIGHTS // 256).normal_(generator=generator(0, "show"))}
    document: Description = {
        "name": profile.name,
        "summary": profile.summary,
        "citation": profile.citation,
        "notes": profile.definition.notes,
        "digest": profile.digest,
        "parameters": [_knob(profile, name) for name in profile.knobs],
        "valid": str(profile.definition.time),
        "at_s": time,
        "unit": profile.circuit.mapping.unit,
        "reference": profile.parameters.get("reference"),
        "curve": curve(profile, time),
        "equivalent_noise": rms_noise(profile, sample, at_s=time)["w"]["relative_to_max"],
    }
    if weights is not None:
        noise = rms_noise(profile, weights, at_s=time)
        document["model"] = {"relative_to_max": pooled(noise, weights), "tensors": noise}
    return document


def text(document: Description) -> str:
    """The record of `describe` as plain text, with a plot of σ against the conductance."""
    unit = "|w| / max|w|" if document["unit"] == "weight" else document["unit"]
    lines = [f"{document['name']}: {document['summary']}", f"source: {document['citation']}"]
    if document["notes"]:
        lines.append(f"note: {document['notes']}")
    lines += [f"valid times: {document['valid']}; shown at {document['at_s']:g} s", "", "parameters:"]
    width = max(len(item["name"]) for item in document["parameters"])
    lines += [
        f"  {item['name']:{width}} = {item['value']}  ({item['limits']}) {item['about']}"
        for item in document["parameters"]
    ]
    lines += ["", plot(document["curve"], unit), ""]
    lines.append(
        f"equivalent noise: {document['equivalent_noise']:.4f} of max|w| (RMS, 65,536 normally distributed weights)"
    )
    if "model" in document:
        lines += ["", f"this model: {document['model']['relative_to_max']:.4f} of max|w| (RMS over all weights)"]
        tensors = document["model"]["tensors"]
        name_width = max((len(name) for name in tensors), default=0)
        lines += [
            f"  {name:{name_width}}  {noise['relative_to_max']:.4f} of max|w|  {noise['relative_to_rms']:.3f} of RMS(w)"
            for name, noise in tensors.items()
        ]
    return "\n".join(lines)


def plot(points: list[dict[str, float]], unit: str) -> str:
    """σ against the device's value, in characters.

    Example:
        >>> print(plot([{"value": x, "sigma": x} for x in (0.0, 1.0, 2.0)], "µS"))  # doctest: +ELLIPSIS
        σ (µS)
        ...
    """
    sigma = [point["sigma"] for point in points]
    top = max(sigma) or 1.0
    rows = [[" "] * len(points) for _ in range(_HEIGHT)]
    for column, value in enumerate(sigma):
        rows[_HEIGHT - 1 - min(int(value / top * _HEIGHT), _HEIGHT - 1)][column] = "●"
    labels = {0: f"{top:.3g}", _HEIGHT // 2: f"{top / 2:.3g}", _HEIGHT - 1: "0"}
    margin = max(len(label) for label in labels.values())
    body = [f"{labels.get(index, ''):>{margin}} │{''.join(row).rstrip()}" for index, row in enumerate(rows)]
    first, last = f"{points[0]['value']:g}", f"{points[-1]['value']:g}"
    axis = f"{'':{margin}} └{'─' * len(points)}"
    scale = f"{'':{margin}}  {first}{last:>{max(len(points) - len(first), 1)}} {unit}"
    return "\n".join([f"σ ({unit})", *body, axis, scale])


def _knob(profile: Profile, name: str) -> Parameter:
    knob = profile.definition.all_knobs()[name]
    value = profile.knobs[name]
    if knob.names:
        limits = " | ".join(knob.names)
    else:
        low = "" if knob.min is None else f"{knob.min:g} <= "
        high = "" if knob.max is None else f" <= {knob.max:g}"
        limits = f"{low}x{high}" if low or high else "any"
    shown = str(value) if isinstance(value, Distribution) else value
    return {"name": name, "value": shown, "default": knob.default, "limits": limits, "about": knob.about}
