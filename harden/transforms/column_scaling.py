r"""Keep every column of a crossbar at the full range while training: clip it, scale it up, let the batch norm undo it.

Noise relative to a tensor's largest weight hurts a column of small weights most. Where nothing but a batch norm reads a
column's output, the column may have any scale: after each optimizer step every such column is clamped to k of its own
standard deviations and brought to the same largest weight,

.. math:: W_o \leftarrow s_o\,\mathrm{clip}(W_o, \pm k\,\mathrm{std}(W_o)), \qquad s_o = M / \max_i |W_{oi}|,

with the batch norm's mean times s and its variance times s² (its epsilon corrected). M keeps the tensor's 2-norm, which
in front of a batch norm decides the effective learning rate. The chip then has the noise of a mapping with a scale for
every column, without one.

Source: the scaling is that of :mod:`harden.transforms.rescale`; a digital scale for every column is IBM's reference
(aihwkit, StandardHWATrainingPreset); to hold it during training through the batch norms is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harden.transforms._channels import Channels
from harden.transforms._walk import find_channels
from harden.transforms.clip import clip_channels
from harden.transforms.rescale import apply, bounded, free_outputs


class ColumnScaling:
    """Clips and scales columns in place, after every step.

    Args:
        net: The network in training; its mode is as before afterwards.
        inputs: Example inputs, to find the columns that only a batch norm reads.
        k: Standard deviations of its own that a column is clamped to, > 0; None for no clipping.
        digital: Globs of tensors or nodes that are off the crossbars.
    """

    def __init__(self, net: Any, inputs: tuple[Tensor, ...], k: float | None, digital: Sequence[str] = ()) -> None:
        training = net.training
        net.eval()
        with torch.no_grad():
            self._channels: Channels = find_channels(net, inputs, digital)
        net.train(training)
        self._k = k
        self._roots = self._channels.roots()
        self._values = {**dict(net.named_parameters()), **dict(net.named_buffers())}
        free = free_outputs(self._channels, self._roots)
        uses = {use.name: use for use in net.analog_weights(digital).values()}
        self._layers = [
            (
                layer.name,
                uses[layer.name].output_axis,
                self._roots[layer.rows.long()][free[layer.name]],
                free[layer.name],
            )
            for layer in self._channels.layers
            if bool(free[layer.name].any()) and self._values[layer.name].shape == uses[layer.name].tensor.shape
        ]
        self.record = {"layers": len(self._layers), "columns": sum(len(roots) for _, _, roots, _ in self._layers)}

    @torch.no_grad()
    def apply(self) -> None:
        """Clip and scale now."""
        scales = torch.zeros(len(self._roots), dtype=torch.float64)
        for name, axis, roots, free in self._layers:
            weight = self._values[name]
            rows = weight.movedim(axis, 0)
            if self._k is not None:
                clipped = clip_channels(weight, self._k, axis).movedim(axis, 0)
                rows[free] = clipped[free]
            flat = rows.flatten(1)
            peaks = flat.abs().amax(1).double()[free]
            sizes = flat.norm(dim=1).double()[free]
            alive = peaks > 0
            # The largest weight at which the scaled columns have together the norm that they have now.
            largest = sizes.norm() / (sizes[alive] / peaks[alive]).norm()
            scales[roots[alive]] = (largest / peaks[alive]).log()
        scales = bounded(self._channels, self._roots, scales, self._values)
        for name, value in apply(self._channels, self._roots, scales, self._values).items():
            self._values[name].copy_(value)
