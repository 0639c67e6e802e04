"""The canary: proof that noise on every analog tensor reaches ONNX Runtime.

Noise that never arrives looks like perfect robustness, and some ways of replacing weights are ignored without a word
as soon as an optimiser has rewritten the tensor. Before any trial one strongly perturbed chip runs in ONNX Runtime and
in the torch module, with the same weights. If the outputs differ, the tensors are bisected and the guilty ones named.
Then each tensor is moved alone in ONNX Runtime; one that moves no output is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from harden.errors import CanaryError
from harden.graph.analog import AnalogWeight
from harden.graph.file import Model
from harden.graph.inspection import exact_products
from harden.graph.products import Exact
from harden.runtime.copy import MovableSession, RuntimeCopy
from harden.runtime.parity import FLOOR, difference, run_torch
from harden.runtime.rounding import Rounding
from harden.runtime.sessions import Session
from harden.store import scratch
from harden.streams import generator

STRENGTH = 0.3  # standard deviation of the noise over the tensor's root mean square
_SILENT_TENSOR = 0.1  # the same for a tensor that is all zeros
_NAMED = 5
_CLEAR = 10  # noise that moves outputs by so many times the floor is told from it


class Replaceable(Protocol):
    """What the canary needs of a runtime copy."""

    @property
    def uses(self) -> Mapping[str, AnalogWeight]:
        """The analog uses by key."""
        ...

    @property
    def rounding(self) -> Rounding:
        """How coarsely the model rounds on its way."""
        ...

    def session(self, values: Mapping[str, Any] | None = None, *, threads: int = 1) -> Session:
        """A session with these weights replaced."""
        ...

    def movable(self) -> MovableSession:
        """A session that takes other weights with every run."""
        ...


@dataclass(frozen=True)
class Canary:
    """What the canary found.

    Attributes:
        tensors: How many analog tensors were perturbed together.
        inert: Keys of tensors whose noise alone changes no output on the inputs given, in either runtime: a dead
            channel, a gain of zero behind them, an expert that is not chosen. It is harmless, and worth a warning.
        max_abs_error: The largest difference between the two runtimes on the perturbed chip.
        exact: Products with a stored operand that is on no crossbar, and why.
    """

    tensors: int
    inert: tuple[str, ...]
    max_abs_error: float
    exact: tuple[Exact, ...] = ()


def canary(model: Model, inputs: Sequence[np.ndarray], *, digital: tuple[str, ...] = (), seed: int = 0) -> Canary:
    """Check a model: its runtime copy computes what the file computes, and a perturbed chip what torch computes.

    Args:
        model: The model.
        inputs: One small batch of real inputs.
        digital: Globs of tensors and nodes that are not on a crossbar.
        seed: Root of the stream the noise is drawn from.

    Returns:
        What was found.

    Raises:
        CanaryError: The noise on some tensors does not arrive; they are named.
        VerificationError: The copy's clean outputs are not the file's.
    """
    with scratch() as folder:
        copy = RuntimeCopy.build(model, folder, digital)
        copy.check(*inputs)
        checked = check_noise(copy, model.module(), inputs, seed=seed)
        return replace(checked, exact=tuple(exact_products(model, digital)))


def check_noise(copy: Replaceable, module: torch.nn.Module, inputs: Sequence[np.ndarray], *, seed: int = 0) -> Canary:
    """Check that ONNX Runtime computes a strongly perturbed chip as torch does.

    Each analog tensor gets Gaussian noise of 0.3 times its root mean square, all of them at once.

    Args:
        copy: The runtime copy whose sessions the trials will use.
        module: The same model as a torch module that takes ``weights`` by analog key.
        inputs: One small batch of real inputs.
        seed: Root of the stream the noise is drawn from.

    Returns:
        What was found.

    Raises:
        CanaryError: The noise on some tensors does not arrive; they are named.
    """
    weights = {key: use.tensor.detach() for key, use in copy.uses.items()}
    noisy = {key: _perturbed(weight, seed, key) for key, weight in weights.items()}
    clean, chip = (run_torch(module, tuple(inputs), values) for values in (weights, noisy))
    moved = max((difference(a, b).max_abs_error for a, b in zip(clean, chip, strict=True)), default=0.0)
    allowed = copy.rounding.allowances(partial(run_torch, module), tuple(inputs), noisy, chip)
    # A tolerance as large as what the noise moves would let a chip pass whose noise never arrived.
    floors = [max(FLOOR if moved > _CLEAR * FLOOR else 0.0, min(extra, moved / _CLEAR)) for extra in allowed]

    def gap(keys: Iterable[str]) -> tuple[bool, float]:
        # Only the suspects are noisy; all tensors are replaced, because that is how the trials run.
        chip = {**weights, **{key: noisy[key] for key in keys}}
        pairs = list(zip(run_torch(module, tuple(inputs), chip), copy.session(chip).run(*inputs), strict=True))
        gaps = [difference(want, got, floor) for (want, got), floor in zip(pairs, floors, strict=True)]
        return all(f.passed for f in gaps), max((f.max_abs_error for f in gaps), default=0.0)

    passed, error = gap(noisy)
    if not passed:
        raise _guilty(list(noisy), lambda keys: gap(keys)[0], error)
    return Canary(len(noisy), _inert(copy, module, tuple(inputs), weights, noisy), error)


def _perturbed(weight: torch.Tensor, seed: int, key: str) -> torch.Tensor:
    scale = float(weight.float().square().mean().sqrt()) * STRENGTH or _SILENT_TENSOR
    noise = torch.empty(weight.shape, dtype=torch.float32).normal_(0, scale, generator=generator(seed, "canary", key))
    return weight + noise.to(weight.dtype)


def _guilty(keys: list[str], agrees: Callable[[Iterable[str]], bool], error: float) -> CanaryError:
    if not agrees(()):
        return CanaryError(
            f"ONNX Runtime and the torch module disagree with no noise at all (a noisy chip differs by {error:.3g})",
            fix="Run harden inspect on the model: its parity section shows the difference",
        )
    guilty = _bisect(keys, agrees)
    names = ", ".join(guilty[:_NAMED]) + (f" and {len(guilty) - _NAMED} more" if len(guilty) > _NAMED else "")
    return CanaryError(
        f"noise does not reach ONNX Runtime as it reaches torch (outputs differ by {error:.3g})",
        where=names or "several tensors together",
        fix="No figure from this model could be trusted. Exclude these with --digital, and please report the model",
    )


def _bisect(keys: list[str], passes: Callable[[Iterable[str]], bool]) -> list[str]:
    """The single tensors that do not pass; groups that pass are not taken apart."""
    if not keys or passes(keys):
        return []
    if len(keys) == 1:
        return keys
    half = len(keys) // 2
    return _bisect(keys[:half], passes) + _bisect(keys[half:], passes)


def _inert(
    copy: Replaceable,
    module: torch.nn.Module,
    inputs: tuple[np.ndarray, ...],
    weights: Mapping[str, torch.Tensor],
    noisy: Mapping[str, torch.Tensor],
) -> tuple[str, ...]:
    """Tensors whose noise alone moves no output of ONNX Runtime on these inputs, nor of torch.

    Raises:
        CanaryError: One moves outputs in torch alone.
    """
    session = copy.movable()
    arrays = {key: value.numpy() for key, value in noisy.items()}

    def unmoved(keys: Iterable[str], batch: Sequence[np.ndarray]) -> list[str]:
        clean = session.run(*batch)
        return [key for key in keys if _equal(clean, session.run(*batch, values={key: arrays[key]}))]

    clean = session.run(*inputs)
    still = list(noisy)
    if all(_rows(array) == _rows(inputs[0]) for array in (*inputs, *clean)) and _is_open(session, inputs):
        still = unmoved(still, [array[:1] for array in inputs])  # most move the outputs of the first example already
    if still and not _equal(clean, session.run(*inputs, values={key: arrays[key] for key in still})):
        still = unmoved(still, inputs)
    expected = run_torch(module, inputs, weights) if still else []

    def still_in_torch(keys: Iterable[str]) -> bool:
        chip = run_torch(module, inputs, {**weights, **{key: noisy[key] for key in keys}})
        return all(difference(a, b, 0.0).passed for a, b in zip(expected, chip, strict=True))

    moving = [] if not still or still_in_torch(still) else [key for key in still if not still_in_torch([key])]
    if moving:
        raise CanaryError(
            "noise on a tensor alone moves an output in torch and none in ONNX Runtime",
            where=", ".join(moving[:_NAMED]),
            fix="No figure from it could be trusted. Exclude it with --digital, and please report the model",
        )
    return tuple(still)


def _rows(array: np.ndarray) -> int:
    return len(array) if array.ndim else 0


def _is_open(session: MovableSession, inputs: Sequence[np.ndarray]) -> bool:
    """Whether one example can be run alone: every input has its axes, and the first one is open."""
    shapes = [spec.shape for spec in session.session.inputs]
    return all(len(s) == x.ndim > 0 and not isinstance(s[0], int) for s, x in zip(shapes, inputs, strict=True))


def _equal(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind in "fc") for x, y in zip(a, b, strict=True))
