"""Changing the resolution, one axis after another: each output is a weighted sum of inputs along the axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.ops._help import bounded, ints
from harden.graph.program import Node

Tensor = torch.Tensor


@dataclass(frozen=True)
class _Axis:
    """How one axis changes."""

    axis: int
    old: int
    new: int
    factor: float
    start: float = 0.0
    end: float = 1.0


@operator("Upsample", host=(1,))
def upsample(node: Node, x: Tensor, scales: Tensor | None = None) -> Tensor:
    """Enlarge by factors (opsets before 10)."""
    factors = list(node.get("scales", [])) if scales is None else [float(s) for s in scales.tolist()]
    return _resized(node, x, _by_factors(x, list(range(x.dim())), factors), "asymmetric", "simple")


@operator("Resize", since=10, host=(1,))
def resize_by_scales(node: Node, x: Tensor, scales: Tensor) -> Tensor:
    """Change the resolution by factors (opset 10)."""
    factors = [float(s) for s in scales.tolist()]
    return _resized(node, x, _by_factors(x, list(range(x.dim())), factors), "asymmetric", "simple")


@operator("Resize", since=11, host=(1, 2, 3))
def resize(
    node: Node, x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, wanted: Tensor | None = None
) -> Tensor:
    """Change the resolution by factors or to sizes, in each of ONNX's coordinate systems and modes."""
    along = [axis % x.dim() for axis in node.get("axes", range(x.dim()))]
    if wanted is not None and wanted.numel():
        axes = _by_sizes(x, along, ints(wanted), node.get("keep_aspect_ratio_policy", "stretch"))
    elif scales is not None and scales.numel():
        axes = _by_factors(x, along, [float(s) for s in scales.tolist()])
    else:
        raise ModelError("neither scales nor sizes are given", where=node.label)
    if roi is not None and roi.numel():
        region = roi.tolist()
        axes = [_Axis(a.axis, a.old, a.new, a.factor, region[i], region[len(axes) + i]) for i, a in enumerate(axes)]
    system = node.get("coordinate_transformation_mode", "half_pixel")
    return _resized(node, x, axes, system, node.get("nearest_mode", "round_prefer_floor"))


def _by_factors(x: Tensor, along: list[int], factors: list[float]) -> list[_Axis]:
    return [
        _Axis(axis, x.shape[axis], math.floor(x.shape[axis] * factor), factor)
        for axis, factor in zip(along, factors, strict=True)
    ]


def _by_sizes(x: Tensor, along: list[int], sizes: list[int], policy: str) -> list[_Axis]:
    factors = [size / x.shape[axis] for axis, size in zip(along, sizes, strict=True)]
    if policy != "stretch":
        factor = min(factors) if policy == "not_larger" else max(factors)
        factors = [factor] * len(factors)
        sizes = [math.floor(factor * x.shape[axis] + 0.5) for axis in along]
    return [_Axis(a, x.shape[a], size, factor) for a, size, factor in zip(along, sizes, factors, strict=True)]


def _resized(node: Node, x: Tensor, axes: list[_Axis], system: str, rounding: str) -> Tensor:
    mode = str(node.get("mode", "nearest"))
    mode = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    cropped = system == "tf_crop_and_resize"
    changed = [a for a in axes if cropped or a.new != a.old or a.factor != 1]
    shape = list(x.shape)
    for a in changed:
        shape[a.axis] = a.new
    bounded(shape, x.numel())
    if mode == "linear" and _is_plain(node, x, changed, system):
        return functional.interpolate(x, size=shape[2:], mode="bilinear", align_corners=system == "align_corners")
    outside = None
    for a in changed:
        places = _coordinates(a, system, x.device)
        if cropped:
            view = [-1 if axis == a.axis else 1 for axis in range(x.dim())]
            beyond = ((places < 0) | (places > a.old - 1)).reshape(view)
            outside = beyond if outside is None else outside | beyond
        if mode == "nearest":
            # Before opset 11 the rule was left open; ONNX Runtime rounds up where it shrinks, down where it grows.
            rule = rounding if rounding != "simple" else "ceil" if a.factor < 1 else "floor"
            x = x.index_select(a.axis, _nearest(places, rule).clamp(0, a.old - 1))
        else:
            matrix = _weights(node, places, a, mode).to(x.dtype if x.is_floating_point() else torch.float32)
            mixed = torch.matmul(x.to(matrix.dtype).movedim(a.axis, -1), matrix.t()).movedim(-1, a.axis)
            x = mixed if x.is_floating_point() else mixed.round().to(x.dtype)
    if outside is not None:
        x = torch.where(outside, torch.tensor(node.get("extrapolation_value", 0.0), dtype=x.dtype), x)
    return x


