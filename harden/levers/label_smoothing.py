"""Label smoothing: a share of every target is spread over all classes.

Source: Szegedy et al., CVPR 2016, arXiv 1512.00567. Known to undo clipping (Stutz et al., MLSys 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from harden.levers import base

if TYPE_CHECKING:
    from torch import Tensor

    from harden.methods.base import Outputs, Task


class Options(base.Options):
    """How much is spread."""

    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each label that is spread over all classes; known to undo clipping"
    )


class Lever(base.Lever[Options]):
    """Smooths the labels; without labels there are none to smooth."""

    Options = Options
    record_type = float
    example: ClassVar[Mapping[str, Any]] = {"label_smoothing": 0.2}
    order = 90

    def task(self, task: Task) -> Task:
        """The task with smoothed labels."""
        return Smoothed(task, self.options.label_smoothing)

    def record(self) -> float:
        """The share."""
        return self.options.label_smoothing


class Smoothed:
    """A task's loss with smoothed labels; the divergence is that of the task underneath.

    Args:
        task: The task, which knows its classes.
        smoothing: a, in [0, 1).
    """

    def __init__(self, task: Any, smoothing: float) -> None:
        self._task, self._smoothing = task, smoothing

    def loss(self, outputs: Outputs, targets: Any) -> Tensor:
        """Mean over the batch."""
        return self._task.smoothed(outputs, targets, self._smoothing)

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """That of the task underneath."""
        return self._task.divergence(reference, outputs, temperature)
