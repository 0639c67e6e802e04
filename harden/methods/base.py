"""What a method is: the contract that every file in this folder keeps.

An **objective** sees a network that it can call with any weights, a batch, and a source of noisy weights. It gives
back a scalar loss with named parts or, where the paper's update is an inner loop, gradients by name. It never sees
the optimizer, the evaluator, the logger or the file system. A file defines ``Config`` (a frozen :class:`Options`) and
``Method``.

Shape letters: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Protocol, TypeAlias

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict
from torch import Tensor

from harden.streams import generator

Outputs: TypeAlias = "Tensor | tuple[Tensor, ...]"


def _parts(value: Any) -> Any:
    return tuple(part for part in value.split(",") if part) if isinstance(value, str) else value


# Lists that a command line may give as "a,b,c".
Numbers = Annotated[tuple[float, ...], BeforeValidator(_parts)]
Names = Annotated[tuple[str, ...], BeforeValidator(_parts)]


class Options(BaseModel):
    """Base of every method's settings: frozen, unknown names refused; fields have default, range, unit and source."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Network(Protocol):
    """The network being trained, as :class:`harden.graph.module.GraphModule` implements it.

    In ``train()`` mode batch norms use the batch's own statistics; the running ones move only in a forward pass with
    ``update_statistics=True``. ``weights`` replaces analog weights by key, or any parameter by name.
    """

    def __call__(
        self,
        *inputs: Tensor,
        weights: Mapping[str, Tensor] | None = None,
        taps: Sequence[str] = (),
        update_statistics: bool = False,
    ) -> Any:
        """Outputs, or ``(outputs, {tap: tensor})`` where taps are asked for."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The graph's parameters under their own names."""
        ...


class NoiseProfile(Protocol):
    """What a method may ask of the run's noise profile."""

    @property
    def sigma(self) -> float | None:
        """The profile's own noise level, where it has one."""
        ...


class Noise(Protocol):
    """Noisy weights of the current step, as :class:`harden.noise.sampler.NoiseSampler` draws them."""

    @property
    def profile(self) -> NoiseProfile:
        """The run's noise profile."""
        ...

    def draw(self, stream: str, severity: float = 1.0, sigma: float | None = None) -> dict[str, Tensor]:
        """Weights with noise, by key; gradients flow to the weights. Equal names in a step give equal draws."""
        ...


class Task(Protocol):
    """What the outputs should be: the labels' classes, or the clean network's own outputs."""

    def loss(self, outputs: Outputs, targets: Any) -> Tensor:
        """Scalar, mean over the batch."""
        ...

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """How far ``outputs`` are from ``reference``: scalar, >= 0, mean over the batch, zero where they agree."""
        ...


@dataclass(frozen=True)
class Batch:
    """One step's examples, with what is right for them and the step's own random streams.

    Attributes:
        inputs: The network's inputs, first axis B.
        targets: Labels [B], or whatever the task compares with.
        task: How outputs are judged.
        seed: The run's root seed.
        step: Number of the step, from 0.
        progress: Share of the training that is done, in [0, 1).
    """

    inputs: tuple[Tensor, ...]
    targets: Any
    task: Task
    seed: int = 0
    step: int = 0
    progress: float = 0.0

    def loss(self, outputs: Outputs) -> Tensor:
        """The task's loss of these outputs."""
        return self.task.loss(outputs, self.targets)

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """The task's distance between two networks' outputs."""
        return self.task.divergence(reference, outputs, temperature)

    def generator(self, *names: str | int) -> torch.Generator:
        """The generator of a named stream of this step, for draws that are the method's own."""
        return generator(self.seed, "method", self.step, *names)


@dataclass(frozen=True)
class StepResult:
    """What a step gives to the training loop.

    Attributes:
        loss: Finite scalar. Differentiable unless ``gradients`` is given.
        parts: Named parts of the loss, for the log.
        gradients: By parameter name, where the method works them out itself; the loop then calls no ``backward``.
    """

    loss: Tensor
    parts: Mapping[str, float] = field(default_factory=dict[str, float])
    gradients: Mapping[str, Tensor] | None = None


