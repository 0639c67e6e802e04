"""Sessions of chips with what stands around their crossbars: converters calibrated on the data, output noise."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harden.evaluation.input_feed import Feed
from harden.graph.analog import AnalogWeight
from harden.noise.periphery import ChipPeriphery, Periphery, Range
from harden.noise.profile import Profile
from harden.runtime.copy import RuntimeCopy
from harden.runtime.periphery import PeripheryCopy, PeripherySession
from harden.runtime.sessions import Session
from harden.transforms import ranges

if TYPE_CHECKING:
    from harden.graph.file import Model

Path = tuple[str | int, ...]
ANALYSIS: Path = ("analysis",)
_CHECKED_IMAGES = 4


class EvaluationPeriphery:
    """Opens sessions of a model under any profile; one copy is made a periphery, when it is first asked for.

    Args:
        model: The model.
        copy: Its plain runtime copy.
        weights: Its analog weights by key.
        feed: The examples; ranges are calibrated on some of their inputs, never on labels.
    """

    def __init__(self, model: Model, copy: RuntimeCopy, weights: Mapping[str, AnalogWeight], feed: Feed) -> None:
        self._model, self._copy, self._weights, self._feed = model, copy, weights, feed
        self._lock = threading.RLock()
        self._network: Any = None
        self._seen: dict[float, dict[str, tuple[Range, Range]]] = {}
        self._copies: dict[Periphery, PeripheryCopy] = {}
        self._shapes: dict[Any, dict[str, tuple[int, ...]]] = {}

    def __getstate__(self) -> dict[str, object]:
        """With the ranges that were found, without what is made from them."""
        return {**self.__dict__, "_lock": None, "_network": None, "_copies": {}}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def session(
        self,
        profile: Profile,
        values: Mapping[str, torch.Tensor],
        *,
        threads: int = 1,
        seed: int = 0,
        path: Path = ANALYSIS,
    ) -> Session | PeripherySession:
        """A session of one chip.

        Args:
            profile: Says what stands around the crossbars.
            values: The chip's weights by key.
            threads: Threads within an operator.
            seed: Root seed of the output noise.
            path: The chip's path, as its weights were drawn with.
        """
        if not profile.periphery.on:
            return self._copy.session(values, threads=threads)
        return self._copy_with(profile.periphery).session(values, threads=threads, seed=seed, path=path)

    def hook(self, profile: Profile, *, seed: int = 0, path: Path = ANALYSIS) -> ChipPeriphery | None:
        """The same converters for the torch module's ``periphery``; None where there are none."""
        periphery = profile.periphery
        return ChipPeriphery(periphery, self.ranges(periphery), seed, path) if periphery.on else None

    def ranges(self, periphery: Periphery) -> dict[str, tuple[Range, Range]]:
        """The ranges of inputs and outputs by key."""
        with self._lock:
            percentile = periphery.range_percentile
            if percentile not in self._seen:
                chosen = ranges.examples(self._feed.examples)
                batches = [tuple(map(torch.from_numpy, batch)) for batch, _ in self._feed.batches(chosen)]
                self._seen[percentile] = ranges.calibrate(self._module(), self._weights, batches, percentile)
            return periphery.ranges(self._seen[percentile])

    def record(self, periphery: Periphery) -> Mapping[str, object]:
        """What an evaluation tells of it: the knobs, and each layer's ranges."""
        layers = self.ranges(periphery).items()
        return {**asdict(periphery), "ranges": {key: {"input": list(i), "output": list(o)} for key, (i, o) in layers}}

    def _copy_with(self, periphery: Periphery) -> PeripheryCopy:
        with self._lock:
            if periphery not in self._copies:
                made = PeripheryCopy(self._copy, periphery, self.ranges(periphery), self._output_shapes)
                made.check(*self._feed.head(_CHECKED_IMAGES))
                self._copies[periphery] = made
            return self._copies[periphery]

    def _output_shapes(self, inputs: Sequence[np.ndarray]) -> dict[str, tuple[int, ...]]:
        shape = tuple(array.shape for array in inputs)
        with self._lock:
            if shape not in self._shapes:
                tensors = [torch.from_numpy(np.asarray(array, order="C")) for array in inputs]
                seen = ranges.layers(self._module(), self._weights, *tensors)
                self._shapes[shape] = {key: tuple(outer.shape) for key, (_, outer) in seen.items()}
            return self._shapes[shape]

    def _module(self) -> Any:
        if self._network is None:
            self._network = self._model.module()
        return self._network
