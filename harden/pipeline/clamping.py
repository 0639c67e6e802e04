"""``--clamp-activations 99.99%``: the hardened graph with clamps behind its activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from harden.errors import SettingsError
from harden.graph.file import Model
from harden.levers.clamp_activations import Lever, Record
from harden.settings import FitSettings
from harden.transforms.clamp import clamp_activations

_BATCHES = 4


def check_new_nodes(settings: FitSettings) -> None:
    """Refuse clamps in a graph that must not grow.

    Raises:
        SettingsError: ``--clamp-activations`` without ``--allow-new-nodes`` or without ``--data``.
    """
    if settings.clamp_activations is None:
        return
    problems = []
    if not settings.allow_new_nodes:
        problems.append("--clamp-activations adds Clip nodes to the graph: say --allow-new-nodes, too")
    if not settings.data:
        problems.append("--clamp-activations calibrates its bounds on examples: give --data")
    if problems:
        raise SettingsError("activations cannot be clamped like this", problems=problems)


def with_clamps(
    model: Model, percentile: float | None, batches: Sequence[tuple[torch.Tensor, ...]]
) -> tuple[Model, dict[str, Any]]:
    """The model with clamps, and what was done by name of the lever; as it was without a percentile."""
    if percentile is None:
        return model, {}
    clamped, record = clamp_activations(model, batches[:_BATCHES], percentile)
    return clamped, {"clamp_activations": Lever.to_json(Record(**record))}
