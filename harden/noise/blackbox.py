"""A profile whose noise is somebody's own function: ``module:function``, trained through straight-through."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from harden.errors import ProfileError
from harden.noise.circuit import Draw
from harden.noise.reference import AnalogWeightLike


@dataclass(frozen=True)
class BlackBox:
    """A function ``f(weights, *, at_s, generator, **arguments) -> noisy weights`` of one tensor.

    Attributes:
        function: ``module:function``.
        arguments: Its keyword arguments.
        grows_with_range: Whether its noise grows with the tensor's largest weight.
    """

    function: str
    arguments: Mapping[str, Any]
    grows_with_range: bool = True

    @cached_property
    def call(self) -> Callable[..., Any]:
        """The function itself.

        Raises:
            ProfileError: It cannot be imported, or is not callable.
        """
        module, _, name = self.function.partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            fix = "It must be importable: install it, or set PYTHONPATH."
            raise ProfileError(f"cannot import the sampler: {error}", where=self.function, fix=fix) from error
        if not callable(function):
            raise ProfileError("the sampler is not a function", where=self.function)
        return function

    def draw(self, weight: Tensor, use: AnalogWeightLike | None, draw: Draw) -> Tensor:
        """Draw one tensor; severity scales the deviation.

        Raises:
            ProfileError: The function returns another shape, or numbers that are not finite.
        """
        moment = draw.moment("sampler")
        sampled = torch.as_tensor(
            self.call(weight.clone(), at_s=draw.at_s, generator=moment.generator, **self.arguments)
        )
        if sampled.shape != weight.shape:
            shapes = f"{tuple(sampled.shape)} for weights of shape {tuple(weight.shape)}"
            raise ProfileError(f"the sampler returned shape {shapes}", where=f"{self.function}, {draw.key}")
        sampled = sampled.to(weight)
        if not bool(torch.isfinite(sampled).all()):
            raise ProfileError("the sampler returned numbers that are not finite", where=f"{self.function}, {draw.key}")
        return sampled if draw.severity == 1 else weight + draw.severity * (sampled - weight)
