"""Looks at the end of an epoch, each in one launch, on CuPy."""

from typing import Any

import cupy
import numpy as np

from xpnn.arrays.typing import Array
from xpnn.parts.losses import built_in
from xpnn.steps.cuda.kernels import THREADS, Rooms, blocks, kernel
from xpnn.steps.cupy import CupyOps, target_of

_RULES = {"multiclass": 0, "binary": 1, "multilabel": 2}
_INTEGERS = (np.dtype(np.int64), np.dtype(np.int32))


def loss_value(loss: Any, output: Array, target: Array, weight: Array | None) -> Array | None:
    """A loss of raw outputs, 0-d; None for one that has no kernel."""
    about = target_of(output, target, built_in(loss)) if output.size else None
    if about is None or (weight is not None and weight.dtype != output.dtype):
        return None
    weight = None if weight is None else cupy.ascontiguousarray(weight)
    output = cupy.ascontiguousarray(output)
    room = cupy.empty_like(output)
    return CupyOps(cupy).fused_loss(output, room, None, about, weight, loss, None)


def first_largest(output: Array, dtype: Any) -> Array | None:
    """The column of each row's largest entry; None for what the kernel does not take."""
    if not output.size or not _is_table(output) or np.dtype(dtype) not in _INTEGERS:
        return None
    output, (n, columns) = cupy.ascontiguousarray(output), output.shape
    found = cupy.empty(n, dtype=dtype)
    arguments = (output, found, n, columns, found.itemsize)
    kernel("scores", "largest", output.dtype)(blocks(n), (THREADS,), arguments)
    return found


def accuracy(output: Array, truth: Array, weight: Array, kind: str, classes: int) -> Array | None:
    """The weighted fraction of rows that are right, 0-d; None for what the kernel does not take."""
    shape = output.shape if kind == "multilabel" else output.shape[:1]
    if not output.size or truth.shape != shape or not _takes(output, weight):
        return None
    rule = 3 if kind == "binary" and classes == 1 else _RULES[kind]
    truth = truth if truth.dtype in _INTEGERS else truth.astype(np.int64)
    output, truth, weight = (cupy.ascontiguousarray(a) for a in (output, truth, weight))
    rooms, score, grid = Rooms(), cupy.empty((), dtype=output.dtype), blocks(output.shape[0])
    given = (output, truth, weight, score, rooms.partial(2 * grid[0], output.dtype))
    arguments = (*given, rooms.arrived(1), *output.shape, rule, truth.itemsize)
    kernel("scores", "accuracy", output.dtype)(grid, (THREADS,), arguments)
    return score


def r2(output: Array, target: Array, weight: Array) -> Array | None:
    """The coefficient of determination, 0-d; None for what the kernel does not take."""
    alike = target.shape == output.shape and target.dtype == output.dtype
    if not alike or output.shape[0] < 2 or not output.size or not _takes(output, weight):
        return None
    output, target, weight = (cupy.ascontiguousarray(a) for a in (output, target, weight))
    rooms, score, (n, outputs) = Rooms(), cupy.empty((), dtype=output.dtype), output.shape
    given = (output, target, weight, score, rooms.partial(outputs, output.dtype))
    arguments = (*given, rooms.arrived(1), n, outputs)
    kernel("scores", "r2", output.dtype)((outputs,), (THREADS,), arguments)
    return score


def together(first: Array, second: Array) -> Array:
    """Two numbers of one dtype as an array."""
    both = cupy.empty(2, dtype=first.dtype)
    kernel("scores", "pair", first.dtype)((1,), (32,), (first, second, both))
    return both


def loss_and_finite(total: Array, n: int, theta: Array) -> Array:
    """The mean loss of an epoch's `n` rows, and 1 if all parameters are finite."""
    rooms, both, grid = Rooms(), cupy.empty(2, dtype=theta.dtype), blocks(theta.size)
    arguments = (theta, total, both, rooms.partial(grid[0], np.uint32), rooms.arrived(1))
    kernel("scores", "look", theta.dtype)(grid, (THREADS,), (*arguments, theta.size, n))
    return both


def _takes(output: Array, weight: Array) -> bool:
    return _is_table(output) and weight.shape == output.shape[:1] and weight.dtype == output.dtype


def _is_table(output: Array) -> bool:
    return bool(output.ndim == 2 and output.dtype.name in ("float32", "float64"))
