"""The contract of a lever: its options, its place in the training loop, its record, and its row in the report.

A lever is one file with one class ``Lever`` that derives from :class:`Lever` here. All that it can be asked has a
default, so a lever writes only what it does:

    from pydantic import Field

    from harden.levers import base


    class Options(base.Options):
        shrink: float = Field(0.0, ge=0, lt=1, description="share that every weight loses after each step")


    class Lever(base.Lever[Options]):
        Options = Options
        example = {"shrink": 0.01}

        def after_step(self, training, step):
            ...

This gives ``harden fit --shrink 0.01``, ``shrink = 0.01`` in harden.toml and ``harden.fit(..., shrink=0.01)``, an entry
in the run's record, a row in the report, and a place in ``--controls`` and ``--ablation``.

The command line reads the options, so the file imports neither torch nor the network's code at its top, but in the
hooks that need them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter

from harden.words import known, label, percent, points, shown

if TYPE_CHECKING:
    from torch import Tensor

    from harden.graph.file import Model
    from harden.graph.module import GraphModule
    from harden.methods.base import Batch, Noise, Task
    from harden.noise.profile import Profile


class Options(BaseModel):
    """A lever's options: each field is a flag, a key of harden.toml and an argument of ``harden.fit``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Record(BaseModel):
    """What a lever did, as the run's record keeps it; fields that were not set are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(Protocol):
    """Noise at a time since programming."""

    @property
    def profile(self) -> Profile:
        """The noise."""
        ...

    @property
    def at_s(self) -> float | None:
        """Seconds since programming."""
        ...


class Plan(Protocol):
    """What a lever may read of a training plan, beside its own options."""

    @property
    def conditions(self) -> Sequence[Condition]:
        """The noise that is trained for."""
        ...

    @property
    def digital(self) -> tuple[str, ...]:
        """Globs of tensors or nodes that are off the crossbars."""
        ...

    @property
    def objective(self) -> str:
        """``"labels"`` or ``"match"``."""
        ...

    @property
    def seed(self) -> int:
        """Root of the random streams."""
        ...

    @property
    def device(self) -> str:
        """What is trained on."""
        ...

    def replace(self, **changes: Any) -> Any:
        """The plan with other values."""
        ...


@dataclass
class Training:
    """What a lever may see and change of a training run.

    Attributes:
        model: The model as given.
        net: The network in training, from that model; what a lever changes in it is trained on, and exported.
        clean: A frozen copy of the network as given, on the training's device; None where nothing asks for one.
        steps: How many there will be.
        inputs: The inputs of a step's batch, by the step's number from 0.
        score: The score on validation chips of the network as it is now; not before the first step.
        without_output_noise: From now on the network runs with the first condition's converters, and exact outputs;
            not before the first step.
    """

    model: Model
    net: GraphModule
    clean: GraphModule | None
    steps: int
    inputs: Callable[[int], tuple[Tensor, ...]]
    score: Callable[[], float]
    without_output_noise: Callable[[], None]


class Row(NamedTuple):
    """A row of the report: the lever, its state, what it did, and the points that it gained by its own measure."""

    lever: str
    state: str
    did: str
    points: str


OptionsT = TypeVar("OptionsT", bound=Options)


class Lever(Generic[OptionsT]):
    """A lever of one training run.

    Class attributes:
        name: The file's name; the registry sets it.
        Options: Its options. Their defaults stand for off, but for what ``off`` says.
        off: Values that switch it off, where they are not the defaults.
        example: Values that switch it on, for the contract's tests.
        record_type: The type of what :meth:`record` gives.
        order: Its place among the levers in lists, of its own for each. In the loop they act in the reverse order, so
            that the first has the last word: clipping holds, whatever another one did to the weights.
        heading: Where its flags stand in ``harden fit --help``.
        trains: Whether it acts in the training loop; the options of others are no part of a training plan.
        needs_noise: Whether it does nothing where training sees no noise.
        needs_clean: Whether it asks for a frozen copy of the network as given.

    Attributes:
        plan: The run's training plan.
        options: The same plan, as this lever's options.

    A hook may keep in ``self`` only what :meth:`start` made: a run that was killed calls ``start`` again, and goes on
    from the network and the step in its checkpoint.
    """

    name: ClassVar[str] = ""
    Options: ClassVar[type[Options]] = Options
    off: ClassVar[Mapping[str, Any]] = {}
    example: ClassVar[Mapping[str, Any]] = {}
    record_type: ClassVar[Any] = Any
    order: ClassVar[int] = 1000
    heading: ClassVar[str] = "Levers"
    trains: ClassVar[bool] = True
    needs_noise: ClassVar[bool] = False

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.options = self.of(plan)

    # What a plan says of it.

    @classmethod
    def of(cls, plan: Plan) -> OptionsT:
        """A plan as this lever's options, which it has among its fields."""
        return cast("OptionsT", plan)

    @classmethod
    def switched_off(cls) -> dict[str, object]:
        """The values of its options that switch it off, and only it."""
        return {name: field.get_default() for name, field in cls.Options.model_fields.items()} | dict(cls.off)

    @classmethod
    def on(cls, plan: Plan) -> bool:
        """Whether a plan switches it on."""
        return any(getattr(plan, name) != value for name, value in cls.switched_off().items())

    @classmethod
    def used(cls, plan: Plan, records: Mapping[str, Any], batch_norms: bool) -> bool:
        """Whether its absence would change a run; see :func:`harden.levers.in_use`."""
        return cls.on(plan)

    @classmethod
    def left_out(cls, plan: Plan, records: Mapping[str, Any]) -> Any:
        """The plan of the run without it, for an ablation."""
        return plan.replace(**cls.switched_off())

    @classmethod
    def problems(cls, plan: Plan) -> list[str]:
        """What is wrong with its options beside each one's own range, one sentence each."""
        return []

    @classmethod
    def needs_clean(cls, plan: Plan) -> bool:
        """Whether it asks for a frozen copy of the network as given."""
        return False

    # Its hooks in the training loop; called only where it is on.

    def start(self, training: Training) -> None:
        """Before anything is measured, and before the first step."""

    def task(self, task: Task) -> Task:
        """What the outputs are compared with; gives the task, or another one around it."""
        return task

    def targets(self, inputs: tuple[Tensor, ...], targets: Any) -> Any:
        """The targets of a batch, for the task that :meth:`task` gave."""
        return targets

    def noise(self, done: float) -> float:
        """A factor of the noise that training sees, at this share of the steps."""
        return 1.0

    def before_step(self, training: Training, step: int) -> None:
        """Before a step, from 0; the network is in training mode."""

    @property
    def task_share(self) -> float:
        """A factor of the objective's loss."""
        return 1.0

    def losses(self, batch: Batch, noise: Noise) -> Mapping[str, Tensor]:
        """Losses beside the objective's, on a batch or a part of one, by the name that the log gives them."""
        return {}

    def penalty(self, training: Training) -> Tensor | None:
        """A penalty on the weights, with gradients; the log names it like the lever."""
        return None

    def after_step(self, training: Training, step: int) -> None:
        """After so many steps, and once before the first one: bring the weights back to what it allows."""

    def finish(self, training: Training) -> None:
        """After the last step; the network has the selected weights."""

    # What is kept and shown of it.

    def record(self) -> Any:
        """What it did, as a value of ``record_type``; also asked where it is off: by default its options, or None."""
        return {name: getattr(self.plan, name) for name in self.Options.model_fields} if self.on(self.plan) else None

    @classmethod
    def to_json(cls, record: Any) -> Any:
        """A record as plain data."""
        return TypeAdapter(cls.record_type).dump_python(record, mode="json", exclude_unset=True)

    @classmethod
    def from_json(cls, data: Any) -> Any:
        """The record that :meth:`to_json` wrote.

        Raises:
            ValueError: It is another lever's.
        """
        return TypeAdapter(cls.record_type).validate_python(data)

    @classmethod
    def row(cls, record: Any) -> Row | None:
        """The report's row for a record as plain data, of this version or another; None for nothing to say."""
        return described(cls.name, record)


