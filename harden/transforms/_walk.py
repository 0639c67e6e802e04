"""Walk a graph once and number the channels of all its values; see :mod:`harden.transforms._channels`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harden.transforms._channels import FIXED, Channels, Layer, Norm

_MOVING = {
    "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Concat", "Gather", "Expand",
    "Identity", "Dropout", "Pad", "Tile", "Cast", "DepthToSpace", "SpaceToDepth",
}  # fmt: skip
_HOMOGENEOUS = {"Relu", "LeakyRelu", "PRelu", "Abs", "Neg"}
_POOLING = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample"}
_REDUCING = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"}


def find_channels(net: Any, inputs: tuple[Tensor, ...], digital: Sequence[str] = ()) -> Channels:
    """The channels of a network, with what its layers see on these inputs.

    Args:
        net: A :class:`harden.graph.module.GraphModule` in eval mode.
        inputs: Example inputs; random ones will do.
        digital: Globs of tensors or nodes that are off the crossbars; they are scaled along, and count for nothing.
    """
    walk = _Walk(net, set(net.analog_weights(digital)))
    net.observe(walk.see, *(x[:1] if x.dim() > 1 else x for x in inputs))
    walk.channels.fix(*(walk.known[value] for value in net.program.outputs if value in walk.known))
    net.observe(walk.measure, *inputs)
    return walk.channels


class _Walk:
    """Numbers the elements of every value while the graph runs."""

    def __init__(self, net: Any, analog: set[str]) -> None:
        self.channels = Channels()
        self.known: dict[int, Tensor] = {}
        self._program = net.program
        self._weights = {(use.node, use.position): use for use in net.uses}
        self._analog = analog
        self._measured: dict[str, tuple[Layer, Tensor, int, int]] = {}
        reads = Counter(value for node in net.program.walk() for value in node.inputs if value)
        names = Counter(
            net.program.stored[v].name for v, n in reads.items() if v in net.program.stored for _ in range(n)
        )
        parameters = {**dict(net.named_parameters()), **dict(net.named_buffers())}
        self._own = {name for name, count in names.items() if count == 1 and name in parameters}
        self._transposed: dict[int, tuple[str, tuple[int, ...]]] = {}
        for node in net.program.walk():
            name = self._stored(node.inputs[0]) if node.op == "Transpose" else None
            if name is not None and reads[node.outputs[0]] == 1:
                rank = parameters[name].dim()
                self._transposed[node.outputs[0]] = name, tuple(node.get("perm", tuple(reversed(range(rank)))))

    def see(self, node: Any, arguments: list[Any], outputs: tuple[Any, ...]) -> None:
        """Number the outputs of a node that just ran."""
        channels = [self._of(value, argument) for value, argument in zip(node.inputs, arguments, strict=False)]
        rule = getattr(self, f"_{node.op.lower()}", None) if not node.bodies else None
        if node.op in _MOVING:
            numbers = self._moving(node, arguments, channels)
        elif node.op in _HOMOGENEOUS:
            numbers = [channels[0]]
        elif node.op in _POOLING:
            numbers = [self._pooling(channels[0], outputs[0])]
        elif node.op in _REDUCING:
            numbers = [self._reducing(node, arguments, channels[0])]
        elif node.op in ("Add", "Sub", "Sum"):
            numbers = [self._adding(node, channels)]
        elif rule is not None:
            numbers = [rule(node, arguments, outputs[0], channels)]
        else:
            numbers = [None]
        if numbers[0] is None:
            self.channels.fix(*channels, *(self.known.get(value) for value in node.captured))
        for value, output, number in zip(node.outputs, outputs, [*numbers, *[None] * len(outputs)], strict=False):
            if isinstance(output, Tensor) and output.is_floating_point():
                fixed = torch.full(output.shape, float(FIXED), dtype=torch.float64)
                self.known[value] = fixed if number is None else number.expand(output.shape)

    def measure(self, node: Any, arguments: list[Any], outputs: tuple[Any, ...]) -> None:
        """Measure what passes through a layer, once its channels are known."""
        if node.label in self._measured:
            layer, columns, kernel, axis = self._measured[node.label]
            squares = arguments[0].square().movedim(axis, 0).flatten(1).mean(1).double()
            layer.energy = squares[columns] * kernel
            layer.signal = outputs[0].movedim(axis, 0).flatten(1).var(1, correction=0).double()

    def _of(self, value: int, argument: Any) -> Tensor | None:
        if value in self.known:
            return self.known[value]
        if isinstance(argument, Tensor) and argument.is_floating_point():
            return torch.full(argument.shape, float(FIXED), dtype=torch.float64)
        return None

    def _stored(self, value: int) -> str | None:
        """The name of a parameter that only this place reads."""
        slot = self._program.stored.get(value)
        return slot.name if slot is not None and slot.name in self._own else None

    def _weight(self, value: int) -> str | None:
        """The name of a parameter that only this place reads, perhaps transposed."""
        return self._transposed[value][0] if value in self._transposed else self._stored(value)

    def _moving(self, node: Any, arguments: list[Any], channels: list[Tensor | None]) -> list[Tensor | None]:
        if node.operator.frame or (node.op == "Pad" and node.get("mode", b"constant") not in (b"constant", "constant")):
            return [None]
        moved = [a if c is None else c for a, c in zip(arguments, channels, strict=True)]
        if node.op == "Pad":
            moved = [moved[0], *arguments[1:]]
        if node.op == "Cast":
            return [channels[0]]
        result = node.operator.function(node, *moved)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    def _pooling(self, channels: Tensor | None, output: Tensor) -> Tensor | None:
        if channels is None:
            return None
        return self.channels.along(channels, 1).reshape(1, -1, *[1] * (output.dim() - 2)).expand(output.shape)

    def _reducing(self, node: Any, arguments: list[Any], channels: Tensor | None) -> Tensor | None:
        axes = arguments[1].tolist() if len(arguments) > 1 and arguments[1] is not None else node.get("axes")
        if channels is None or not axes:
            return None
        axes = [axis % channels.dim() for axis in axes]
        peak = channels.amax(axes, keepdim=True)
        self.channels.unite(channels, peak)
        return peak if node.get("keepdims", 1) else peak.squeeze(axes)

    def _adding(self, node: Any, channels: list[Tensor | None]) -> Tensor | None:
        total: Tensor | None = None
        stored = [
            (value, c) for value, c in zip(node.inputs, channels, strict=True) if self._stored(value) and c is not None
        ]
        for value, c in zip(node.inputs, channels, strict=True):
            if not self._stored(value) and c is not None:
                total = c if total is None else self.channels.unite(total, c)
        if total is None:
            return None
        for value, shape in stored:
            own = self._fitted(total, tuple(shape.shape))
            if own is None:
                return None
            self._factor(self._stored(value), own, 1)
        return total

    def _fitted(self, channels: Tensor, shape: tuple[int, ...]) -> Tensor | None:
        """Channels of a tensor of this shape that is broadcast against ``channels``."""
        if len(shape) > channels.dim():
            return None
        own = channels
        for axis in range(channels.dim()):
            size = ([1] * (channels.dim() - len(shape)) + list(shape))[axis]
            if size == 1 and channels.shape[axis] > 1:
                own = own.amax(axis, keepdim=True)
            elif size != channels.shape[axis]:
                return None
        self.channels.unite(channels, own)
        return own.reshape(shape)

    def _mul(self, node: Any, arguments: list[Any], output: Tensor, channels: list[Tensor | None]) -> Tensor | None:
        for i, j in ((0, 1), (1, 0)):
            name, fed = self._stored(node.inputs[j]), channels[i]
            if name is None or fed is None or self._stored(node.inputs[i]):
                continue
            own = self._fitted(fed.expand(output.shape), tuple(arguments[j].shape))
            if own is None or max(arguments[j].shape, default=1) != arguments[j].numel():
                return None
            made = self.channels.fresh(own.numel()).reshape(own.shape)
            self._factor(name, made, 1)
            self._factor(name, own, -1)
            return made.expand(output.shape)
        one, other = channels
        if one is None or other is None:
            return None
        fixed = [bool((self.channels.roots()[c.unique().long()] <= FIXED).all()) for c in (one, other)]
        if not any(fixed):
            return None
        return (other if fixed[0] else one).expand(output.shape)

    def _div(self, node: Any, arguments: list[Any], output: Tensor, channels: list[Tensor | None]) -> Tensor | None:
        by = self._program.stored.get(node.inputs[1])
        return channels[0].expand(output.shape) if by is not None and channels[0] is not None else None

    def _batchnormalization(
        self, node: Any, arguments: list[Any], output: Tensor, channels: list[Tensor | None]
    ) -> Tensor | None:
        names = [self._stored(value) for value in node.inputs[1:5]]
        if channels[0] is None or None in names or arguments[1].dim() > 1:  # statistics for each element, not channel
            return None
        scale, bias, mean, variance = names
        read = self.channels.along(channels[0], 1)
        self.channels.norms.append(Norm(str(mean), str(variance), node.get("epsilon", 1e-5), read))
        return self._normalized(output, 1, scale, bias)

    def _layernormalization(
        self, node: Any, arguments: list[Any], output: Tensor, channels: list[Tensor | None]
    ) -> Tensor | None:
        scale = self._stored(node.inputs[1])
        bias = self._stored(node.inputs[2]) if len(node.inputs) > 2 else None
        unshared = scale and (bias or len(node.inputs) < 3) and arguments[1].dim() == 1
        if not unshared:
            return None
        self.channels.fix(channels[0])
        return self._normalized(output, output.dim() - 1, scale, bias)

    def _normalized(self, output: Tensor, axis: int, scale: str | None, bias: str | None) -> Tensor:
        made = self.channels.fresh(output.shape[axis])
        self._factor(scale, made, 1)
        self._factor(bias, made, 1)
        return made.reshape([-1 if a == axis else 1 for a in range(output.dim())]).expand(output.shape)

    def _conv(self, node: Any, arguments: list[Any], output: Tensor, channels: list[Tensor | None]) -> Tensor | None:
        return self._layer(node, arguments, output, channels, axis=1)

    def _gemm(self, node: Any, arguments: list[Any], output: Tensor, channels: list[Tensor | None]) -> Tensor | None:
        plain = not node.get("transA", 0) and node.get("alpha", 1.0) == 1 and node.get("beta", 1.0) == 1
        return self._layer(node, arguments, output, channels, axis=1) if plain else None

    def _matmul(self, node: Any, arguments: list[Any], output: Tensor, channels: list[Tensor | None]) -> Tensor | None:
        if self._weight(node.inputs[1]) and arguments[1].dim() == 2:
            return self._layer(node, arguments, output, channels, axis=output.dim() - 1)
        left, right = channels
        if left is None or right is None or right.dim() < 2 or node.inputs[0] in self._program.stored:
            return None
        # Attention: fixed probabilities times values; the values' channels pass.
        self.channels.fix(left)
        peak = right.amax(-2, keepdim=True)
        self.channels.unite(right, peak)
        return peak.expand(output.shape)

    def _layer(
        self, node: Any, arguments: list[Any], output: Tensor, channels: list[Tensor | None], axis: int
    ) -> Tensor | None:
        name, use = self._weight(node.inputs[1]), self._weights.get((node.label, 1))
        bias = self._stored(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else ""
        if name is None or use is None or bias is None or channels[0] is None:
            return None
        if bias and arguments[2].numel() not in (output.shape[axis],):
            return None
        made = self.channels.fresh(output.shape[axis])
        read = self.channels.along(channels[0], axis)
        weight = arguments[1].detach()
        out_axis = use.output_axis(weight.dim())
        matrix = weight.movedim(out_axis, 0).flatten(2) if weight.dim() > 2 else weight.movedim(out_axis, 0)[..., None]
        groups, inputs = int(node.get("group", 1)), matrix.shape[1]
        columns = (torch.arange(len(made)) // (len(made) // groups))[:, None] * inputs + torch.arange(inputs)
        tail = [1] * (weight.dim() - 2)
        order = self._transposed.get(node.inputs[1], ("", tuple(range(weight.dim()))))[1]
        back = sorted(range(weight.dim()), key=lambda axis: order[axis])
        rows, entries = made.reshape(-1, 1, *tail), read[columns].reshape(*columns.shape, *tail)
        self._factor(name, rows.movedim(0, out_axis).permute(back), 1)
        self._factor(name, entries.movedim(0, out_axis).permute(back), -1)
        self._factor(bias, made.reshape(arguments[2].shape) if bias else made, 1)
        if use.key in self._analog:
            layer = Layer(name, made, read[columns], matrix.abs().amax(-1).double())
            self._measured[node.label] = (layer, columns, matrix.shape[-1], axis)
            self.channels.layers.append(layer)
        return made.reshape([-1 if a == axis else 1 for a in range(output.dim())]).expand(output.shape)

    def _factor(self, name: str | None, channels: Tensor, exponent: int) -> None:
        if name:
            self.channels.factors.setdefault(name, []).append((channels, exponent))
