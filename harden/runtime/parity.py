"""Do ONNX Runtime and the torch module compute the same?

|a - b| <= max(1e-4 max|b|, 1e-6) + 1e-3 |b|, element by element. The absolute part is needed because ONNX Runtime
approximates some functions, and its floor where all outputs are tiny: its Sigmoid is up to 1.6e-7 off, which at -16 is
half the value. A detector that sees nothing has outputs no larger than that. A file that rounds to a half or to
integers on its way has a larger floor (:mod:`harden.runtime.rounding`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from harden.graph.file import Model
from harden.graph.tensors import from_torch
from harden.runtime.rounding import Rounding
from harden.runtime.sessions import Session

ABSOLUTE = 1e-4  # of the largest |b|
RELATIVE = 1e-3  # of each |b|
FLOOR = 1e-6  # of the absolute part; decides where max|b| is below 1e-2


@dataclass(frozen=True)
class Parity:
    """How far two computations of the same outputs are apart.

    Attributes:
        max_abs_error: The largest |a - b|.
        max_rel_error: The largest |a - b| over max|b|, so that a near-zero output does not decide.
        passed: Every element is within max(1e-4 max|b|, 1e-6) + 1e-3 |b|.
        inputs: Shapes of the inputs both were given.
    """

    max_abs_error: float
    max_rel_error: float
    passed: bool
    inputs: tuple[tuple[int, ...], ...] = ()


def difference(expected: np.ndarray, got: np.ndarray, floor: float = FLOOR) -> Parity:
    """Compare two arrays by the rule of this module.

    Args:
        expected: b, the reference.
        got: a.
        floor: What the absolute part is at least.

    Returns:
        The verdict. Different shapes, or infinities and NaN at different places, never pass. Integers may differ by
        the floor, booleans and texts not at all.

    Example:
        >>> difference(np.array([1.0, 2.0]), np.array([1.0, 2.001])).passed
        True
        >>> difference(np.array([1.0, 2.0]), np.array([1.0, 2.1])).passed
        False
    """
    if expected.shape != got.shape:
        return Parity(float("inf"), float("inf"), False)
    if expected.dtype.kind not in "fc":
        error = float(np.max(expected != got, initial=0))
        if error and expected.dtype.kind in "iu":
            error = max(error, float(np.abs(expected.astype(np.float64) - got).max()))
        return Parity(error, error, error <= floor)
    b, a = expected.astype(np.float64), got.astype(np.float64)
    usual = np.isfinite(b) & np.isfinite(a)
    if not np.array_equal(b[~usual], a[~usual], equal_nan=True):
        return Parity(float("inf"), float("inf"), False)
    size, gap = np.abs(b[usual]), np.abs(a[usual] - b[usual])
    scale = float(size.max(initial=0))
    worst = float(gap.max(initial=0))
    passed = bool((gap <= max(ABSOLUTE * scale, floor) + RELATIVE * size).all())
    return Parity(worst, worst / scale if scale else worst, passed)


def parity(model: Model, inputs: tuple[np.ndarray, ...], *, threads: int = 1) -> Parity:
    """Run a model in ONNX Runtime and in torch on the same inputs.

    Args:
        model: The model; ONNX Runtime gets the bytes that would be saved.
        inputs: One array a true input of the graph.
        threads: Threads within an operator of ONNX Runtime.

    Returns:
        The worst output's errors, and whether all pass.
    """
    expected = Session(model.runnable, threads=threads).run(*inputs)
    module = model.module()
    weights = {key: weight.tensor.detach() for key, weight in module.analog_weights().items()}
    got = run_torch(module, inputs)
    allowed = Rounding.of(module.program).allowances(partial(run_torch, module), inputs, weights, got)
    outputs = [difference(b, a, max(FLOOR, c)) for b, a, c in zip(expected, got, allowed, strict=True)]
    return Parity(
        max((p.max_abs_error for p in outputs), default=0.0),
        max((p.max_rel_error for p in outputs), default=0.0),
        all(p.passed for p in outputs),
        tuple(tuple(x.shape) for x in inputs),
    )


def run_torch(
    module: torch.nn.Module, inputs: tuple[np.ndarray, ...], weights: Mapping[str, torch.Tensor] | None = None
) -> list[np.ndarray]:
    """A graph module's outputs as arrays, in evaluation mode and without gradients."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            result = module(*(torch.from_numpy(np.asarray(x, order="C")) for x in inputs), weights=weights)
    finally:
        module.train(training)
    return [from_torch(t) for t in (result if isinstance(result, tuple) else (result,))]
