"""The pipeline of a chip: weight → devices → programming → stuck-at faults → drift → read noise → weight.

Each stage is optional, draws from a stream of its own, and yields deviations; the chip is the weight plus the
deviations of its devices. Large tensors are worked on in blocks that fit the processor's cache; the blocks depend on
the shape alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw
from harden.noise.mapping import Device, Mapping
from harden.noise.reference import AnalogWeightLike, extremes, largest
from harden.streams import device_generator, generator

_BLOCK = 1 << 16  # 256 kB of float32: a few blocks stay in the second-level cache
_TINY = 1e-12


@dataclass(frozen=True)
class Draw:
    """Which draw: the streams' seed, path and last name, the time, how hard, and the device that draws."""

    seed: int
    path: tuple[str | int, ...]
    key: str
    at_s: float
    severity: float
    device: str = "cpu"

    def moment(self, stage: str) -> Moment:
        """The moment of a stage, with its own stream."""
        return Moment(self.at_s, self.severity, device_generator(self.device, self.seed, *self.path, stage, self.key))


@dataclass(frozen=True)
class Stage:
    """A law and the name of its stream."""

    name: str
    law: NoiseLaw
    ages: bool = False  # whether it comes after programming: drift, and read noise


@dataclass(frozen=True)
class Circuit:
    """A profile with all values resolved: what one chip is drawn from."""

    mapping: Mapping
    stages: tuple[Stage, ...] = ()
    tile: tuple[int, int] = (256, 256)
    d2d: float = 0.0
    c2c: float = 0.0
    compensated: bool = False

    def draw(self, weight: Tensor, use: AnalogWeightLike | None, draw: Draw) -> Tensor:
        """Draw one tensor of a chip.

        Args:
            weight: The weights, detached; any float dtype.
            use: Where they sit on the crossbar; None means [out, in, ...].
            draw: The draw; its severity is above 0.

        Returns:
            The noisy weights, same shape, dtype and device.
        """
        wide = weight if weight.dtype == torch.float64 else weight.float()
        around = self._around(wide, use)
        flat = wide.reshape(-1)
        scale = _flat(largest(around) * self.mapping.clip, wide)
        ends = (_flat(around[0], wide), _flat(around[1], wide)) if self._needs_ends else None
        ageing = _Ageing(self, draw)
        noisy = torch.empty_like(flat)
        reference = current = 0.0
        for part in _blocks(flat.numel()):
            block = self.mapping.stored(flat[part], _part(scale, part))
            block_ends = None if ends is None else (_part(ends[0], part), _part(ends[1], part))
            programmed, total = ageing.run(block, _part(scale, part), block_ends)
            noisy[part] = total
            if self.compensated:
                # In double precision, so that the order of the sum, which depends on threads, does not show.
                reference += float(programmed.abs().sum(dtype=torch.float64))
                current += float(total.abs().sum(dtype=torch.float64))
        if self.compensated and reference:
            noisy.mul_(reference / max(current, _TINY))
        return noisy.reshape(weight.shape).to(weight.dtype)

    def targets(self, weight: Tensor, use: AnalogWeightLike | None = None) -> list[Device]:
        """What is to be programmed for one tensor: the target of each device of each weight, without any noise.

        Args:
            weight: The weights, any float dtype.
            use: Where they sit on the crossbar; None means [out, in, ...].

        Returns:
            The devices of a weight in the mapping's order. Targets have the weight's shape, in the mapping's unit; the
            weight as stored is the sum of (target - g_min) · weight_per_unit for pairs.
        """
        wide = (weight if weight.dtype == torch.float64 else weight.float()).detach()
        around = self._around(wide, use)
        scale = largest(around) * self.mapping.clip
        return list(self.mapping.devices(self.mapping.stored(wide, scale), scale, around))

    def _around(self, wide: Tensor, use: AnalogWeightLike | None) -> tuple[Tensor, Tensor]:
        """The smallest and the largest weight around each, as the mapping's reference has it."""
        return extremes(
            wide,
            output_axis=use.output_axis if use is not None else 0,
            groups=use.groups if use is not None else 1,
            reference=self.mapping.reference,
            tile=self.tile,
        )

    def read_devices(self, target: Tensor, draw: Draw) -> Tensor:
        """What single devices with these targets are read as; weights of a tensor with max|w| = 1 if stored directly.

        Args:
            target: In the unit of the mapping.
            draw: The draw.
        """
        signed = self.mapping.kind == "direct"
        unit = torch.ones((), dtype=target.dtype)
        ends = (-unit, unit) if signed else None
        full = target.abs() if signed and self.mapping.reference == "cell" else self.mapping.high
        cells = Cells(target, full, self.mapping.low, signed=signed, ends=ends)
        return _Ageing(self, draw).device(cells)[1]

    @property
    def _needs_ends(self) -> bool:
        return self.mapping.kind == "single" or any(stage.law.needs_ends for stage in self.stages)


