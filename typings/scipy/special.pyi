"""The special functions that harden uses."""

import numpy as np

def log_ndtr(x: np.ndarray) -> np.ndarray: ...
