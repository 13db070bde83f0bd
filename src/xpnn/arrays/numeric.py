"""Elementary functions that the array API lacks or leaves unsafe: stable, without a host sync.

Scalars go only where every library takes them as a kernel argument. `clip` and `sign` of
array-api-compat index by a mask on CuPy, and `maximum(x, 0.0)` and `where(c, x, 0.0)` copy the
scalar to the device on torch: each of these waits for the GPU.
"""

import math
from collections.abc import Sequence

import numpy as np
from array_api_compat import device, is_cupy_namespace

from xpnn.arrays.typing import Array, DType, Namespace

FEW = 4096  # numbers whose products BLAS adds up in the thread that asks
_MOST_AT_ONCE = 8
_LARGEST_EXPONENT = {16: 11.0, 32: 88.0, 64: 709.0}


def largest_exponent(dtype: DType, xp: Namespace) -> float:
    """Return an x such that exp(x) is finite in `dtype`."""
    return _LARGEST_EXPONENT[int(xp.finfo(dtype).bits)]


def has_nan(x: np.ndarray) -> bool:
    """Return whether an array of NumPy has NaN: as its squares' sum has, and its largest entry."""
    return math.isnan(np.vdot(x, x) if x.size <= FEW else np.maximum.reduce(x, axis=None))


def zero_beside(x: Array, xp: Namespace) -> Array:
    """Return a new 0-d zero of the dtype and on the device of `x`."""
    if isinstance(x, np.ndarray):
        return np.zeros((), x.dtype)  # a wrapped `zeros` takes five times as long
    return xp.zeros((), dtype=x.dtype, device=device(x))


def at_least(x: Array, low: float, xp: Namespace) -> Array:
    """Return max(x, low) elementwise; NaN stays NaN."""
    clamp = getattr(x, "clamp", None)  # torch alone has it
    return xp.maximum(x, low) if clamp is None else clamp(min=low)


def at_most(x: Array, high: float, xp: Namespace) -> Array:
    """Return min(x, high) elementwise; NaN stays NaN."""
    clamp = getattr(x, "clamp", None)
    return xp.minimum(x, high) if clamp is None else clamp(max=high)


def exp(x: Array, xp: Namespace) -> Array:
    """Return exp(x), held at the largest finite power instead of overflowing."""
    return xp.exp(at_most(x, largest_exponent(x.dtype, xp), xp))


def sigmoid(x: Array, xp: Namespace) -> Array:
    """Return 1 / (1 + exp(-x)), accurate relative to its value also where it is tiny."""
    return 1.0 / (1.0 + exp(-x, xp))


def sign(x: Array, xp: Namespace) -> Array:
    """Return -1, 0 or 1; 0 for NaN."""
    return xp.astype(x > 0, x.dtype) - xp.astype(x < 0, x.dtype)


def log_mean_exp(x: Array, xp: Namespace) -> Array:
    """Return log(mean(exp(x))) over the first axis, exact where every exp(x) would underflow."""
    top = xp.max(x, axis=0, keepdims=True)
    return top[0, ...] + xp.log(xp.mean(xp.exp(x - top), axis=0))


def positive_sum(weight: Array, xp: Namespace) -> Array:
    """Return the sum of weights as a 0-d array, 1 where all are zero: a safe denominator.

    Of each member's own weights, shape (members, n), the sums are of shape (members, 1).
    """
    total = xp.sum(weight) if weight.ndim < 2 else xp.sum(weight, axis=-1, keepdims=True)
    return total + xp.astype(total == 0, total.dtype)


def concat(parts: Sequence[Array], xp: Namespace, axis: int = 0) -> Array:
    """Arrays end to end, without a transfer.

    CuPy sends the addresses of more than eight arrays to the device: these are joined by eights.
    """
    if is_cupy_namespace(xp):
        while len(parts) > _MOST_AT_ONCE:
            groups = range(0, len(parts), _MOST_AT_ONCE)
            parts = [xp.concat(parts[i : i + _MOST_AT_ONCE], axis=axis) for i in groups]
    return xp.concat(parts, axis=axis)


def places(codes: np.ndarray) -> np.ndarray:
    """Whole numbers on the host as NumPy takes places: of 32 bits on computers of 32 bits.

    There `numpy.take` and `numpy.bincount` refuse those of 64.
    """
    return codes.astype(np.intp, copy=False)
