"""Matrix products of all members in one call of cuBLAS, each operand as it lies."""

from typing import Any

import cupy
import numpy as np
from cupy.cuda import cublas, device

from xpnn.arrays.typing import Array

_KEPT, _TURNED = cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T
_NUMBERS = {name: np.asarray([1, 0], dtype=name) for name in ("float32", "float64")}


def product(a: Array, b: Array, out: Array) -> None:
    """Write a product, or one for each member, into `out`; operands may be transposed views.

    Parameters
    ----------
    a, b : arrays of shapes (..., rows, k), (..., k, columns)
        Of two dimensions, an operand is that of all members.
    out : array of shape (..., rows, columns)
        C-contiguous.
    """
    if out.ndim == 2:
        cupy.dot(a, b, out)
        return
    members, rows, columns = out.shape
    multiply = getattr(cublas, f"{out.dtype.char.replace('f', 's')}gemmStridedBatched")
    one = _NUMBERS[out.dtype.name].ctypes.data
    zero = one + out.itemsize
    # to cuBLAS, which counts columns first, each array is its own transpose: out' = b' a'
    (b, op_b, *of_b), (a, op_a, *of_a) = _as_it_lies(b), _as_it_lies(a)
    multiply(
        *(device.get_cublas_handle(), op_b, op_a, columns, rows, a.shape[-1], one),
        *(b.data.ptr, *of_b, a.data.ptr, *of_a, zero),
        *(out.data.ptr, columns, rows * columns, members),
    )


def _as_it_lies(m: Array) -> tuple[Any, ...]:
    """A matrix, whether it is turned, and its elements between rows and between members.

    One that is neither itself nor its transpose in memory is copied.
    """
    (rows, columns), item = m.shape[-2:], m.itemsize
    down, across = m.strides[-2:]
    by_member = m.strides[0] // item if m.ndim == 3 else 0
    if across == item and (rows == 1 or down >= columns * item):
        return m, _KEPT, max(down // item, columns), by_member
    if down == item and (columns == 1 or across >= rows * item):
        return m, _TURNED, max(across // item, rows), by_member
    return _as_it_lies(cupy.ascontiguousarray(m))