class _Ageing:
    """The devices of one tensor, from target to reading, block by block; it holds the tensor's streams."""

    def __init__(self, circuit: Circuit, draw: Draw) -> None:
        self.circuit = circuit
        self.early = [(stage.law, draw.moment(stage.name)) for stage in circuit.stages if not stage.ages]
        self.late = [(stage.law, draw.moment(stage.name)) for stage in circuit.stages if stage.ages]
        self.spread = draw.moment("c2c") if circuit.c2c else None
        self.gain = 0.0
        if circuit.d2d:  # one number per chip: the stream's name has no tensor in it
            stream = generator(draw.seed, *draw.path, "d2d")
            drawn = float(torch.empty(1, dtype=torch.float64).normal_(generator=stream))
            self.gain = circuit.d2d * draw.severity * drawn

    def run(self, block: Tensor, scale: Tensor, ends: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The weights of a block as programmed, and as read."""
        signed = self.circuit.mapping.kind == "direct"
        programmed = total = block
        for device in self.circuit.mapping.devices(block, scale, ends):
            early, late = self.device(
                Cells(device.target, device.full, self.circuit.mapping.low, signed=signed, ends=ends)
            )
            if signed:
                return early, late
            if self.circuit.compensated:
                programmed = _added(programmed, early, device.target, device.weight_per_unit)
            total = _added(total, late, device.target, device.weight_per_unit)
        return programmed, total

    def device(self, cells: Cells) -> tuple[Tensor, Tensor]:
        """The devices as programmed, and as read."""
        early = self._vary(self._apply(cells.target, cells, self.early))
        late = self._apply(early, replace(cells, programmed=early), self.late) if self.late else early
        return early, late

    @staticmethod
    def _apply(now: Tensor, cells: Cells, laws: list[tuple[NoiseLaw, Moment]]) -> Tensor:
        for law, moment in laws:
            change = law.deviation(now, cells, moment)
            if change is not None:
                now = change.add_(now)
                now = now if cells.signed else now.clamp_(min=0)
        return now

    def _vary(self, now: Tensor) -> Tensor:
        if self.gain:
            now = now * (1 + self.gain)
        if self.spread is not None:
            factor = self.spread.normal(now).mul_(self.circuit.c2c * self.spread.severity)
            now = factor.mul_(now).add_(now)
        return now


def _added(total: Tensor, now: Tensor, target: Tensor, unit: Tensor | float) -> Tensor:
    """Add what a device's deviation does to the weight; a device without one adds nothing, bit for bit."""
    return total if now is target else (now - target).mul_(unit).add_(total)


def _flat(values: Tensor, like: Tensor) -> Tensor:
    return values if values.dim() == 0 else values.expand(like.shape).reshape(-1)


def _part(values: Tensor, part: slice) -> Tensor:
    return values if values.dim() == 0 else values[part]


def _blocks(length: int) -> Iterator[slice]:
    for start in range(0, length, _BLOCK):
        yield slice(start, min(start + _BLOCK, length))
