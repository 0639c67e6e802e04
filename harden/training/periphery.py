"""The converters and the output noise that a network trains through.

Ranges are calibrated once, on training examples and the weights as given, so that a resumed run has the same ones.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from harden.data.dataset import Dataset
from harden.graph.module import GraphModule
from harden.noise.periphery import ChipPeriphery, Periphery, Range
from harden.training.batches import as_tensors
from harden.training.plan import TrainingPlan
from harden.transforms import ranges

_BATCH = 32


class TrainingPeriphery:
    """Sets what stands around the analog nodes of a network; for profiles without a periphery, nothing.

    Args:
        net: The network, with its weights as given.
        data: Training examples.
        plan: Conditions, seed.

    Raises:
        UnsupportedError: Converters cannot stand around a node.
    """

    def __init__(self, net: GraphModule, data: Dataset, plan: TrainingPlan) -> None:
        self._net, self._seed = net, plan.seed
        self._peripheries: list[Periphery] = [condition.profile.periphery for condition in plan.conditions]
        self._ranges: list[dict[str, tuple[Range, Range]]] = [{} for _ in self._peripheries]
        if not self.on:
            return
        chosen = ranges.examples(len(data))
        parts = [chosen[at : at + _BATCH] for at in range(0, len(chosen), _BATCH)]
        batches = [as_tensors(data.feed(part), plan.device) for part in parts]
        for number, periphery in enumerate(self._peripheries):
            if periphery.on:
                seen = ranges.calibrate(net, net.analog_weights(plan.digital), batches, periphery.range_percentile)
                self._ranges[number] = periphery.ranges(seen)

    @property
    def on(self) -> bool:
        """Whether any profile has converters or output noise."""
        return any(periphery.on for periphery in self._peripheries)

    def use(self, number: int, *path: str | int, noise: float = 1.0) -> None:
        """From now on, the network runs with the periphery of the profile with this number.

        Args:
            number: Of the plan's condition.
            path: Names the stream of the output noise, which starts again.
            noise: Times the output noise.
        """
        periphery = self._peripheries[number]
        if not periphery.on:
            self._net.periphery = None
            return
        periphery = replace(periphery, output_noise=noise * periphery.output_noise)
        self._net.periphery = ChipPeriphery(periphery, self._ranges[number], self._seed, path)

    def record(self) -> list[dict[str, object]]:
        """The knobs and ranges of each profile, for the report."""
        return [
            {
                **asdict(periphery),
                "ranges": {key: {"input": list(i), "output": list(o)} for key, (i, o) in limits.items()},
            }
            for periphery, limits in zip(self._peripheries, self._ranges, strict=True)
        ]
