"""The minimisers and the root finder that harden uses."""

from collections.abc import Callable, Mapping
from typing import Protocol, overload

import numpy as np

class _Minimum(Protocol):
    x: np.ndarray
    fun: float

class _ScalarMinimum(Protocol):
    x: float
    fun: float

@overload
def minimize(fun: Callable[[np.ndarray], float], x0: np.ndarray, *, method: str) -> _Minimum: ...
@overload
def minimize(
    fun: Callable[[np.ndarray], tuple[float, np.ndarray]], x0: np.ndarray, *, jac: bool, method: str
) -> _Minimum: ...
def minimize_scalar(
    fun: Callable[[float], float],
    *,
    bounds: tuple[float, float],
    method: str,
    options: Mapping[str, float] = ...,
) -> _ScalarMinimum: ...
def brentq(f: Callable[[float], float], a: float, b: float) -> float: ...
def linear_sum_assignment(cost_matrix: np.ndarray, maximize: bool = ...) -> tuple[np.ndarray, np.ndarray]: ...
