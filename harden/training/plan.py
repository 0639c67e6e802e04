"""What a training run is told."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import ConfigDict, Field, InstanceOf, ValidationError

from harden.errors import SettingsError
from harden.evaluation.plan import Condition
from harden.levers import levers
from harden.settings import TrainingOptions, problem

LEAST_STEPS = 4  # that a short run gets
FEWEST_STEPS = 100  # that are likely to harden anything
FEWEST_EXAMPLES = 12_800  # a training sees by default, over and over: an epoch of a small data set hardens nothing
BATCH_SIZE = 32  # by default: every step sees one chip, so many small steps see many chips (docs/levers.md)
# Peak learning rates for fine-tuning a pretrained network; see docs/levers.md for the measurements.
LEARNING_RATES = {"sgd": 0.01, "adamw": 5e-4}


class TrainingPlan(TrainingOptions):
    """Everything that decides a training run's numbers, besides the model and the data.

    The training options (:mod:`harden.settings.training`), and with them those of every lever, with what a run makes of
    its settings.

    Attributes:
        conditions: The noise that is trained for, each with its time since programming. With several, the steps take
            turns, and the selection averages over all.
        steps: Optimizer steps; None follows ``epochs``.
        digital: Globs of tensors or nodes that stay off the crossbars.
        threads: Torch threads; they are part of what decides the bits.
        device: What the network is trained on.
        selections: How often validation chips judge the weights; the last is at the end.
        selection_chips: Validation chips.
        selection_examples: Validation examples at most; None is 1000, fewer for images above 64 x 64 pixels.

    Raises:
        SettingsError: An option is unknown or out of its range, or two do not go together; names all of them.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    conditions: tuple[InstanceOf[Condition], ...] = ()
    steps: int | None = Field(None, ge=1)
    digital: tuple[str, ...] = ()
    threads: int = Field(1, ge=1)
    device: Literal["cpu", "cuda"] = "cpu"
    selections: int = Field(4, ge=1)
    selection_chips: int = Field(4, ge=1)
    selection_examples: int | None = Field(None, ge=1)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            problems = [problem(one, {name: name for name in values}) for one in error.errors()]
        else:
            problems = [text for lever in levers() if lever.trains for text in lever.problems(self)]
            if not self.conditions:
                problems.append("conditions: at least one noise condition is needed")
        if problems:
            raise SettingsError("the training plan is not possible", problems=problems) from None

    def replace(self, **changes: Any) -> TrainingPlan:
        """The plan with other values.

        Raises:
            SettingsError: It is not possible with them.
        """
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)

    @property
    def examples_per_step(self) -> int:
        """The batch size."""
        return BATCH_SIZE if self.batch_size is None else self.batch_size

    @property
    def learning_rate(self) -> float:
        """The peak learning rate."""
        return LEARNING_RATES[self.optimizer] if self.lr is None else self.lr

    def total_steps(self, examples: int) -> int:
        """Optimizer steps for so many training examples."""
        if self.steps is not None:
            return self.steps
        shown = max(FEWEST_EXAMPLES, examples) if self.epochs is None else self.epochs * examples
        return max(1, round(shown / self.examples_per_step))

    @property
    def digest(self) -> str:
        """Identifies the plan: a checkpoint of another plan is refused."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name != "conditions"}
        values["conditions"] = [(condition.profile.digest, condition.at_s) for condition in self.conditions]
        values["options"] = sorted(self.options.items())
        return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()
