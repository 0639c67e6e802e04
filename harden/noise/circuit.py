"""The pipeline of a chip: weight → devices → programming → stuck-at faults → drift → read noise → weight.

Each stage is optional, draws from a stream of its own, and yields deviations; the chip is the weight plus the
deviations of its devices. Large tensors are worked on in blocks that fit the processor's cache; the blocks depend on
the shape alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harden.noise.laws.base import Cells, Moment, NoiseLaw
from harden.noise.mapping import Mapping
from harden.noise.scales import AnalogWeightLike, reference_scale
from harden.streams import generator

_BLOCK = 1 << 16  # 256 kB of float32: a few blocks stay in the second-level cache
_TINY = 1e-12


@dataclass(frozen=True)
class Circuit:
    """A profile with all values resolved: what one chip is drawn from."""

    mapping: Mapping
    stages: tuple[tuple[str, NoiseLaw], ...] = ()
    tile: tuple[int, int] = (256, 256)
    d2d: float = 0.0
    c2c: float = 0.0
    compensated: bool = False
    before_drift: frozenset[str] = field(default=frozenset({"program", "stuck", "d2d", "c2c"}), repr=False)

    def draw(
        self,
        weight: Tensor,
        use: AnalogWeightLike | None,
        *,
        seed: int,
        path: tuple[str | int, ...],
        key: str,
        at_s: float,
        severity: float,
    ) -> Tensor:
        """Draw one tensor of a chip.

        Args:
            weight: The weights, detached; any float dtype.
            use: Where they sit on the crossbar; None means [out, in, ...].
            seed: Root seed of the streams.
            path: Path of the chip.
            key: Name of this use, the last part of each stream's path.
            at_s: Seconds since programming.
            severity: 1 is the device; 0 is handled by the caller.

        Returns:
            The noisy weights, same shape, dtype and device.
        """
        wide = weight if weight.dtype == torch.float64 else weight.float()
        scale = reference_scale(
            wide,
            output_axis=use.output_axis if use is not None else 0,
            groups=use.groups if use is not None else 1,
            reference=self.mapping.reference,
            tile=self.tile,
        )
        flat = wide.reshape(-1)
        each = scale if scale.dim() == 0 else scale.expand(wide.shape).reshape(-1)
        ends = torch.aminmax(flat) if self.mapping.kind == "single" and flat.numel() else None
        run = [(stage, law, Moment(at_s, severity, generator(seed, *path, stage, key))) for stage, law in self.stages]
        gain = _die_gain(self.d2d * severity, seed, path)
        spread = Moment(at_s, severity, generator(seed, *path, "c2c", key))
        noisy = torch.empty_like(flat)
        reference = current = 0.0
        for part in _blocks(flat.numel()):
            block = flat[part]
            block_scale = each if each.dim() == 0 else each[part]
            programmed = None
            total = block
            for device in self.mapping.devices(block, block_scale, ends):
                cells = Cells(device.target, device.full, self.mapping.low, signed=self.mapping.kind == "direct")
                before, now = self._age(cells, run, gain, spread)
                total = _weight(total, now, device.target, device.weight_per_unit, direct=cells.signed)
                if self.compensated:
                    programmed = block if programmed is None else programmed
                    programmed = _weight(programmed, before, device.target, device.weight_per_unit, direct=cells.signed)
            noisy[part] = total
            if programmed is not None:
                reference += float(programmed.abs().sum(dtype=torch.float64))
                current += float(total.abs().sum(dtype=torch.float64))
        if self.compensated:
            noisy.mul_(reference / max(current, _TINY) if reference else 1.0)
        return noisy.reshape(weight.shape).to(weight.dtype)

    def _age(
        self, cells: Cells, run: list[tuple[str, NoiseLaw, Moment]], gain: float, spread: Moment
    ) -> tuple[Tensor, Tensor]:
        """The devices before they drift, and as they are read."""
        now = cells.target
        before = now
        aged = False
        for stage, law, moment in run:
            if not aged and stage not in self.before_drift:
                now = before = self._vary(now, gain, spread)
                aged = True
            change = law.deviation(now, cells, moment)
            if change is not None:
                now = change.add_(now)
                now = now if cells.signed else now.clamp_(min=0)
        if not aged:
            now = before = self._vary(now, gain, spread)
        return before, now

    def _vary(self, now: Tensor, gain: float, spread: Moment) -> Tensor:
        if gain:
            now = now * (1 + gain)
        if self.c2c:
            now = now + spread.normal(now).mul_(self.c2c * spread.severity).mul_(now)
        return now


def _weight(total: Tensor, now: Tensor, target: Tensor, unit: Tensor | float, *, direct: bool) -> Tensor:
    """Add what a device's deviation does to the weight; a device without one adds nothing, bit for bit."""
    if direct:
        return now
    return total if now is target else (now - target).mul_(unit).add_(total)


def _die_gain(strength: float, seed: int, path: tuple[str | int, ...]) -> float:
    if strength == 0:
        return 0.0
    return strength * float(torch.empty(1, dtype=torch.float64).normal_(generator=generator(seed, *path, "d2d")))


def _blocks(length: int) -> Iterator[slice]:
    for start in range(0, length, _BLOCK):
        yield slice(start, min(start + _BLOCK, length))
