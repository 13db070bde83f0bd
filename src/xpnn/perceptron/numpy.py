"""One perceptron epoch on NumPy alone: the reference's blocks with as few Python calls as can be.

The Gram matrices of many blocks come from one call. Where mistakes are rare no Gram matrix is made:
the rows after a mistake are scored again. Penalties and averages go to the reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron import reference
from xpnn.perceptron.reference import Data, Rule, State

BLOCK = 32
CHUNK = 2048
RARE = 0.02  # mistakes a row, below which scoring again is cheaper than a Gram matrix


def epoch(state: State, data: Data, order: Array, rule: Rule, xp: Namespace) -> tuple[State, Array]:
    """`perceptron_reference.epoch` for NumPy arrays and CSR matrices."""
    plain = rule.alpha == 0.0 and rule.batch_size == 1
    if not plain or rule.average or rule.zero_is_positive:
        return reference.epoch(state, data, order, rule, xp)
    k, d = state.coef.shape
    real = state.coef.dtype
    # The intercept is the weight of one more feature, whose square is the factor of its steps.
    constant = real.type(rule.bias**0.5)
    w = np.empty((d + 1, k), real)
    w[:d] = state.coef.T * real.type(state.scale)
    w[d] = state.intercept / constant if rule.fit_intercept else 0.0
    shift = 0.0 if rule.fit_intercept else state.intercept
    sums, rare, n = np.zeros((3, k)), False, int(order.shape[0])
    for first in range(0, n, CHUNK):
        rows = order[first : first + CHUNK]
        positive = data.y[rows][:, None] == data.labels
        sign = np.where(positive, real.type(1), real.type(-1))
        of_class = np.where(positive, data.class_weight[1], data.class_weight[0])
        size = (rule.eta * of_class * data.weight[rows][:, None]).astype(real)
        x = np.empty((len(rows), d + 1), real)
        if rule.sparse:
            source = data.x[rows].toarray()
        elif int(rows[-1]) - int(rows[0]) == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
            source = data.x[rows[0] : rows[0] + len(rows)]  # in the order given: no copy
        else:
            source = np.take(data.x, rows, axis=0)
        if k == 1:  # a margin instead of a score: no sign to multiply by later
            np.multiply(source, sign, out=x[:, :d])
            np.multiply(sign[:, 0], constant, out=x[:, d])
        else:
            x[:, :d], x[:, d] = source, constant
        margin = np.empty((len(rows), k), real)
        if k == 1 and rare and not np.any(shift):
            _again(x, w, size, margin)
        else:
            _blocks(x, w, None if k == 1 else sign, size, sign * shift, margin)
        missed = margin <= 0
        sums[0] -= np.where(missed, margin, 0.0).sum(axis=0, dtype=np.float64)
        sums[2] += missed.sum(axis=0)
        rare = bool(missed.mean() < RARE)
    sums[1] = sums[0]
    coef = np.ascontiguousarray(w[:d].T)
    intercept = w[d] * constant if rule.fit_intercept else state.intercept.copy()
    end = state._replace(coef=coef, intercept=intercept, scale=1.0, t=state.t + n)
    return end, sums


def _blocks(x: Array, w: Array, sign: Array | None, size: Array, shift: Any, margin: Array) -> None:
    """Learn the rows of `x` in turn; the margin that each met goes to `margin`.

    Parameters
    ----------
    x : array of shape (n, d + 1)
        Rows; times their sign if `sign` is None.
    w : array of shape (d + 1, K)
        Changed.
    sign : array of shape (n, K), or None
    size : array of shape (n, K)
        Size of the step if the sample is a mistake.
    shift : array of shape (n, K) or 0
        A constant part of the margins.
    margin : array of shape (n, K)
        Written.
    """
    n, k = margin.shape
    step = size if sign is None else size * sign
    size_of_block = min(BLOCK, n)
    whole = n - n % size_of_block
    if whole < n:
        _blocks(x[:whole], w, _head(sign, whole), size[:whole], shift[:whole], margin[:whole])
        x, step, shift, margin = x[whole:], step[whole:], shift[whole:], margin[whole:]
        sign = None if sign is None else sign[whole:]
        size_of_block, n = n - whole, n - whole
    shape = (n // size_of_block, size_of_block)
    x = x.reshape(*shape, -1)
    # Not x @ x.T: of one array NumPy makes a symmetric product, slower for matrices this small.
    gram = x @ np.ascontiguousarray(x.transpose(0, 2, 1))
    gram *= np.tri(size_of_block, k=-1, dtype=x.dtype)
    inner = (size_of_block,) if k == 1 else (size_of_block, k)  # vectors are multiplied faster
    w = w[:, 0] if k == 1 else w
    blocks = [a.reshape(shape[0], *inner) for a in (margin, step, shift)]
    signs = [None] * shape[0] if sign is None else sign.reshape(shape[0], *inner)
    c, wrong = np.empty(inner, x.dtype), np.empty(inner, bool)
    first, nothing, shifted = np.empty_like(c), bytes(c.size), bool(np.any(shift))
    dot, add, multiply, less_equal = np.dot, np.add, np.multiply, np.less_equal
    for rows, pull, met, steps, extra, signs_ in zip(x, gram, *blocks, signs, strict=True):
        dot(rows, w, out=first)
        multiply(first, signs_, out=met) if signs_ is not None else np.copyto(met, first)
        if shifted:
            add(met, extra, out=met)
        less_equal(met, 0, out=wrong)
        now = wrong.tobytes()
        if now == nothing:
            continue
        last = b""
        while now != last:
            multiply(wrong, steps, out=c)
            dot(pull, c, out=met)
            add(met, first, out=met)
            if signs_ is not None:
                multiply(met, signs_, out=met)
            if shifted:
                add(met, extra, out=met)
            less_equal(met, 0, out=wrong)
            last, now = now, wrong.tobytes()
        w += dot(rows.T, c)


def _head(a: Array | None, n: int) -> Array | None:
    return None if a is None else a[:n]


def _again(x: Array, w: Array, size: Array, margin: Array) -> None:
    """Score 256 rows; learn the first mistake and score those after it again. One problem."""
    weights, margins, n = w[:, 0], margin[:, 0], x.shape[0]
    for first in range(0, n, 256):
        last = min(n, first + 256)
        i = first
        while i < last:
            met = margins[i:last]
            np.dot(x[i:last], weights, out=met)
            step = (met <= 0).tobytes().find(1)
            if step < 0:
                break
            i += step + 1
            weights += size[i - 1, 0] * x[i - 1]
