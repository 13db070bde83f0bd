"""Central differences in float64 NumPy: the oracle of every gradient."""

from collections.abc import Callable

import numpy as np


def central_differences(
    function: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-5
) -> np.ndarray:
    """Return the gradient of a scalar function at `x`, whatever its shape."""
    x = np.array(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for i in np.ndindex(*x.shape):
        kept = x[i]
        x[i] = kept + step
        above = float(function(x))
        x[i] = kept - step
        below = float(function(x))
        x[i] = kept
        gradient[i] = (above - below) / (2.0 * step)
    return gradient
