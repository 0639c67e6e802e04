"""Pooling."""

from __future__ import annotations

import torch
from torch.nn import functional

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.ops._help import torch_padding, window_padding
from harden.graph.program import Node

Tensor = torch.Tensor
_MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


class _Window:
    """A pooling node's window on an input: kernel, strides, dilations, pads, and padding to whole windows."""

    def __init__(self, node: Node, x: Tensor) -> None:
        self.kernel = list(node.get("kernel_shape"))
        self.rank = len(self.kernel)
        if self.rank not in _MAX:
            raise ModelError(f"pooling over {self.rank} axes is not supported")
        self.strides = list(node.get("strides", [1] * self.rank))
        self.dilations = list(node.get("dilations", [1] * self.rank))
        self.pads = window_padding(node, x.shape[2:], self.kernel, self.strides, self.dilations)
        self.more = [0] * self.rank
        if node.get("ceil_mode", 0) and not node.get("auto_pad", "NOTSET").startswith("SAME"):
            self.more = [self._overhang(axis, size) for axis, size in enumerate(x.shape[2:])]

    def _overhang(self, axis: int, size: int) -> int:
        """How far a last, partial window reaches beyond the padded input; none starts in the end pad."""
        start, end = self.pads[axis], self.pads[self.rank + axis]
        reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        room = size + start + end - reach
        last = -(-room // self.strides[axis])
        if last * self.strides[axis] >= size + start:
            last -= 1
        return max(last * self.strides[axis] - room, 0)

    def padding(self) -> list[int]:
        """All pads, in torch's order."""
        ends = [pad + more for pad, more in zip(self.pads[self.rank :], self.more, strict=True)]
        return torch_padding(self.pads[: self.rank] + ends)

    def simple(self) -> bool:
        """Whether torch's own symmetric padding says the same."""
        starts, ends = self.pads[: self.rank], self.pads[self.rank :]
        small = all(2 * pad <= width for pad, width in zip(starts, self.kernel, strict=True))
        return starts == ends and not any(self.more) and small


@operator("MaxPool")
def max_pool(node: Node, x: Tensor) -> Tensor | tuple[Tensor, ...]:
    """The largest number of each window; padding never wins."""
    window = _Window(node, x)
    pool = _MAX[window.rank]
    indices = len(node.outputs) > 1
    real, dtype = x, x.dtype
    if not x.is_floating_point():
        real = x.float()
    pads = window.pads[: window.rank]
    if not window.simple():
        real, pads = functional.pad(real, window.padding(), value=float("-inf")), [0] * window.rank
    if not indices:
        return pool(real, window.kernel, window.strides, pads, window.dilations).to(dtype)
    result, where = pool(real, window.kernel, window.strides, pads, window.dilations, return_indices=True)
    return result.to(dtype), _original_indices(node, where, real.shape, x.shape, window)


def _original_indices(node: Node, where: Tensor, padded: torch.Size, shape: torch.Size, window: _Window) -> Tensor:
    """Torch counts within one padded plane; ONNX counts in the whole input, without padding."""
    starts = [0] * window.rank if padded == shape else window.pads[: window.rank]
    rest = where
    places = []
    for size in reversed(padded[2:]):
        places.append(rest % size)
        rest = rest // size
    places = [place - start for place, start in zip(reversed(places), starts, strict=True)]
    flat = torch.zeros_like(where)
    axes = list(range(window.rank))
    scale = 1
    for axis in axes if node.get("storage_order", 0) else reversed(axes):
        flat = flat + places[axis] * scale
        scale *= shape[2 + axis]
    planes = torch.arange(shape[0] * shape[1], device=where.device).reshape(shape[0], shape[1], *[1] * window.rank)
    return flat + planes * scale


@operator("AveragePool")
def average_pool(node: Node, x: Tensor) -> Tensor:
    """The mean of each window, of padding too only with ``count_include_pad``."""
    window = _Window(node, x)
    counts = bool(node.get("count_include_pad", 0))
    plain = all(dilation == 1 for dilation in window.dilations)
    if window.simple() and plain:
        return _AVERAGE[window.rank](x, window.kernel, window.strides, window.pads[: window.rank], False, counts)
    sums = _window_sums(functional.pad(x, window.padding()), window)
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    if counts:
        ones = functional.pad(ones, torch_padding(window.pads), value=1.0)
        ones = functional.pad(ones, torch_padding([0] * window.rank + window.more))
    else:
        ones = functional.pad(ones, window.padding())
    return sums / _window_sums(ones, window)


@operator("LpPool")
def lp_pool(node: Node, x: Tensor) -> Tensor:
    """The p-norm of each window."""
    window = _Window(node, x)
    power = node.get("p", 2)
    return _window_sums(functional.pad(x, window.padding()).abs() ** power, window) ** (1.0 / power)


@operator("GlobalAveragePool")
def global_average_pool(node: Node, x: Tensor) -> Tensor:
    """The mean over all spatial axes."""
    return x.mean(list(range(2, x.dim())), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(node: Node, x: Tensor) -> Tensor:
    """The largest number over all spatial axes."""
    return x.amax(list(range(2, x.dim())), keepdim=True)


@operator("GlobalLpPool")
def global_lp_pool(node: Node, x: Tensor) -> Tensor:
    """The p-norm over all spatial axes."""
    power = node.get("p", 2)
    return (x.abs() ** power).sum(list(range(2, x.dim())), keepdim=True) ** (1.0 / power)


@operator("MaxUnpool", fixed=(1,), host=(2,))
def max_unpool(node: Node, x: Tensor, indices: Tensor, shape: Tensor | None = None) -> Tensor:
    """Put numbers back where a MaxPool found them; zeros elsewhere."""
    kernel = node.get("kernel_shape")
    rank = len(kernel)
    strides, pads = node.get("strides", [1] * rank), node.get("pads", [0] * (2 * rank))
    sizes = [(x.shape[2 + a] - 1) * strides[a] + kernel[a] - pads[a] - pads[rank + a] for a in range(rank)]
    small = [*x.shape[:2], *sizes]
    result = torch.zeros(small, dtype=x.dtype, device=x.device).reshape(-1)
    result = result.scatter(0, indices.reshape(-1), x.reshape(-1)).reshape(small)
    if shape is None:
        return result
    # The indices count in the smaller tensor unless a larger output is asked for, in which they count then.
    wanted = [int(size) for size in shape.tolist()]
    flat = torch.zeros(wanted, dtype=x.dtype, device=x.device).reshape(-1)
    return flat.scatter(0, indices.reshape(-1), x.reshape(-1)).reshape(wanted)


def _window_sums(padded: Tensor, window: _Window) -> Tensor:
    for axis in range(window.rank):
        reach = window.dilations[axis] * (window.kernel[axis] - 1) + 1
        padded = padded.unfold(2 + axis, reach, window.strides[axis])
    taken = tuple(slice(None, None, dilation) for dilation in window.dilations)
    return padded[(..., *taken)].sum(list(range(-window.rank, 0)))
