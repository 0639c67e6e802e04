"""Clipping: every analog tensor stays within K of its own standard deviations (:mod:`harden.transforms.clip`).

Source: Joshi et al., Nat. Commun. 11, 2473 (2020), with K = 2; Stutz et al., MLSys 2021, for bit errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harden import values
from harden.levers import base
from harden.words import known, number, percent, plural

if TYPE_CHECKING:
    from harden.transforms.clip import Clip

AUTO = 1.5  # measured on ResNet-20 and on digits; see docs/levers.md


class Options(base.Options):
    """How far, and how soon."""

    clip: values.Clip = Field("auto", description="clamp weights to K standard deviations: K, auto, none, or search")
    clip_anneal: float = Field(
        0.0, ge=0, le=1, description="share of the training over which the clip tightens from the tensors' own range"
    )


class Record(base.Record):
    """Standard deviations (None: each tensor has its own), what was clipped, and how many tensors got each bound."""

    k: float | None
    anneal: float
    tensors: int
    beyond_at_start: float
    found: dict[str, int] | None = None


class Lever(base.Lever[Options]):
    """Clamps analog tensors before the first step, and after every one."""

    Options = Options
    record_type = Record | None
    off: ClassVar[Mapping[str, Any]] = {"clip": "none"}
    example: ClassVar[Mapping[str, Any]] = {"clip": 1.0}
    order = 10

    @classmethod
    def on(cls, plan: base.Plan) -> bool:
        """``auto`` clips where any noise grows with a tensor's range."""
        clip = cls.of(plan).clip
        return clip == "search" or resolve(clip, [one.profile for one in plan.conditions]) is not None

    @classmethod
    def used(cls, plan: base.Plan, records: Mapping[str, Any], batch_norms: bool) -> bool:
        """Before the run ``auto`` counts as on."""
        return bool(records.get("clip")) if records else cls.of(plan).clip != "none"

    def start(self, training: base.Training) -> None:
        """Take the weights' own range, and search for each tensor's bound where that is asked for."""
        from harden.transforms.clip import Clip, clippable
        from harden.transforms.range_search import search_limits

        plan, limits = self.plan, None
        if self.options.clip == "search":
            net = training.net if plan.device == "cpu" else training.model.module()
            inputs = tuple(one.cpu() for one in training.inputs(0))
            noise = [(condition.profile, condition.at_s) for condition in plan.conditions]
            limits = search_limits(net, inputs, noise, plan.digital, plan.seed)
        k = resolve(self.options.clip, [condition.profile for condition in plan.conditions])
        self._clip: Clip = Clip(clippable(training.net, plan.digital), k, self.options.clip_anneal, limits)

    def after_step(self, training: base.Training, step: int) -> None:
        """Clip."""
        self._clip.apply(step / training.steps)

    def record(self) -> Record | None:
        """What was clipped; None for nothing."""
        return Record(**self._clip.record) if self.on(self.plan) else None

    @classmethod
    def row(cls, record: Any) -> base.Row | None:
        """The bound, and how many weights were beyond it."""
        if not isinstance(record, Mapping) or not known(record.get("k")):
            return super().row(record)
        text = f"at ±{number(record['k'])} standard deviations of each tensor"
        if known(record.get("tensors")):
            text += f", {plural(int(record['tensors']), 'tensor')}"
        if known(record.get("beyond_at_start")):
            text += f"; {percent(record['beyond_at_start'])} of the weights were beyond"
        return base.described(cls.name, record, text)


def resolve(clip: float | Literal["auto", "none", "search"] | None, profiles: Iterable[Any]) -> float | None:
    """The number of standard deviations that a setting means.

    Args:
        clip: A number, ``"auto"`` (1.5 where any profile's noise grows with the tensor's range, else off), ``"none"``
            or None. ``"search"`` means ``"auto"`` here: it is for tensors that the search cannot judge.
        profiles: The profiles trained for.

    Returns:
        The number, or None for no clipping.

    Example:
        >>> resolve("none", []), resolve("1.5", []), resolve("auto", [])
        (None, 1.5, None)
    """
    if clip is None or clip == "none":
        return None
    if clip in ("auto", "search"):
        return AUTO if any(profile.scales_with_range for profile in profiles) else None
    return float(clip)
