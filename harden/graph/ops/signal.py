"""Spectra and windows."""

from __future__ import annotations

import math

import torch

from harden.graph.ops import operator
from harden.graph.ops._help import bounded
from harden.graph.program import Node
from harden.graph.tensors import torch_type

Tensor = torch.Tensor
_COSINES = {
    "HannWindow": (0.5, 0.5, 0.0),
    "HammingWindow": (25 / 46, 21 / 46, 0.0),
    "BlackmanWindow": (0.42, 0.5, 0.08),
}


@operator("HannWindow", "HammingWindow", "BlackmanWindow", gradient=False, host=(0,))
def window(node: Node, size: Tensor) -> Tensor:
    """A window made of cosines."""
    count = int(size.item())
    bounded([count])
    span = count if node.get("periodic", 1) else count - 1
    a, b, c = _COSINES[node.op]
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / span
    return (a - b * torch.cos(angle) + c * torch.cos(2 * angle)).to(torch_type(node.get("output_datatype", 1)))


@operator("DFT", since=17, host=(1,))
def dft_by_attribute(node: Node, x: Tensor, length: Tensor | None = None) -> Tensor:
    """The discrete Fourier transform along an axis given as an attribute (opset 17)."""
    return _dft(node, x, length, node.get("axis", 1))


@operator("DFT", since=20, host=(1, 2))
def dft(node: Node, x: Tensor, length: Tensor | None = None, axis: Tensor | None = None) -> Tensor:
    """The discrete Fourier transform along an axis; the last axis holds real and imaginary parts."""
    return _dft(node, x, length, -2 if axis is None else int(axis.item()))


def _dft(node: Node, x: Tensor, length: Tensor | None, axis: int) -> Tensor:
    axis = axis % x.dim()
    count = None if length is None else int(length.item())
    onesided = bool(node.get("onesided", 0))
    if node.get("inverse", 0):
        signal = torch.view_as_complex(x.contiguous())
        if onesided:
            return torch.fft.irfft(signal, count, axis).unsqueeze(-1)
        return torch.view_as_real(torch.fft.ifft(signal, count, axis))
    if x.shape[-1] == 1:
        real = x.squeeze(-1)
        return torch.view_as_real(torch.fft.rfft(real, count, axis) if onesided else torch.fft.fft(real, count, axis))
    spectrum = torch.fft.fft(torch.view_as_complex(x.contiguous()), count, axis)
    if onesided:
        spectrum = spectrum.narrow(axis, 0, spectrum.shape[axis] // 2 + 1)
    return torch.view_as_real(spectrum)


@operator("STFT", since=17, host=(1, 3))
def stft(node: Node, x: Tensor, step: Tensor, window: Tensor | None = None, length: Tensor | None = None) -> Tensor:
    """The spectrum of each frame: [batch, frames, frequencies, 2]."""
    size = int(length.item()) if length is not None else (window.shape[0] if window is not None else x.shape[1])
    is_complex = x.dim() == 3 and x.shape[-1] == 2
    signal = torch.view_as_complex(x.contiguous()) if is_complex else x.reshape(x.shape[0], x.shape[1])
    frames = signal.unfold(1, size, int(step.item()))
    if window is not None:
        frames = frames * window
    onesided = bool(node.get("onesided", 1)) and not is_complex
    return torch.view_as_real(torch.fft.rfft(frames) if onesided else torch.fft.fft(frames))


@operator("MelWeightMatrix", gradient=False, host=(0, 1, 2, 3, 4))
def mel_weight_matrix(node: Node, bins: Tensor, length: Tensor, rate: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Triangles that gather a spectrum into mel bands."""
    count, size = int(bins.item()), int(length.item())
    bounded([size // 2 + 1, count])
    first, last = _mel(float(low.item())), _mel(float(high.item()))
    edges = first + (last - first) / (count + 2) * torch.arange(count + 2, dtype=torch.float64)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    points = ((size + 1) * hertz / float(rate.item())).floor()
    places = torch.arange(size // 2 + 1, dtype=torch.float64).reshape(-1, 1)
    left, middle, right = points[:-2], points[1:-1], points[2:]
    rising = torch.where(middle > left, (places - left) / (middle - left).clamp(min=1), (places == middle).double())
    falling = (right - places) / (right - middle).clamp(min=1)
    inside = torch.where(places <= middle, rising, falling)
    inside = torch.where((places >= left) & (places < right) | (places == middle), inside.clamp(min=0), 0.0)
    return inside.to(torch_type(node.get("output_datatype", 1)))


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
