"""Operators of detectors and of sampling at given points."""

from __future__ import annotations

import torch
from torch.nn import functional

from harden.errors import ModelError
from harden.graph.ops import operator
from harden.graph.ops._help import bounded, ints
from harden.graph.program import Node

Tensor = torch.Tensor


@operator("GridSample", since=16)
def grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    """Sample at points of a grid in [-1, 1]."""
    mode = str(node.get("mode", "linear"))
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    return functional.grid_sample(
        x, grid, mode, node.get("padding_mode", "zeros"), align_corners=bool(node.get("align_corners", 0))
    )


@operator("AffineGrid", host=(1,))
def affine_grid(node: Node, theta: Tensor, size: Tensor) -> Tensor:
    """The grid of sampling points that an affine map gives."""
    return functional.affine_grid(theta, bounded(ints(size)), align_corners=bool(node.get("align_corners", 0)))


@operator("RoiAlign", fixed=(1, 2), dynamic=True)
def roi_align(node: Node, x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
    """Average or largest of samples within each cell of each region."""
    height, width = node.get("output_height", 1), node.get("output_width", 1)
    ratio, scale = node.get("sampling_ratio", 0), node.get("spatial_scale", 1.0)
    shift = (
        0.5 if node.version >= 16 and node.get("coordinate_transformation_mode", "half_pixel") == "half_pixel" else 0.0
    )
    results = []
    for roi, image in zip(rois, batch.tolist(), strict=True):
        x1, y1, x2, y2 = (float(v) * scale - shift for v in roi)
        span_w, span_h = x2 - x1, y2 - y1
        if shift == 0.0:
            span_w, span_h = max(span_w, 1.0), max(span_h, 1.0)
        rows = ratio or max(-int(-span_h // height), 1)
        columns = ratio or max(-int(-span_w // width), 1)
        ys = y1 + (torch.arange(height * rows, dtype=x.dtype) + 0.5) * (span_h / height / rows)
        xs = x1 + (torch.arange(width * columns, dtype=x.dtype) + 0.5) * (span_w / width / columns)
        parts = _bilinear_parts(x[int(image)], ys, xs)
        if node.get("mode", "avg") == "avg":
            cells = sum(parts).reshape(-1, height, rows, width, columns).mean((2, 4))  # type: ignore[union-attr]
        else:
            stacked = torch.stack(parts).reshape(4, -1, height, rows, width, columns)
            cells = stacked.amax((0, 3, 5))
        results.append(cells)
    return torch.stack(results) if results else x.new_zeros(0, x.shape[1], height, width)


def _bilinear_parts(x: Tensor, ys: Tensor, xs: Tensor) -> list[Tensor]:
    """The four weighted neighbours of each sample; samples more than a pixel outside weigh nothing."""
    _, height, width = x.shape
    inside_y, inside_x = (ys >= -1) & (ys <= height), (xs >= -1) & (xs <= width)
    ys, xs = ys.clamp(0, height - 1), xs.clamp(0, width - 1)
    top, left = ys.floor().long(), xs.floor().long()
    bottom, right = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    dy, dx = (ys - top).reshape(-1, 1), (xs - left).reshape(1, -1)
    inside = (inside_y.reshape(-1, 1) & inside_x.reshape(1, -1)).to(x.dtype)
    weights = [(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx]
    places = [(top, left), (top, right), (bottom, left), (bottom, right)]
    return [x[:, r][:, :, c] * (w * inside) for (r, c), w in zip(places, weights, strict=True)]


@operator("NonMaxSuppression", gradient=False, dynamic=True, host=(2, 3, 4))
def non_max_suppression(
    node: Node,
    boxes: Tensor,
    scores: Tensor,
    most: Tensor | None = None,
    overlap: Tensor | None = None,
    lowest: Tensor | None = None,
) -> Tensor:
    """The boxes that remain when those overlapping a better one are dropped: [batch, class, box]."""
    limit = int(most.item()) if most is not None else 0
    threshold = float(overlap.item()) if overlap is not None else 0.0
    chosen: list[list[int]] = []
    if node.get("center_point_box", 0):
        x, y, w, h = boxes.unbind(-1)
        boxes = torch.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1)
    else:
        a, b = boxes[..., :2], boxes[..., 2:]
        boxes = torch.cat([torch.minimum(a, b), torch.maximum(a, b)], -1)
    for image in range(scores.shape[0]):
        for kind in range(scores.shape[1]):
            score = scores[image, kind]
            order = torch.argsort(score, descending=True, stable=True)
            if lowest is not None:
                order = order[score[order] > float(lowest.item())]
            kept = _suppressed(boxes[image], order, threshold, limit)
            chosen += [[image, kind, box] for box in kept]
    return torch.tensor(chosen, dtype=torch.int64).reshape(-1, 3)


def _suppressed(boxes: Tensor, order: Tensor, threshold: float, limit: int) -> list[int]:
    kept: list[int] = []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order) and len(kept) < limit:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[rest, :2])
        high = torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = (high - low).clamp(min=0).prod(-1)
        order = rest[common / (area[best] + area[rest] - common) <= threshold]
    return kept


@operator("CenterCropPad", host=(1,))
def center_crop_pad(node: Node, x: Tensor, shape: Tensor) -> Tensor:
    """Crop or pad around the centre to a shape."""
    axes = [axis % x.dim() for axis in node.get("axes", range(x.dim()))]
    for axis, size in zip(axes, bounded(ints(shape)), strict=True):
        have = x.shape[axis]
        if size < have:
            x = x.narrow(axis, (have - size) // 2, size)
        elif size > have:
            pads = [0] * (2 * x.dim())
            before = (size - have) // 2
            pads[2 * (x.dim() - 1 - axis)], pads[2 * (x.dim() - 1 - axis) + 1] = before, size - have - before
            x = functional.pad(x, pads)
    return x


@operator("Col2Im", host=(1, 2))
def col2im(node: Node, x: Tensor, image: Tensor, block: Tensor) -> Tensor:
    """Sum columns back into images, over any number of spatial axes."""
    sizes, kernel = ints(image), ints(block)
    rank = len(sizes)
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    pads = node.get("pads", [0] * (2 * rank))
    padded = [size + pads[a] + pads[rank + a] for a, size in enumerate(sizes)]
    counts = [(padded[a] - dilations[a] * (kernel[a] - 1) - 1) // strides[a] + 1 for a in range(rank)]
    flat = torch.zeros((), dtype=torch.int64, device=x.device)
    for axis in range(rank):
        inner = torch.arange(kernel[axis], device=x.device) * dilations[axis]
        outer = torch.arange(counts[axis], device=x.device) * strides[axis]
        places = inner.reshape(-1, 1) + outer.reshape(1, -1)
        view = [1] * (2 * rank)
        view[axis], view[rank + axis] = kernel[axis], counts[axis]
        flat = flat * padded[axis] + places.reshape(view)
    columns = x.reshape(x.shape[0], -1, flat.numel())
    result = columns.new_zeros(*columns.shape[:2], torch.Size(bounded(padded)).numel())
    result = result.index_add(2, flat.reshape(-1), columns).reshape(*columns.shape[:2], *padded)
    for axis, size in enumerate(sizes):
        result = result.narrow(2 + axis, pads[axis], size)
    return result


@operator("DeformConv", since=19, learned=(1, 3), analog=(1,))
def deform_conv(
    node: Node,
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolution whose taps are moved by offsets and weighted by a mask."""
    if weight.dim() != 4:
        raise ModelError("deformable convolutions over other than 2 axes are not supported", where=node.label)
    kh, kw = weight.shape[2:]
    (sh, sw), (dh, dw) = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    top, left = node.get("pads", [0, 0, 0, 0])[:2]
    n, _, out_h, out_w = offset.shape
    groups, blocks = node.get("group", 1), node.get("offset_group", 1)
    moves = offset.reshape(n, blocks, kh, kw, 2, out_h, out_w)
    rows = torch.arange(out_h).reshape(-1, 1) * sh - top + (torch.arange(kh) * dh).reshape(-1, 1, 1, 1)
    columns = torch.arange(out_w) * sw - left + (torch.arange(kw) * dw).reshape(-1, 1, 1)
    ys, xs = moves[..., 0, :, :] + rows, moves[..., 1, :, :] + columns
    height, width = x.shape[2:]
    grid = torch.stack([(2 * xs + 1) / width - 1, (2 * ys + 1) / height - 1], -1)
    sampled = functional.grid_sample(
        x.reshape(n * blocks, -1, height, width),
        grid.reshape(n * blocks, kh * kw * out_h, out_w, 2),
        align_corners=False,
    ).reshape(n, blocks, -1, kh * kw, out_h, out_w)
    if mask is not None:
        sampled = sampled * mask.reshape(n, blocks, 1, kh * kw, out_h, out_w)
    taps = sampled.reshape(n, groups, -1, out_h * out_w)
    kernel = weight.reshape(groups, weight.shape[0] // groups, -1)
    result = torch.einsum("goc,ngcp->ngop", kernel, taps).reshape(n, -1, out_h, out_w)
    return result if bias is None else result + bias.reshape(-1, 1, 1)
