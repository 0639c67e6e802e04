"""Protection: the layers that noise hurts most stay digital, within a budget of weights.

:mod:`harden.training.protect` chooses them, before the first step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from harden.errors import SettingsError
from harden.levers import base


class Options(base.Options):
    """How many of the weights."""

    protect: str | None = Field(
        None, description="keep digital the layers that noise hurts most: auto:5% for at most 5% of the weights"
    )


class Lever(base.Lever[Options]):
    """Adds the layers to those that are off the crossbars."""

    Options = Options
    record_type = Mapping[str, Any] | None
    example: ClassVar[Mapping[str, Any]] = {"protect": "auto:20%"}
    order = 130
    heading = "Model"
    trains = False

    @classmethod
    def used(cls, plan: base.Plan, records: Mapping[str, Any], batch_norms: bool) -> bool:
        """Where layers were chosen."""
        return bool((records.get("protect") or {}).get("layers"))

    @classmethod
    def left_out(cls, plan: base.Plan, records: Mapping[str, Any]) -> Any:
        """These layers on the crossbars again."""
        chosen = tuple((records.get("protect") or {}).get("names") or ())
        return plan.replace(digital=tuple(glob for glob in plan.digital if glob not in chosen))


def budget_of(text: str) -> float:
    """The share of weights that a setting such as ``auto:5%`` allows.

    Raises:
        SettingsError: The text is not such a setting.

    Example:
        >>> budget_of("auto:5%")
        0.05
    """
    match = re.fullmatch(r"auto:([0-9]+(?:\.[0-9]+)?)%", text.strip())
    if match is None or not 0 < float(match[1]) < 100:
        raise SettingsError(
            f"'{text}' is not auto:SHARE%", where="--protect", fix="Write auto:5% for at most 5% of the weights"
        )
    return float(match[1]) / 100
