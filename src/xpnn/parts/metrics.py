"""Scores that are computed where the arrays are; one number comes back."""

import numpy as np
from array_api_compat import device

from xpnn.arrays.numeric import has_nan
from xpnn.arrays.typing import Array, DType, Namespace


def first_largest(x: Array, dtype: DType, xp: Namespace) -> Array:
    """The column of each row's largest entry, the first of equals; 0 for a row with NaN.

    Not `argmax`, which makes int64 also where a device has none.

    Parameters
    ----------
    x : floating array of shape (n, n_columns)
    dtype : integer dtype
    xp : namespace

    Returns
    -------
    array of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> first_largest(np.asarray([[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]]), np.int64, np)
    array([1, 0])
    """
    n_columns = x.shape[1]
    if isinstance(x, np.ndarray) and x.size and not has_nan(x):
        codes = x.argmax(axis=1)
        return codes if codes.dtype == dtype else codes.astype(dtype)
    columns = xp.arange(n_columns, dtype=dtype, device=device(x))
    smaller = ~(x >= xp.max(x, axis=1, keepdims=True))
    return xp.min(columns + n_columns * xp.astype(smaller, dtype), axis=1) % n_columns


def accuracy(predicted: Array, target: Array, weight: Array, xp: Namespace) -> Array:
    """Weighted fraction of rows that are right, in every label for two-dimensional input.

    Parameters
    ----------
    predicted, target : integer arrays of one shape, (n,) or (n, n_labels)
    weight : floating array of shape (n,)
        Also says in which dtype to compute.
    xp : namespace

    Returns
    -------
    0-d array

    Examples
    --------
    >>> import numpy as np
    >>> float(accuracy(np.asarray([1, 0]), np.asarray([1, 1]), np.ones(2), np))
    0.5
    """
    right = predicted == target
    if right.ndim == 2:
        right = xp.all(right, axis=1)
    return xp.sum(xp.astype(right, weight.dtype) * weight) / xp.sum(weight)


def r2(predicted: Array, target: Array, weight: Array, xp: Namespace) -> Array:
    """Coefficient of determination, the mean over outputs.

    An output whose target is constant counts 1 if it is met exactly and 0 if not; of a single row
    it is NaN. Both as in scikit-learn.

    Parameters
    ----------
    predicted, target : floating arrays of shape (n, n_outputs)
    weight : floating array of shape (n,)
    xp : namespace

    Returns
    -------
    0-d array

    Examples
    --------
    >>> import numpy as np
    >>> y = np.asarray([[1.0], [2.0], [3.0]])
    >>> float(r2(y, y, np.ones(3), np))
    1.0
    """
    if target.shape[0] < 2:
        return xp.sum(weight) * np.nan
    w = weight[:, None]
    residual = xp.sum(w * (target - predicted) ** 2, axis=0)
    shifted = target - target[:1, :]  # a constant becomes exactly zero, its mean too
    mean = xp.sum(w * shifted, axis=0) / xp.sum(weight)
    spread = xp.sum(w * (shifted - mean) ** 2, axis=0)
    constant = spread == 0
    ratio = residual / xp.where(constant, xp.ones_like(spread), spread)
    missed = xp.astype(residual > 0, ratio.dtype)
    return xp.mean(1.0 - xp.where(constant, missed, ratio))
