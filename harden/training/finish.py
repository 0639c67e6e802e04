"""The last lever: batch norms re-estimated under noise, kept only where that helps."""

from __future__ import annotations

from typing import Any

import torch

from harden.training.batches import Batches
from harden.training.periphery import TrainingPeriphery
from harden.training.plan import TrainingPlan
from harden.training.selection import Selector
from harden.transforms.batch_norm import reestimate, statistics

BATCHES = 32


@torch.no_grad()
def settle_batch_norms(
    net: Any, batches: Batches, periphery: TrainingPeriphery | None, plan: TrainingPlan
) -> dict[str, torch.Tensor]:
    """Give batch norms the statistics that training examples have under noise; returns those that they had."""
    buffers = statistics(net)
    old = {name: buffer.clone() for name, buffer in buffers.items()}
    if periphery is not None:
        # Without output noise: what two passes over one batch differ by must be the running values alone.
        periphery.use(0, "reestimate", noise=0.0)
    new = reestimate(net, [batches.at(i).inputs for i in range(BATCHES)], lambda i: _draw(net, plan, i))
    for name, value in new.items():
        buffers[name].copy_(value)
    return old


def finish_batch_norms(net: Any, batches: Batches, selector: Selector, plan: TrainingPlan) -> dict[str, Any]:
    """Re-estimate the network's batch norms on training examples under noise, and keep what validation chips prefer.

    Returns:
        ``tried``, ``kept``, and the scores ``before`` and ``after`` (None where it was not tried).
    """
    buffers = statistics(net)
    if plan.batch_norm_reestimation == "off" or not buffers:
        reason = "off" if buffers else "the graph keeps no batch norms"
        return {"tried": False, "kept": False, "reason": reason, "before": None, "after": None}
    before = selector.score()
    old = settle_batch_norms(net, batches, selector.periphery, plan)
    with torch.no_grad():
        after = selector.score()
        kept = plan.batch_norm_reestimation == "on" or after > before
        if not kept:
            for name, value in old.items():
                buffers[name].copy_(value)
    return {"tried": True, "kept": kept, "before": before, "after": after}


def _draw(net: Any, plan: TrainingPlan, index: int) -> dict[str, torch.Tensor]:
    profile, at_s = plan.profiles[index % len(plan.profiles)]
    return profile.perturb(net.analog_weights(plan.digital), seed=plan.seed, path=("reestimate", index), at_s=at_s)
