"""Where a perceptron's epochs run and which code runs them: the bits are the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
from array_api_compat import is_cupy_namespace

from xpnn.arrays.backend import Backend, get_backend
from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron import batches
from xpnn.perceptron.reference import Rule, State
from xpnn.steps.compiled import library

Epoch = Callable[..., tuple[State, Array]]  # the signature of `reference.epoch`


def place(backend: Backend, rule: Rule) -> Backend:
    """Where the epochs of a fit run: on the host, but for batches and for CuPy's kernel.

    The rule takes one sample after the other and decides by each: a device would be told a few
    numbers at a time. So the samples come to the host once a fit, and the weights go back.
    """
    batched = rule.batch_size > 1
    return backend if batched or _has_kernel(backend.xp, rule) else get_backend("numpy")


def _has_kernel(xp: Namespace, rule: Rule) -> bool:
    return is_cupy_namespace(xp) and rule.alpha == 0.0 and not rule.sparse


def select_epoch(xp: Namespace, rule: Rule) -> Epoch:
    """The fastest `epoch` there is for a rule, where `place` has put its arrays."""
    if rule.batch_size > 1:
        return batches.epoch
    chosen: Epoch
    if _has_kernel(xp, rule):
        chosen = import_module("xpnn.perceptron.cupy").epoch
        return chosen
    kernel = "numpy" if library() is None else "compiled"
    chosen = import_module(f"xpnn.perceptron.{kernel}").epoch
    return chosen


def finite_and_sums(state: State, sums: Array, xp: Namespace) -> Array:
    """Whether all weights are finite (1 or 0) and an epoch's sums, in one array to look at."""
    if is_cupy_namespace(xp):
        found: Array | None = import_module("xpnn.perceptron.cupy").finite_and_sums(state, sums)
        if found is not None:
            return found
    finite = xp.all(xp.isfinite(state.coef)) & xp.all(xp.isfinite(state.intercept))
    flags = xp.reshape(xp.astype(finite, sums.dtype), (1,))
    return xp.concat([flags, xp.reshape(sums, (-1,))])


def permutation(n: int, seed: int) -> np.ndarray:
    """The reordering that scikit-learn's perceptron does before each epoch.

    A Fisher-Yates shuffle by a 32-bit xorshift generator that begins anew in each epoch, so the
    reordering is the same each time and the orders are its powers.

    Returns
    -------
    ndarray of int64, shape (n,)
        ``order[permutation]`` is the order of the next epoch.

    Examples
    --------
    >>> permutation(5, seed=7)
    array([3, 4, 1, 2, 0])
    """
    if library() is not None:
        quick: np.ndarray = import_module("xpnn.perceptron.compiled").permutation(n, seed)
        return quick
    order = list(range(n))
    word = seed or 1
    for i in range(n - 1):
        word ^= (word << 13) & 0xFFFFFFFF
        word ^= word >> 17
        word ^= (word << 5) & 0xFFFFFFFF
        j = i + (word & 0x7FFFFFFF) % (n - i)
        order[i], order[j] = order[j], order[i]
    return np.asarray(order, dtype=np.int64)
