"""Scores that are computed where the arrays are; one number comes back."""

from xpnn._typing import Array, Namespace


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

    An output whose target is constant counts 1 if it is met exactly and 0 if not, as in
    scikit-learn.

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
    w = weight[:, None]
    mean = xp.sum(w * target, axis=0) / xp.sum(weight)
    residual = xp.sum(w * (target - predicted) ** 2, axis=0)
    spread = xp.sum(w * (target - mean) ** 2, axis=0)
    constant = spread == 0
    ratio = residual / xp.where(constant, xp.ones_like(spread), spread)
    missed = xp.astype(residual > 0, ratio.dtype)
    return xp.mean(1.0 - xp.where(constant, missed, ratio))
