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
        """Cross-entropy with smoothed labels."""
        return task if self.plan.objective == "match" else Smoothed(task, self.options.label_smoothing)

    def record(self) -> float:
        """The share."""
        return self.options.label_smoothing


class Smoothed:
    """Cross-entropy with smoothed integer labels [B]; the divergence is that of the task underneath.

    Equation: :math:`(1 - a)\\,H(y, z) + a\\,H(1/C, z)` with cross-entropies H, logits z [B, C].

    Args:
        task: The task with labels.
        smoothing: a, in [0, 1).
    """

    def __init__(self, task: Any, smoothing: float) -> None:
        from torch.nn import functional

        from harden.methods.base import listed

        self._task, self._smoothing = task, smoothing
        self._cross_entropy, self._listed = functional.cross_entropy, listed

    def loss(self, outputs: Outputs, targets: Tensor) -> Tensor:
        """Mean over the batch, of the first output's logits."""
        return self._cross_entropy(self._listed(outputs)[0], targets, label_smoothing=self._smoothing)

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:
        """That of the task underneath."""
        return self._task.divergence(reference, outputs, temperature)