class Objective:
    """Base of objectives: only :meth:`step` has to be written.

    Class attributes:
        summary: One line for ``harden methods list``.
        cost: Forward and backward passes per step, such as ``"4F 4B"``.
        passes: The same as numbers (forward, backward) at the default options, for the benchmark.
        source: Where it is published.
        reduces: The options under which, without noise, the loss is the plain task loss of the clean network.
    """

    kind: ClassVar[str] = "objective"
    summary: ClassVar[str]
    cost: ClassVar[str]
    passes: ClassVar[tuple[float, float]] = (1, 1)
    source: ClassVar[str]
    reduces: ClassVar[Mapping[str, Any]] = {}
    Config: ClassVar[type[Options]] = Options

    def __init__(self, config: Options) -> None:
        self.config: Any = config

    def prepare(self, net: Network, batch: Batch) -> None:
        """Called once before training: choose taps, attach heads, copy a teacher. ``batch`` is an example."""

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The loss of one batch. The network's weights are as before afterwards."""
        raise TypeError(f"{type(self).__module__} does not define step")

    def finish(self, net: Network) -> None:
        """Called once after training: let go of all that :meth:`prepare` made."""

    def passes_a_step(self) -> tuple[float, float]:
        """Forward and backward passes through the network that a step makes at the options at hand."""
        return self.passes

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """Training-only parameters by name, such as those of heads. They are optimized, and never exported."""
        return {}

    def analog_weights(self) -> dict[str, Tensor]:
        """Those of :meth:`parameters` that are noisy like the network's own, shaped [out, in, ...]."""
        return {}


@dataclass(frozen=True)
class Transformed:
    """What a transform gives back.

    Attributes:
        model: The new model.
        record: What was done, as plain data for the report.
    """

    model: Any
    record: Mapping[str, Any]


class Transform:
    """Base of transforms: a model in, a model out, no gradients.

    Class attributes:
        needs_data: Whether unlabelled examples are needed; random inputs will do where not.
        The others are those of :class:`Objective`.
    """

    kind: ClassVar[str] = "transform"
    summary: ClassVar[str]
    cost: ClassVar[str]
    source: ClassVar[str]
    needs_data: ClassVar[bool] = False
    Config: ClassVar[type[Options]] = Options

    def __init__(self, config: Options) -> None:
        self.config: Any = config

    def apply(
        self,
        model: Any,
        batches: Sequence[tuple[Tensor, ...]],
        profile: Any,
        *,
        at_s: float | None = None,
        digital: Sequence[str] = (),
        seed: int = 0,
        allow_new_nodes: bool = False,
    ) -> Transformed:
        """Transform a model.

        Args:
            model: A :class:`harden.graph.file.Model`; it stays as it is.
            batches: Inputs, unlabelled; at least one batch.
            profile: The noise to harden against.
            at_s: Seconds since programming; None is the profile's first valid time.
            digital: Globs of tensors or nodes that are off the crossbars.
            seed: Root of the random streams.
            allow_new_nodes: Whether the graph may get nodes that it did not have.
        """
        raise TypeError(f"{type(self).__module__} does not define apply")


@dataclass(frozen=True)
class Candidate:
    """A run that a recipe may choose.

    Attributes:
        name: What the record calls it.
        plan: The fields of a training plan that it sets, by name; the others stay as the run has them.
        gentle: Whether it trains as a second try does (:mod:`harden.training.second_try`).
    """

    name: str
    plan: Mapping[str, Any]
    gentle: bool = False


class Recipe:
    """Base of recipes: they pick among runs; :mod:`harden.training.auto` carries them out."""

    kind: ClassVar[str] = "recipe"
    summary: ClassVar[str]
    cost: ClassVar[str]
    source: ClassVar[str]
    Config: ClassVar[type[Options]] = Options

    def __init__(self, config: Options) -> None:
        self.config: Any = config

    def candidates(self) -> list[Candidate]:
        """The runs to choose from, with different names."""
        raise TypeError(f"{type(self).__module__} does not define candidates")


def each(function: Any, *outputs: Outputs) -> Outputs:
    """Apply ``function`` to networks' outputs, output by output.

    Example:
        >>> each(torch.add, (torch.ones(1),), (torch.ones(1),))
        (tensor([2.]),)
    """
    if isinstance(outputs[0], Tensor):
        return function(*outputs)
    return tuple(function(*parts) for parts in zip(*outputs, strict=True))


def listed(outputs: Outputs) -> tuple[Tensor, ...]:
    """A network's outputs as a tuple, also where there is one."""
    return (outputs,) if isinstance(outputs, Tensor) else outputs
