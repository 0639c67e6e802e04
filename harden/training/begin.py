"""What happens to the network before the first step: channels rescaled, where the plan says so."""

from __future__ import annotations

from typing import Any

import torch

from harden import distributed
from harden.training.batches import Batches
from harden.training.plan import TrainingPlan
from harden.transforms.rescale import rescale

_EXAMPLES = 8  # that channels are weighed by; random ones would do


def begin(net: Any, batches: Batches, plan: TrainingPlan) -> dict[str, Any] | None:
    """Rescale the network in place, alike in all processes; the record of it, or None where the plan leaves it out."""
    if plan.rescale_first == "off":
        return None
    few = tuple(one[:_EXAMPLES].cpu() for one in batches.at(0).inputs)
    changed, record = distributed.from_first(lambda: _rescaled(net, few, plan))
    own = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    with torch.no_grad():
        for name, value in changed.items():
            own[name].copy_(value)
    return record


def _rescaled(net: Any, inputs: tuple[torch.Tensor, ...], plan: TrainingPlan) -> Any:
    training = net.training
    net.eval().cpu()
    try:
        return rescale(net, inputs, plan.digital)
    finally:
        net.train(training).to(plan.device)
