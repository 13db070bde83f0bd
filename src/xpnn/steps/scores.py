"""What is looked at after an epoch, by way of the array API; on CuPy in a launch each."""

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import is_cupy_namespace

from xpnn.arrays.typing import Array, DType, Namespace
from xpnn.parts import metrics

Codes = Callable[[Array, Namespace], Array]


def _kernels(xp: Namespace) -> Any:
    """Those of CuPy's arrays; None for others."""
    if not is_cupy_namespace(xp):
        return None
    from xpnn.steps.cuda import scores

    return scores


def loss_value(
    loss: Any, output: Array, target: Array, weight: Array | None, xp: Namespace
) -> Array:
    """The loss of raw outputs, 0-d; of several members, the mean."""
    kernels = _kernels(xp)
    found = None if kernels is None else kernels.loss_value(loss, output, target, weight)
    return loss(output, target, weight, xp)[0] if found is None else found


def first_largest(output: Array, integer: DType, xp: Namespace) -> Array:
    """The column of each row's largest entry, see `xpnn.parts.metrics.first_largest`."""
    kernels = None if isinstance(output, np.ndarray) else _kernels(xp)
    found = None if kernels is None else kernels.first_largest(output, integer)
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
    kernels, about = _kernels(xp), (labels.kind, len(labels.classes))
    found = None if kernels is None else kernels.accuracy(output, truth, weight, *about)
    return metrics.accuracy(codes(output, xp), truth, weight, xp) if found is None else found


def r2(output: Array, target: Array, weight: Array, xp: Namespace) -> Array:
    """The coefficient of determination, the mean over outputs; 0-d."""
    kernels = _kernels(xp)
    found = None if kernels is None else kernels.r2(output, target, weight)
    return metrics.r2(output, target, weight, xp) if found is None else found


def together(first: Array, second: Array, xp: Namespace) -> Array:
    """Two 0-d arrays as one of shape (2,), in the second's dtype: one copy to the host."""
    if first.dtype != second.dtype:
        first = xp.astype(first, second.dtype)
    kernels = _kernels(xp)
    if kernels is None or second.dtype not in (xp.float32, xp.float64):
        return xp.stack([first, second])
    return kernels.together(first, second)


def loss_and_finite(total: Array, n: int, theta: Array, xp: Namespace) -> Array:
    """The mean loss of an epoch's `n` rows, and 1 if all parameters are finite; shape (2,)."""
    kernels = _kernels(xp)
    if kernels is not None and theta.dtype == total.dtype and theta.size:
        return kernels.loss_and_finite(total, n, theta)
    finite = xp.astype(xp.all(xp.isfinite(theta)), total.dtype)
    return xp.stack([total / n, finite])