def described(name: str, record: Any, words: str | None = None) -> Row | None:
    """The row of a record of any shape.

    Args:
        name: What it is called.
        record: A list of events, a value, or a mapping in which ``state`` or ``kind``, ``kept``, ``gain``, ``before``
            and ``after`` (scores on validation chips) have a meaning of their own.
        words: What it did, where the rest of the mapping does not say it well.
    """
    title = label(name)
    if isinstance(record, list):
        return Row(title, "", shown(record), "") if record else None
    if not isinstance(record, Mapping):
        return Row(title, "on", shown(record) if words is None else words, "") if record else Row(title, "off", "", "")
    items = cast("Mapping[str, Any]", record)
    if not any(items.values()):
        return Row(title, "off", "", "")
    rest = {key: item for key, item in items.items() if item is not None}
    state = next((shown(rest.pop(key)) for key in ("state", "kind") if key in rest), "")
    if not state and "kept" in rest:
        state = "kept" if rest.pop("kept") else "not kept" if rest.get("tried", True) else "not tried"
    rest.pop("tried", None)
    gain = next((rest.pop(key) for key in ("gain", "contribution") if known(rest.get(key))), None)
    before, after = rest.pop("before", None), rest.pop("after", None)
    parts = [] if not rest else [shown(rest) if words is None else words]
    if known(before) and known(after):
        gain = after - before if gain is None else gain
        parts.append(f"validation chips {percent(before)} to {percent(after)}")
    return Row(title, state or "on", ", ".join(parts), points(gain) if gain is not None else "")