def _is_plain(node: Node, x: Tensor, changed: list[_Axis], system: str) -> bool:
    """Whether torch's own bilinear interpolation computes the same."""
    return (
        x.dim() == 4
        and x.is_floating_point()
        and bool(changed)
        and all(a.axis >= 2 and math.isclose(a.new, a.old * a.factor) for a in changed)
        and (
            system in ("half_pixel", "align_corners")
            or (system == "pytorch_half_pixel" and all(a.new > 1 for a in changed))
        )
        and (system != "align_corners" or all(a.new > 1 for a in changed))
        and not node.get("antialias", 0)
        and not node.get("exclude_outside", 0)
    )


def _coordinates(a: _Axis, system: str, device: torch.device) -> Tensor:
    """Where each output lies on the input's axis."""
    out = torch.arange(a.new, dtype=torch.float64, device=device)
    if system == "asymmetric":
        return out / a.factor
    if system == "align_corners":
        return out * ((a.old - 1) / (a.new - 1)) if a.new > 1 else out * 0
    if system == "pytorch_half_pixel":
        return (out + 0.5) / a.factor - 0.5 if a.new > 1 else out * 0
    if system == "half_pixel_symmetric":
        adjustment = a.new / (a.factor * a.old)
        return a.old / 2 * (1 - adjustment) + (out + 0.5) / a.factor - 0.5
    if system == "tf_half_pixel_for_nn":
        return (out + 0.5) / a.factor
    if system == "tf_crop_and_resize":
        if a.new > 1:
            return a.start * (a.old - 1) + out * ((a.end - a.start) * (a.old - 1) / (a.new - 1))
        return out + 0.5 * (a.start + a.end) * (a.old - 1)
    if system != "half_pixel":
        raise ModelError(f"coordinate system '{system}' is not known")
    return (out + 0.5) / a.factor - 0.5


def _nearest(places: Tensor, rounding: str) -> Tensor:
    rules = {
        "round_prefer_floor": lambda p: torch.ceil(p - 0.5),
        "round_prefer_ceil": lambda p: torch.floor(p + 0.5),
        "floor": torch.floor,
        "ceil": torch.ceil,
    }
    if rounding not in rules:
        raise ModelError(f"rounding '{rounding}' is not known")
    return rules[rounding](places).to(torch.int64)


def _weights(node: Node, places: Tensor, a: _Axis, mode: str) -> Tensor:
    """The matrix [new, old] that interpolates linearly or with cubic splines."""
    stretch = min(a.factor, 1.0) if node.get("antialias", 0) else 1.0
    reach = {"linear": 1, "cubic": 2}.get(mode)
    if reach is None:
        raise ModelError(f"resize mode '{mode}' is not known", where=node.label)
    taps = math.ceil(reach / stretch)
    offsets = torch.arange(-taps + 1, taps + 1, device=places.device)
    index = torch.floor(places).reshape(-1, 1) + offsets
    distance = (places.reshape(-1, 1) - index).abs() * stretch
    if mode == "linear":
        weight = (1 - distance).clamp(min=0)
    else:
        weight = _cubic(distance, node.get("cubic_coeff_a", -0.75))
    if node.get("exclude_outside", 0):
        weight = weight * ((index >= 0) & (index <= a.old - 1))
    weight = weight / weight.sum(1, keepdim=True)
    matrix = torch.zeros(a.new, a.old, dtype=weight.dtype, device=places.device)
    return matrix.scatter_add(1, index.clamp(0, a.old - 1).to(torch.int64), weight)


def _cubic(d: Tensor, a: float) -> Tensor:
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))
