"""The minimiser that harden uses."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

class _Minimum(Protocol):
    x: np.ndarray
    fun: float

def minimize(fun: Callable[[np.ndarray], float], x0: np.ndarray, *, method: str) -> _Minimum: ...
