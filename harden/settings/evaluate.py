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

    sweep: Texts = Field((), description="vary a knob of the profile, key=start:stop:step, or severity; may repeat")
    copies: Texts = Field(
        (), description="what if N devices were averaged for each weight: N, or GLOB=N for some; may repeat"
    )
    until: str | None = Field(
        None, description="only as many chips and images as the mean needs, such as 'ci95(mean_accuracy)<0.005'"
    )
    metric: Texts = Field((), description="a metric of yours, package.module:function; may repeat")
    replay: str | None = Field(None, description="run the recorded chip of this file again")
    column_baseline: bool = Field(
        False, description="also 20 chips whose noise refers to each column's largest weight, not the tensor's"
    )
    also: Annotated[tuple[Analysis, ...], BeforeValidator(repeated)] = Field(
        (),
        description=f"an analysis, one of {', '.join(get_args(Analysis))}; may repeat",
    )
    keep_worst: int = Field(3, ge=0, description="worst chips whose records go to --out, for --replay")
    worst_onnx: bool = Field(False, description="with the records, the ONNX file of each of these chips")


class CompareSettings(Settings):
    """Settings of ``harden compare``."""

    others: Texts = Field((), description="the models to compare with; may repeat")
