"""The perceptron epoch for a namespace: compiled where it can be, else the reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

import numpy as np
from array_api_compat import is_cupy_namespace, is_numpy_namespace

from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron.reference import Data, Rule, State, dense_rows, initial_state

__all__ = [
    "Data",
    "Epoch",
    "Rule",
    "State",
    "dense_rows",
    "initial_state",
    "permutation",
    "select_epoch",
]

Epoch = Callable[[State, Data, Array, Rule, Namespace], tuple[State, Array]]


@cache
def select_epoch(xp: Namespace) -> Epoch:
    """The fastest `epoch` there is for the arrays of a namespace."""
    if is_numpy_namespace(xp):
        try:  # numba is optional
            kernels = import_module("xpnn.perceptron.numba")
        except ImportError:
            kernels = import_module("xpnn.perceptron.numpy")
    elif is_cupy_namespace(xp):
        kernels = import_module("xpnn.perceptron.cupy")
    else:
        kernels = import_module("xpnn.perceptron.reference")
    chosen: Epoch = kernels.epoch
    return chosen


def permutation(n: int, seed: int) -> np.ndarray:
    """The reordering that scikit-learn's perceptron does before each epoch.

    A Fisher-Yates shuffle by a 32-bit xorshift generator that begins anew in each epoch, so the
    reordering is the same each time and the orders are its powers.

    Parameters
    ----------
    n : int
    seed : int

    Returns
    -------
    ndarray of int64, shape (n,)
        ``order[permutation]`` is the order of the next epoch.

    Examples
    --------
    >>> permutation(5, seed=7)
    array([3, 4, 1, 2, 0])
    """
    order = list(range(n))
    word = seed or 1
    for i in range(n - 1):
        word ^= (word << 13) & 0xFFFFFFFF
        word ^= word >> 17
        word ^= (word << 5) & 0xFFFFFFFF
        j = i + (word & 0x7FFFFFFF) % (n - i)
        order[i], order[j] = order[j], order[i]
    return np.asarray(order, dtype=np.int64)
