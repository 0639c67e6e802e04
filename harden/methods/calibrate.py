"""Calibration with unlabelled data: clipping, rescaling and statistics, without gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from harden.graph.insertion import insert
from harden.methods.base import Numbers, Options, Transform, Transformed, listed
from harden.transforms import new_nodes
from harden.transforms.batch_norm import reestimate
from harden.transforms.clip import clip_channels
from harden.transforms.match_statistics import match_statistics
from harden.transforms.range_search import search_ranges
from harden.transforms.rescale import solve

Inputs = tuple[Tensor, ...]


class Config(Options):
    """What is tried."""

    clips: Numbers = Field(
        (1.5, 2.0, 2.5, 3.0),
        description="Standard deviations of each output channel to clip to; all are tried, and no clipping; ours",
    )
    search: bool = Field(True, description="Whether each channel's own bound, of least expected error, is tried; ours")
    chips: int = Field(4, ge=1, le=1000, description="Noisy draws that judge a candidate; ours")
    judged: int = Field(512, ge=1, description="Inputs that judge a candidate, at most; ours")
    noisy: bool = Field(True, description="Whether batch norms are re-estimated under noise; ours")


class Method(Transform):
    r"""Clip every channel, rescale, and correct the statistics, at the clip with the best noisy outputs.

    Equation: :math:`W_o \to \mathrm{clip}(W_o, \pm k\, s_o)` for each output channel; then rescaling; then batch
    norms (or, in graphs without, weights and biases) are given the statistics that the inputs have under noise. Of the
    k, and the search for a k of each channel's own, the one whose noisy outputs are nearest to the clean network's is
    taken. ``--allow-new-nodes`` permits a ``Mul`` per channel, as in ``rescale``.

    Use it where there are inputs but no labels or no time: it takes seconds and computes no gradients.

    Source: Joshi et al., Nat. Commun. 11, 2473 (2020), and Tsai et al., arXiv 2007.03230, for batch norms under noise;
    Oh et al., ACS Appl. Electron. Mater. (2026), for clipping after training; Nagel et al., arXiv 1906.04721. The
    combination is ours.

    Example:
        >>> import harden.methods
        >>> harden.methods.load("calibrate", {"clips": "2"}).config.clips
        (2.0,)
    """

    summary = "Clipping, rescaling and re-estimated statistics on unlabelled inputs: no gradients"
    cost = "a few F over the inputs"
    source = "Joshi et al. (2020); Tsai et al. (2020); Nagel et al. (2019); the combination is ours"
    needs_data = True
    Config: ClassVar[type[Options]] = Config

    def apply(
        self,
        model: Any,
        batches: Sequence[Inputs],
        profile: Any,
        *,
        at_s: float | None = None,
        digital: Sequence[str] = (),
        seed: int = 0,
        allow_new_nodes: bool = False,
    ) -> Transformed:
        """The model at the best clip."""
        original = model
        places = new_nodes.output_scales(model.module().eval(), batches[0], digital) if allow_new_nodes else []
        model = insert(model, places)
        clean = model.module().eval()
        judge = _Judge(clean, _first(batches, self.config.judged), profile, at_s, digital, seed, self.config.chips)
        tried = []
        best: tuple[float, Any, Mapping[str, Any]] | None = None
        for k in (None, *self.config.clips, *(["search"] if self.config.search else [])):
            candidate, record = self._candidate(model, clean, batches, profile, at_s, digital, seed, k)
            distance = judge.distance(candidate.module().eval())
            tried.append({"clip": k, "distance": distance})
            if best is None or distance < best[0]:
                best = distance, candidate, {"clip": k, **record}
        assert best is not None
        record = {**best[2], "tried": tried, "distance_before": judge.distance(clean)}
        if not allow_new_nodes:
            return Transformed(best[1], record)
        result, count = new_nodes.pruned(original, best[1], places)
        return Transformed(result, {**record, "new_nodes": count})

    def _candidate(
        self,
        model: Any,
        clean: Any,
        batches: Sequence[Inputs],
        profile: Any,
        at_s: float | None,
        digital: Sequence[str],
        seed: int,
        k: float | str | None,
    ) -> tuple[Any, Mapping[str, Any]]:
        def draw_from(net: Any) -> Any:
            severity = 1.0 if self.config.noisy else 0.0
            return lambda i: profile.perturb(
                net.analog_weights(digital), seed=seed, path=("calibrate", i), at_s=at_s, severity=severity
            )

        original = model
        if k is not None:
            if isinstance(k, str):
                clipped, _ = search_ranges(
                    clean, batches[0], profile, by="column", digital=digital, at_s=at_s, seed=seed
                )
            else:
                clipped = _clipped(clean, k, digital)
            model = model.with_weights(clipped)
            model = model.with_weights(reestimate(model.module(), batches))
        scales = solve(model.module().eval(), batches[0], digital)
        model = model.with_weights(scales.of(model.module()))
        # What a layer should give is scaled as the layer is.
        right = original.with_weights(scales.of(clean)).module().eval()
        net = model.module()
        model = model.with_weights(reestimate(net, batches, draw_from(net)))
        net = model.module().eval()
        corrected = match_statistics(net, right, batches, draw_from(net))
        return model.with_weights(corrected), scales.record


def _clipped(net: Any, k: float, digital: Sequence[str]) -> dict[str, Tensor]:
    parameters = dict(net.named_parameters())
    return {
        use.name: clip_channels(parameters[use.name].detach(), k, use.output_axis)
        for use in net.analog_weights(digital).values()
        if use.name in parameters and parameters[use.name].shape == use.tensor.shape
    }


def _first(batches: Sequence[Inputs], count: int) -> list[Inputs]:
    chosen: list[Inputs] = []
    for inputs in batches:
        if sum(len(x[0]) for x in chosen) >= count:
            break
        chosen.append(inputs)
    return chosen


class _Judge:
    """How far a network's noisy outputs are from the clean network's."""

    def __init__(
        self,
        clean: Any,
        batches: Sequence[Inputs],
        profile: Any,
        at_s: float | None,
        digital: Sequence[str],
        seed: int,
        chips: int,
    ) -> None:
        self._batches, self._profile, self._at_s = batches, profile, at_s
        self._digital, self._seed, self._chips = digital, seed, chips
        with torch.no_grad():
            self._right = [clean(*inputs) for inputs in batches]

    @torch.no_grad()
    def distance(self, net: Any) -> float:
        """KL divergence of class probabilities, or the relative squared error of other outputs; mean over chips."""
        weights = net.analog_weights(self._digital)
        total = 0.0
        for chip in range(self._chips):
            noisy = self._profile.perturb(weights, seed=self._seed, path=("judge", chip), at_s=self._at_s)
            for inputs, right in zip(self._batches, self._right, strict=True):
                total += _distance(right, net(*inputs, weights=noisy)) / (self._chips * len(self._batches))
        return total


def _distance(right: Any, outputs: Any) -> float:
    if isinstance(right, Tensor) and right.dim() == 2 and right.shape[1] > 1:
        p, q = right.log_softmax(1), outputs.log_softmax(1)
        return float(functional.kl_div(q, p, reduction="batchmean", log_target=True))
    errors = [
        float((b - a).square().mean() / (a - a.mean()).square().mean().clamp_min(1e-12))
        for a, b in zip(listed(right), listed(outputs), strict=True)
        if a.is_floating_point()
    ]
    return sum(errors) / max(len(errors), 1)
