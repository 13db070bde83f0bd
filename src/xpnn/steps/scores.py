"""What is looked at after an epoch, by way of the array API; on CuPy in a launch each."""

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import is_cupy_namespace

from xpnn.arrays.typing import Array, DType, Namespace
from xpnn.parts import metrics

Codes = Callable[[Array, Namespace], Array]


def loss_value(
    loss: Any, output: Array, target: Array, weight: Array | None, xp: Namespace
) -> Array:
    """The loss of raw outputs, 0-d; of several members, the mean."""
    found = None
    if is_cupy_namespace(xp):
        from xpnn.steps.cuda import scores

        found = scores.loss_value(loss, output, target, weight)
    return loss(output, target, weight, xp)[0] if found is None else found


def first_largest(output: Array, integer: DType, xp: Namespace) -> Array:
    """The column of each row's largest entry, see `xpnn.parts.metrics.first_largest`."""
    found = None
    if not isinstance(output, np.ndarray) and is_cupy_namespace(xp):
        from xpnn.steps.cuda import scores

        found = scores.first_largest(output, integer)
    return metrics.first_largest(output, integer, xp) if found is None else found


def accuracy(
    output: Array, truth: Array, weight: Array, labels: Any, codes: Codes, xp: Namespace
) -> Array:
    """The weighted fraction of rows that are right, in every label of several; 0-d.

    Parameters
    ----------
    output : array of shape (n, n_outputs)
        Raw.
    truth : integer array of shape (n,), or (n, n_labels)
        Class numbers.
    weight : array of shape (n,)
    labels : object with `kind`, "multiclass", "binary" or "multilabel", and `classes`
    codes : callable (output, xp) -> integer array
        Class numbers of outputs.
    """
    found = None
    if is_cupy_namespace(xp):
        from xpnn.steps.cuda import scores

        found = scores.accuracy(output, truth, weight, labels.kind, len(labels.classes))
    return metrics.accuracy(codes(output, xp), truth, weight, xp) if found is None else found


def r2(output: Array, target: Array, weight: Array, xp: Namespace) -> Array:
    """The coefficient of determination, the mean over outputs; 0-d."""
    found = None
    if is_cupy_namespace(xp):
        from xpnn.steps.cuda import scores

        found = scores.r2(output, target, weight)
    return metrics.r2(output, target, weight, xp) if found is None else found


def together(first: Array, second: Array, xp: Namespace) -> Array:
    """Two 0-d arrays as one of shape (2,), in the second's dtype: one copy to the host."""
    if first.dtype != second.dtype:
        first = xp.astype(first, second.dtype)
    if is_cupy_namespace(xp) and second.dtype in (xp.float32, xp.float64):
        from xpnn.steps.cuda import scores

        return scores.together(first, second)
    return xp.stack([first, second])


def loss_and_finite(total: Array, n: int, theta: Array, xp: Namespace) -> Array:
    """The mean loss of an epoch's `n` rows, and 1 if all parameters are finite; shape (2,)."""
    if is_cupy_namespace(xp) and theta.dtype == total.dtype and theta.size:
        from xpnn.steps.cuda import scores

        return scores.loss_and_finite(total, n, theta)
    finite = xp.astype(xp.all(xp.isfinite(theta)), total.dtype)
    return xp.stack([total / n, finite])
