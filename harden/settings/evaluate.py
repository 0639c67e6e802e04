"""What ``harden eval`` and ``harden compare`` add."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from harden.settings.common import Settings
from harden.values import Texts, repeated

Analysis = Literal[
    "sensitivity", "ranking", "worst_case", "landscape", "corners", "stress", "rare_failures", "per_chip"
]


class EvalSettings(Settings):
    """Settings of ``harden eval``."""

    sweep: Texts = Field(
        (), description="vary a parameter of the profile, or severity, key=start:stop:step; may be repeated"
    )
    copies: Texts = Field(
        (), description="evaluate as if each weight were the mean of N devices: N, or GLOB=N for some; may be repeated"
    )
    until: str | None = Field(
        None,
        description="run as few chips and images as this precision allows, such as 'ci95(mean_accuracy)<0.005'",
    )
    replay: str | None = Field(None, description="run the recorded chip of this file again")
    column_baseline: bool = Field(
        False,
        description="also evaluate 20 chips whose noise is relative to each column's largest weight, not the tensor's",
    )
    also: Annotated[tuple[Analysis, ...], BeforeValidator(repeated)] = Field(
        (),
        description=f"an analysis, one of {', '.join(get_args(Analysis))}; may be repeated",
    )
    keep_worst: int = Field(3, ge=0, description="how many of the worst chips are recorded in --out, for --replay")
    worst_onnx: bool = Field(False, description="also write the ONNX file of each recorded chip")


class CompareSettings(Settings):
    """Settings of ``harden compare``."""

    others: Texts = Field((), description="the models to compare with; may be repeated")
