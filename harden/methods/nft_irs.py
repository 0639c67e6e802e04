"""Negative feedback training with classifier heads on intermediate features (IRS)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from harden.errors import SettingsError
from harden.methods.base import Batch, Names, Network, Noise, Objective, Options, StepResult
from harden.methods.nft_ovf import combine
from harden.streams import generator


class Config(Options):
    """Hyper-parameters of IRS."""

    beta: float = Field(
        1e-1, ge=0, le=1, description="Weight of the feedback, no unit, 0 to 1; the paper tunes it in 1e-3 to 1e-1"
    )
    heads: int = Field(3, ge=1, le=16, description="Number of heads; the paper has 3 (VGG-8) or 4 (ResNet-18)")
    taps: Names = Field((), description="Tensors to put heads on, shallowest first; chosen from the graph if empty")
    hidden: int = Field(512, ge=1, description="Width of a head's hidden layer; paper")
    features: int = Field(
        2304,
        ge=1,
        description="Most features a head gets: spatial axes are pooled until it does; the paper's are 2048 to 2304",
    )
    decay: float = Field(10.0, gt=0, description="The i-th head weighs decay^-i, shallowest first, no unit; paper")
    scale: Literal["none", "paper"] = Field(
        "none", description="'paper' divides the logits by heads + 1; 'none' keeps the network's own scale"
    )


class Method(Objective):
    r"""Subtract what noisy heads on shallow features say, and train what is left to be right.

    Equation:

    .. math:: L = \ell\Big(\big(z - \beta \sum_{i=0}^{N-1} 10^{-i} h_i\big) / Z,\; y\Big)

    :math:`z` are the outputs and :math:`h_i` a head's outputs in the same noisy pass. A head pools its tap, flattens
    it, and applies Linear-ReLU-Linear; both its weights are noisy with the run's own profile. The shallowest head
    weighs 1. Heads are taken off at the end, and their outputs are not early exits: the sign makes them wrong on
    purpose.

    Use it for negative feedback at nearly the price of one pass.

    Source: Qin et al., arXiv 2305.14561, intermediate representation snapshot.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("nft_irs", {"taps": "a,b"}).config.taps
        ('a', 'b')
    """

    summary = "Negative feedback from noisy heads on intermediate features"
    cost = "1F 1B"
    source = "Qin et al., arXiv 2305.14561 (IRS)"
    reduces: ClassVar = {"beta": 0.0, "scale": "none"}
    Config: ClassVar[type[Options]] = Config

    def __init__(self, config: Options) -> None:
        super().__init__(config)
        self.taps: tuple[str, ...] = ()
        self._heads: dict[str, torch.nn.Parameter] = {}

    def prepare(self, net: Network, batch: Batch) -> None:
        """Choose the taps and make a head for each."""
        from harden.graph.taps import choose_taps

        chosen = choose_taps(net, batch.inputs, self.config.heads, self.config.taps)  # pyright: ignore[reportArgumentType]
        self.taps = tuple(tap.name for tap in chosen)
        with torch.no_grad():
            outputs, features = net(*batch.inputs, taps=self.taps)
        if not isinstance(outputs, Tensor) or outputs.dim() != 2:
            raise SettingsError(
                "nft_irs puts heads beside one output of shape [batch, classes], and this graph has no such output",
                fix="Choose nft_ovf, which feeds the outputs themselves back",
            )
        self._heads = {}
        for i, tap in enumerate(self.taps):
            width = self._pool(features[tap]).shape[1]
            self._add_head(batch.seed, i, width, outputs.shape[1], outputs)

    def step(self, net: Network, batch: Batch, noise: Noise) -> StepResult:
        """The task loss of the outputs after feedback, from one noisy pass."""
        drawn = noise.draw("noise")
        heads = {name: drawn.pop(name) for name in self.analog_weights()}
        outputs, features = net(*batch.inputs, weights=drawn, taps=self.taps, update_statistics=True)
        loss = batch.loss(combine(outputs, self.feedback(features, heads), self.config))
        return StepResult(loss, {"task": batch.loss(outputs.detach()).item()})

    def feedback(self, features: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[Any]:
        """The outputs [B, C] of the heads on these features by tap, with these (noisy) weights by name."""
        return [self._head(i, features[tap], weights) for i, tap in enumerate(self.taps)]

    def finish(self, net: Network) -> None:
        """Take the heads off."""
        self._heads, self.taps = {}, ()

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """The heads' weights and biases."""
        return dict(self._heads)

    def analog_weights(self) -> dict[str, Tensor]:
        """The heads' weights: crossbars like the network's own."""
        return {name: value for name, value in self._heads.items() if name.endswith("weight")}

    def _add_head(self, seed: int, index: int, width: int, classes: int, like: Tensor) -> None:
        shapes = {"hidden": (self.config.hidden, width), "out": (classes, self.config.hidden)}
        for layer, shape in shapes.items():
            name = f"nft_irs.head{index}.{layer}"
            # He initialisation by fan-out, as the paper's heads have it.
            weight = torch.empty(shape).normal_(0, math.sqrt(2 / shape[0]), generator=generator(seed, name))
            self._heads[f"{name}.weight"] = torch.nn.Parameter(weight.to(like))
            self._heads[f"{name}.bias"] = torch.nn.Parameter(like.new_zeros(shape[0]))

    def _head(self, index: int, tap: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        name = f"nft_irs.head{index}"
        x = torch.nn.functional.linear(
            self._pool(tap), weights[f"{name}.hidden.weight"], self._heads[f"{name}.hidden.bias"]
        )
        return torch.nn.functional.linear(x.relu(), weights[f"{name}.out.weight"], self._heads[f"{name}.out.bias"])

    def _pool(self, tap: Tensor) -> Tensor:
        if tap.dim() == 3:
            return tap.mean(1)
        if tap.dim() == 4:
            side = max(1, math.isqrt(self.config.features // tap.shape[1]))
            size = (min(side, tap.shape[2]), min(side, tap.shape[3]))
            tap = torch.nn.functional.adaptive_avg_pool2d(tap, size)
        return tap.flatten(1)
