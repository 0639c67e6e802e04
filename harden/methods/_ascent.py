"""Objectives that walk each analog tensor uphill and take the gradient where the walk ends: what AWP and AMP share."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from harden.methods._weights import moved, task_gradients
from harden.methods.base import Batch, Network, Noise, Objective, Options, StepResult


class AscentOptions(Options):
    """How long the walk is."""

    steps: int = Field(1, ge=1, le=20, description="Gradient steps of the ascent; paper")


class Ascent(Objective):
    """A walk of ``steps`` ascents, tensor by tensor; a file gives :meth:`shifted`, the rule of one of them."""

    cost = "2F 2B"
    passes = (2, 2)

    def passes_a_step(self) -> tuple[float, float]:
        """One each per step of the ascent, and one where it ends."""
        return self.config.steps + 1, self.config.steps + 1

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss at the moved weights."""
        weights = noise.draw("noise")
        shifts: dict[str, Tensor] = {}
        before = None
        for _ in range(self.config.steps):
            loss, gradients = task_gradients(net, batch, moved(weights, shifts))
            before = loss if before is None else before
            for key, gradient in gradients.items():
                shift = self.shifted(weights[key].detach(), gradient, shifts.get(key))
                if shift is not None:
                    shifts[key] = shift
        loss = batch.loss(net(*batch.inputs, weights=moved(weights, shifts), update_statistics=True))
        return StepResult(loss, {"task": before or 0.0, "attacked": loss.item()})

    def shifted(self, weight: Tensor, gradient: Tensor, shift: Tensor | None) -> Tensor | None:
        """A tensor's move after one more step uphill; None leaves the tensor where it is.

        Args:
            weight: The noisy weight, without the move.
            gradient: The loss's gradient at the moved weight.
            shift: The move so far; None before the first step.
        """
        raise TypeError(f"{type(self).__module__} does not define shifted")
