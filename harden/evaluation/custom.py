"""The user's own metrics: ``--metric package.module:function``."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from harden.errors import SettingsError

Metric = Callable[[np.ndarray, np.ndarray], float]


def load_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """Import metrics by ``package.module:function``.

    A metric is called with the first output for all images, [N, ...], and the labels, [N]; it returns one number.

    Args:
        names: As given to ``--metric``.

    Returns:
        The functions by name.

    Raises:
        SettingsError: Lists all that cannot be imported or are no functions.

    Example:
        >>> list(load_metrics(["numpy:corrcoef"]))
        ['numpy:corrcoef']
    """
    metrics: dict[str, Metric] = {}
    problems = []
    for name in names:
        module, _, function = name.partition(":")
        try:
            member: Any = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            problems.append(f"'{name}' cannot be imported ({error})")
            continue
        if callable(member):
            metrics[name] = cast(Metric, member)
        else:
            problems.append(f"'{name}' is not a function")
    if problems:
        raise SettingsError("a metric is not usable", where="--metric", fix="Write module:function", problems=problems)
    return metrics


def apply_metrics(metrics: Mapping[str, Metric], outputs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Call every metric on one chip's outputs.

    Raises:
        SettingsError: A metric raises, or returns something other than a finite number.
    """
    return {name: _number(name, metric, outputs, labels) for name, metric in metrics.items()}


def _number(name: str, metric: Metric, outputs: np.ndarray, labels: np.ndarray) -> float:
    try:
        value: Any = metric(outputs, labels)
        number = float(value)
    except Exception as error:  # whatever the user's code raises
        raise SettingsError(
            f"the metric raised {type(error).__name__}: {error}",
            where=f"--metric {name}",
            fix=f"It is called with outputs {list(outputs.shape)} {outputs.dtype} and labels {list(labels.shape)}",
        ) from error
    if not math.isfinite(number):
        raise SettingsError(f"the metric returned {number}", where=f"--metric {name}", fix="Return a finite number")
    return number
