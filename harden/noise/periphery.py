r"""What stands around a crossbar: the converters of its inputs and outputs, and the noise of its outputs.

A digital-to-analog converter (DAC) feeds each analog layer, an analog-to-digital converter (ADC) reads it. Both clip
to a range and round:

.. math:: q(x) = s \cdot \mathrm{clip}(\mathrm{round}(x / s), c_0, c_1)

A range [0, a] has the codes 0 to 2^b − 1, a range [−a, a] those from −(2^(b−1) − 1) to 2^(b−1) − 1, so zero is always
exact; s = a / c₁. Ties round to even, as ONNX does. In training gradients pass straight through within the range, and
not at all outside it.

Source: the uniform quantiser with a straight-through gradient (Bengio et al., arXiv 1308.3432); the order output noise,
then ADC, as in Rasch et al., Nat. Commun. 14, 5282 (2023).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harden import distributed
from harden.noise.knobs import Knob
from harden.streams import generator

Range = tuple[float, float]
Ranges = Mapping[str, tuple[Range, Range]]
"""By key of an analog use: the range of its inputs, and that of its outputs."""

KNOBS = {
    "dac_bits": Knob(default=0, min=0, max=16, fixed=True, about="bits of each analog layer's input; 0: no converter"),
    "adc_bits": Knob(default=0, min=0, max=16, fixed=True, about="bits of each analog layer's output; 0: no converter"),
    "input_range": Knob(
        default=0.0, min=0, fixed=True, about="largest input of an analog layer, others clip; 0: calibrated on data"
    ),
    "output_range": Knob(
        default=0.0, min=0, fixed=True, about="largest output of an analog layer, others clip; 0: calibrated on data"
    ),
    "range_percentile": Knob(
        default=99.99, min=90, max=100, fixed=True, about="percent of the sizes seen on data that a range covers"
    ),
    "output_noise": Knob(
        default=0.0, min=0, fixed=True, about="standard deviation of noise on each analog output, over its range"
    ),
}


@dataclass(frozen=True)
class Converter:
    """One converter: a range and its bits.

    Attributes:
        low: 0, or the negative of ``high``.
        high: The largest value.
        bits: Resolution; 0 clips only.
    """

    low: float
    high: float
    bits: int

    @property
    def codes(self) -> tuple[int, int]:
        """The first and the last code; (0, 0) without a resolution."""
        if not self.bits:
            return 0, 0
        last = 2**self.bits - 1 if self.low == 0 else 2 ** (self.bits - 1) - 1
        return (0 if self.low == 0 else -last), last

    @property
    def step(self) -> float:
        """The distance of two codes, as single precision has it."""
        return float(np.float32(self.high / max(self.codes[1], 1)))

    def __call__(self, x: Tensor) -> Tensor:
        """Clip and round; see `convert`."""
        return convert(x, self.low, self.high, self.bits)


def convert(x: Tensor, low: float, high: float, bits: int) -> Tensor:
    """Clip to a range and round to a converter's codes.

    Args:
        x: Any shape and float dtype.
        low: 0, or -high.
        high: Above 0.
        bits: 2 or more; 0 clips only.

    Returns:
        The values of the nearest codes; the gradient is 1 within [low, high], 0 outside.

    Example:
        >>> convert(torch.tensor([-9.0, -0.4, 0.2, 1.6, 9.0]), -3.0, 3.0, 3).tolist()
        [-3.0, -0.0, 0.0, 2.0, 3.0]
        >>> convert(torch.tensor([-1.0, 0.4, 2.6, 9.0]), 0.0, 3.0, 2).tolist()
        [0.0, 0.0, 3.0, 3.0]
    """
    return _Convert.apply(x, Converter(low, high, bits))  # pyright: ignore[reportReturnType]


class _Convert(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, converter: Converter) -> Tensor:
        if not converter.bits:
            return x.clamp(converter.low, converter.high)
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # else the codes themselves would round
        step = torch.tensor(converter.step, dtype=wide.dtype, device=x.device)
        return wide.div(step).round_().clamp_(*converter.codes).mul_(step).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Converter], output: Tensor) -> None:
        x, converter = inputs
        ctx.save_for_backward((x >= converter.low) & (x <= converter.high))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.saved_tensors[0], None


@dataclass(frozen=True)
class Periphery:
    """The knobs of a profile's periphery, resolved; see ``KNOBS`` for what they mean.

    Raises:
        ValueError: One bit.
    """

    dac_bits: int = 0
    adc_bits: int = 0
    input_range: float = 0.0
    output_range: float = 0.0
    range_percentile: float = 99.99
    output_noise: float = 0.0

    def __post_init__(self) -> None:
        single = [name for name in ("dac_bits", "adc_bits") if getattr(self, name) == 1]
        if single:
            raise ValueError(f"{' and '.join(single)} must be 0 (no converter) or at least 2, a sign and a digit")

    @property
    def on(self) -> bool:
        """Whether anything stands around the crossbars."""
        return bool(self.dac_bits or self.adc_bits or self.input_range or self.output_range or self.output_noise)

    def ranges(self, seen: Ranges) -> dict[str, tuple[Range, Range]]:
        """The ranges to use: those seen on data, with the widths that the knobs fix."""
        fixed = (self.input_range, self.output_range)
        return {key: (_wide(pair[0], fixed[0]), _wide(pair[1], fixed[1])) for key, pair in seen.items()}

    def input_converter(self, inputs: Range) -> Converter | None:
        """The DAC of a layer with this input range; None where nothing clips or rounds, or nothing ever comes in."""
        return _converter(inputs, self.dac_bits, self.input_range)

    def output_converter(self, outputs: Range) -> Converter | None:
        """The ADC of a layer with this output range."""
        return _converter(outputs, self.adc_bits, self.output_range)

    def noise_sigma(self, outputs: Range) -> float:
        """The standard deviation of the output noise of a layer with this output range."""
        return self.output_noise * outputs[1]


@dataclass
class ChipPeriphery:
    """One chip's periphery, as the hook at the analog nodes of a network: ``periphery(key, side, tensor)``.

    Output noise is drawn from ``generator(seed, *path, "output", key, pass)``, anew for every pass.

    Attributes:
        periphery: The converters and the noise.
        ranges: By key; layers without one are left alone.
        seed: Root seed of the streams.
        path: Names that tell this chip from all others.
    """

    periphery: Periphery
    ranges: Ranges
    seed: int
    path: tuple[str | int, ...]
    passes: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, key: str, side: str, tensor: Tensor) -> Tensor:
        """The tensor behind the converter; ``side`` is ``input`` or ``output``."""
        if key not in self.ranges:
            return tensor
        inner, outer = self.ranges[key]
        if side == "input":
            converter = self.periphery.input_converter(inner)
            return tensor if converter is None else converter(tensor)
        sigma = self.periphery.noise_sigma(outer)
        if sigma:
            shape = (len(tensor) * distributed.slices(), *tensor.shape[1:])
            noise = output_noise(shape, sigma, self.seed, self.path, key, self.passes[key])
            tensor = tensor + distributed.own(noise).to(tensor)
            self.passes[key] += 1
        converter = self.periphery.output_converter(outer)
        return tensor if converter is None else converter(tensor)


def output_noise(
    shape: tuple[int, ...], sigma: float, seed: int, path: tuple[str | int, ...], key: str, number: int
) -> Tensor:
    """The noise on one layer's outputs in the pass with this number, in single precision."""
    return torch.empty(shape).normal_(0, sigma, generator=generator(seed, *path, "output", key, number))


def _wide(seen: Range, fixed: float) -> Range:
    return seen if not fixed else (-fixed if seen[0] < 0 else 0.0, fixed)


def _converter(ends: Range, bits: int, fixed: float) -> Converter | None:
    return Converter(*ends, bits) if (bits or fixed) and ends[1] > 0 else None
