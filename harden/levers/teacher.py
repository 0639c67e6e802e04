"""A teacher: the network learns from the clean network's outputs, or from what it computes inside.

Source: Hinton et al., arXiv 1503.02531; with noise, Zhou et al., arXiv 2001.04974.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harden import values
from harden.levers import base

if TYPE_CHECKING:
    from torch import Tensor

    from harden.levers._features import Features
    from harden.methods.base import Batch, Noise, Outputs, Task


class Options(base.Options):
    """Who teaches what, and how much."""

    teacher: Literal["none", "clean", "self"] = Field(
        "none",
        description="learn from the clean network's outputs: a frozen copy, or the current weights without noise",
    )
    teacher_weight: float = Field(0.9, ge=0, le=1, description="share of the teacher in the loss")
    temperature: float = Field(1.0, gt=0, description="temperature of the teacher's and the student's softmax")
    teacher_match: Literal["logits", "features", "both"] = Field(
        "logits", description="what is matched to the teacher: the outputs, tensors inside the network, or both"
    )
    teacher_taps: values.Names = Field(
        (), description="names of the tensors for --teacher-match features, a,b; default: chosen from the graph"
    )


class Record(base.Record):
    """The options, and the tensors whose values were matched."""

    kind: str
    weight: float
    temperature: float
    match: str | None = None
    taps: str | None = None


class Lever(base.Lever[Options]):
    """Gives the teacher its share of the loss."""

    Options = Options
    record_type = Record | None
    example: ClassVar[Mapping[str, Any]] = {"teacher": "clean"}
    order = 50
    _features: Features | None = None

    @classmethod
    def on(cls, plan: base.Plan) -> bool:
        """Where there is one."""
        return cls.of(plan).teacher != "none"

    @classmethod
    def needs_clean(cls, plan: base.Plan) -> bool:
        """For the teacher that is a frozen copy."""
        return cls.of(plan).teacher == "clean"

    @classmethod
    def problems(cls, plan: base.Plan) -> list[str]:
        """What a teacher is asked to do where there is none."""
        asked = cls.of(plan).teacher_match != "logits" or bool(cls.of(plan).teacher_taps)
        if cls.on(plan) or not asked:
            return []
        return ["teacher_match, teacher_taps: there is no teacher; choose teacher clean or self"]

    def __init__(self, plan: base.Plan) -> None:
        super().__init__(plan)
        self._teacher: Any = None

    def start(self, training: base.Training) -> None:
        """Take the teacher, and the tensors that are matched."""
        from harden.levers._features import Features

        self._teacher = training.clean if self.options.teacher == "clean" else training.net
        if self.options.teacher_match != "logits":
            taps, weight = self.options.teacher_taps, self.options.teacher_weight
            self._features = Features(training.net, self._teacher, training.inputs(0), taps, weight)

    @property
    def _by_outputs(self) -> bool:
        return self.options.teacher_match != "features"

    def task(self, task: Task) -> Task:
        """The task, and the divergence from the teacher's outputs."""
        return Distilled(task, self.options.teacher_weight, self.options.temperature) if self._by_outputs else task

    def targets(self, inputs: tuple[Tensor, ...], targets: Any) -> Any:
        """The task's own targets, and the teacher's outputs."""
        if not self._by_outputs:
            return targets
        # Without labels the targets are the clean network's outputs.
        same = self.plan.objective == "match" and self.options.teacher == "clean"
        return targets, targets if same else self._teacher(*inputs)

    @property
    def task_share(self) -> float:
        """What is left to the objective where the teacher's features have their share beside it."""
        return 1.0 if self._by_outputs else 1 - self.options.teacher_weight

    def losses(self, batch: Batch, noise: Noise) -> Mapping[str, Tensor]:
        """The distance of features."""
        return {} if self._features is None else {"teacher_features": self._features.loss(batch, noise)}

    def record(self) -> Record | None:
        """The options; None without a teacher."""
        if not self.on(self.plan):
            return None
        options = self.options
        record = {"kind": options.teacher, "weight": options.teacher_weight, "temperature": options.temperature}
        if self._features is not None:
            record |= {"match": options.teacher_match, "taps": ", ".join(self._features.taps)}
        return Record(**record)

    @classmethod
    def row(cls, record: Any) -> base.Row | None:
        """Methods such as distill have a teacher of their own, so this one is the extra one."""
        return base.described("extra_teacher", record)


class Distilled:
    """A task with a teacher: ``(1 - weight) * task + weight * divergence from the teacher``.

    Targets are pairs of the task's own targets and the teacher's outputs.

    Args:
        task: The task underneath.
        weight: Share of the teacher, in [0, 1].
        temperature: Above 0.

    Source: Hinton et al., arXiv 1503.02531; with noise, Zhou et al., arXiv 2001.04974.
    """

    def __init__(self, task: Any, weight: float, temperature: float = 1.0) -> None:
        self.task = task
        self.weight = weight
        self.temperature = temperature

    def loss(self, outputs: Outputs, targets: tuple[Any, Outputs]) -> Tensor:
        """The weighted sum."""
        own, teacher = targets
        taught = self.weight * self.task.divergence(teacher, outputs, self.temperature)
        return taught if self.weight == 1 else (1 - self.weight) * self.task.loss(outputs, own) + taught

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """That of the task underneath."""
        return self.task.divergence(reference, outputs, temperature)
