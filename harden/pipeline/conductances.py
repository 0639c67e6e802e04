"""The target conductances of a model's weights, as a file for the one who programs the chip."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import numpy as np

from harden.errors import SettingsError
from harden.graph.file import Model
from harden.noise.profile import Profile
from harden.store import replacing

_FORMATS = (".npz", ".csv")
Arrays = dict[str, np.ndarray]


class Export(TypedDict):
    """What was written: the mapping's range in its unit, what a scale refers to, and how many tensors and weights."""

    schema: str
    profile: str
    digest: str
    model_sha256: str
    unit: str
    range: list[float]
    reference: str
    tensors: int
    weights: int


def conductances(model: Model, profile: Profile, digital: tuple[str, ...] = ()) -> dict[str, Arrays]:
    """Targets of all devices, by the profile's mapping and before any noise.

    For a differential pair G⁺ = g_min + clip(w k, 0), G⁻ = g_min + clip(-w k, 0), with k = (g_max - g_min) / max|w|
    over the profile's reference (tensor, column or tile); rounding and saturation as the profile has them.

    Args:
        model: The model.
        profile: Gives the mapping and the conductance range.
        digital: Globs of tensors and nodes kept off the crossbars.

    Returns:
        By weight: ``weight`` (as the node sees it) and by device an array of the same shape, float32: ``g_plus_us`` and
        ``g_minus_us`` for pairs (numbered from 0 where a weight has several), ``g_us`` for single devices, ``..._na``
        where currents are stored. For each device ``NAME_weight_per_unit``, what one unit more adds to the weight; it
        broadcasts to the weight.

    Raises:
        SettingsError: The profile stores weights, not conductances.
    """
    circuit = profile.circuit
    mapping = circuit.mapping
    if mapping.kind == "direct":
        raise SettingsError(
            f"profile {profile.name} stores the weights themselves and has no conductance range",
            fix="Name a profile with devices (pcm, rram_wan, ...), or give your own file a [mapping] with g_max_us",
        )
    unit = "us" if mapping.unit == "µS" else "na"
    targets: dict[str, Arrays] = {}
    for key, use in model.analog_weights(digital).items():
        devices = circuit.targets(use.tensor, use)
        signs = [1 if np.all(np.asarray(device.weight_per_unit) >= 0) else -1 for device in devices]
        arrays = {"weight": use.tensor.detach().numpy()}
        for index, (device, sign) in enumerate(zip(devices, signs, strict=True)):
            name = ("g" if mapping.kind == "single" else "g_plus" if sign > 0 else "g_minus") + f"_{unit}"
            if signs.count(sign) > 1:
                name += f"_{signs[:index].count(sign)}"
            arrays[name] = device.target.to(use.tensor.dtype).numpy()
            arrays[f"{name}_weight_per_unit"] = np.asarray(device.weight_per_unit, dtype=np.float32)
        targets[key] = arrays
    return targets


def write_conductances(model: Model, profile: Profile, path: Path, digital: tuple[str, ...] = ()) -> Export:
    """Write :func:`conductances` to ``.npz`` or ``.csv``.

    The archive's arrays are called ``WEIGHT/NAME``; ``about`` is a JSON text with the digests. The table has a row a
    weight: ``tensor``, ``index`` (in C order of the shape), ``weight`` and the devices.

    Args:
        model: The model.
        profile: Gives the mapping.
        path: Where to; the ending decides the format.
        digital: Globs kept off the crossbars.

    Raises:
        SettingsError: Another ending, or a profile without conductances.
    """
    if path.suffix not in _FORMATS:
        raise SettingsError(f"--out {path}: write to a file that ends in {' or '.join(_FORMATS)}")
    targets = conductances(model, profile, digital)
    mapping = profile.circuit.mapping
    about: Export = {
        "schema": "harden.export/1",
        "profile": str(profile),
        "digest": profile.digest,
        "model_sha256": model.sha256,
        "unit": mapping.unit,
        "range": [mapping.low, mapping.high],
        "reference": mapping.reference,
        "tensors": len(targets),
        "weights": sum(arrays["weight"].size for arrays in targets.values()),
    }
    with replacing(path) as file:
        if path.suffix == ".npz":
            flat = {f"{key}/{name}": array for key, arrays in targets.items() for name, array in arrays.items()}
            np.savez_compressed(file, allow_pickle=False, about=np.array(json.dumps(about)), **flat)
        else:
            for lines in _lines(targets):
                file.write(lines.encode())
    return about


def _lines(targets: dict[str, Arrays]) -> Iterator[str]:
    """The table, one text for each tensor."""
    head: list[str] = []
    for key, arrays in targets.items():
        columns = {name: array for name, array in arrays.items() if not name.endswith("_per_unit")}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not head:
            head = list(columns)
            writer.writerow(["tensor", "index", *head])
        flat = [columns[name].reshape(-1).tolist() for name in head]
        writer.writerows(
            [key, index, *(f"{value:.9g}" for value in row)] for index, row in enumerate(zip(*flat, strict=True))
        )
        yield text.getvalue()
