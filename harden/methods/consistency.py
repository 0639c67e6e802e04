"""Consistency: a noisy network's features and outputs are drawn to the clean one's."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from harden import distributed
from harden.methods.base import Batch, Names, Network, Noise, Objective, Options, StepResult


class Config(Options):
    """Hyper-parameters of consistency; the paper's are not public, so these are ours."""

    features: float = Field(1.0, ge=0, le=100, description="Weight of the features' distance, no unit; ours")
    outputs: float = Field(1.0, ge=0, le=100, description="Weight of the outputs' divergence, no unit; ours")
    temperature: float = Field(1.0, gt=0, le=20, description="Of the outputs' softmax, no unit; ours")
    teacher: Literal["self", "frozen"] = Field(
        "frozen", description="'frozen' is the network as given, 'self' the present weights without noise; ours"
    )
    count: int = Field(3, ge=1, le=16, description="Number of taps; ours, three stages of a CIFAR ResNet")
    taps: Names = Field((), description="Tensors to compare, chosen from the graph if empty; ours")


class Method(Objective):
    r"""Train the noisy network on the labels, and to compute what the clean one does inside.

    Equation:

    .. math:: L = \ell(\tilde z, y) + \frac{\lambda}{|S|} \sum_{l \in S} \frac{\|F_l(W + E) - \bar F_l\|^2}{\|\bar
    F_l\|^2}
       + \mu\, T^2\, \mathrm{KL}(\bar p_T \| \tilde p_T)

    Bars are the teacher's features and outputs, constants for the gradient.

    What is reconstruction: only the paper's abstract is public. The distance (squared, relative to the teacher's), the
    set of layers (taps at equal shares of the multiply-adds), both weights, the frozen teacher and the outputs' term
    are our choices.

    Use it where a good clean network is there and labels are few.

    Source: after Hou et al., Mach. Learn.: Sci. Technol. 5, 035065 (2024); reconstruction.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("consistency").config.teacher
        'frozen'
    """

    summary = "Features and outputs under noise drawn to the clean network's (reconstruction)"
    cost = "2F 1B"
    passes = (2, 1)
    source = "after Hou et al., MLST 5, 035065 (2024)"
    reduces: ClassVar = {"features": 0.0, "outputs": 0.0}
    Config: ClassVar[type[Options]] = Config

    def __init__(self, config: Options) -> None:
        super().__init__(config)
        self._teacher: Any = None
        self._taps: tuple[str, ...] = ()

    def prepare(self, net: Network, batch: Batch) -> None:
        """Choose the taps, and keep a copy of the network if the teacher is frozen."""
        from harden.graph.taps import choose_taps

        chosen = choose_taps(net, batch.inputs, self.config.count, self.config.taps)  # pyright: ignore[reportArgumentType]
        self._taps = tuple(tap.name for tap in chosen)
        self._teacher = frozen(net) if self.config.teacher == "frozen" else None

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss with both distances from the teacher."""
        config = self.config
        with torch.no_grad():
            reference, clean = (self._teacher or net)(*batch.inputs, taps=self._taps)
        outputs, features = net(*batch.inputs, weights=noise.draw("noise"), taps=self._taps, update_statistics=True)
        task = batch.loss(outputs)
        distance = torch.stack([relative_distance(clean[tap], features[tap]) for tap in self._taps]).mean()
        divergence = batch.divergence(reference, outputs, config.temperature)
        loss = task + config.features * distance + config.outputs * divergence
        return StepResult(loss, {"task": task.item(), "features": distance.item(), "outputs": divergence.item()})

    def finish(self, net: Network) -> None:
        """Let go of the teacher."""
        self._teacher, self._taps = None, ()


def relative_distance(reference: Tensor, features: Tensor) -> Tensor:
    """Squared distance as a share of the reference's squared size.

    Example:
        >>> relative_distance(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 9.0])).item()
        1.0
    """
    size = distributed.mean(reference.square().sum())
    return (features - reference).square().sum() / size.clamp_min(1e-12)


def frozen(net: Any) -> Any:
    """A copy of the network that is only asked, with its running statistics, never trained."""
    return copy.deepcopy(net).eval().requires_grad_(False)
