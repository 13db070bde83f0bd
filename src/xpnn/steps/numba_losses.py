"""Losses that numba compiles: the sum over some rows, and the gradient in place of the outputs.

The rows of the targets are looked up where they lie, in the whole data.
"""

import numpy as np

from xpnn.steps.numba_loops import exp_all, inner, jit

SOFTMAX, BINARY, HALF_SQUARED = range(3)
CODES = {
    "softmax_cross_entropy": SOFTMAX,
    "binary_cross_entropy": BINARY,
    "half_squared_error": HALF_SQUARED,
}


@jit
def softmax_cross_entropy(z, b, y, rows, weight, over, db):  # type: ignore[no-untyped-def]
    """Sum of weighted losses of class numbers; the gradient is over `over`, as the mean is.

    Column sums of the gradient go into `db` if it is not empty.
    """
    n, c = z.shape
    zero, one, weighted, biased = z.dtype.type(0), z.dtype.type(1), weight.shape[0], b.shape[0]
    total = 0.0
    db[:] = zero
    for i in range(n):
        if biased:
            for j in range(c):
                z[i, j] += b[j]
        top = z[i, 0]
        for j in range(1, c):
            top = z[i, j] if z[i, j] > top else top
        for j in range(c):
            z[i, j] -= top
        total -= (weight[rows[i]] if weighted else one) * z[i, y[rows[i]]]
    exp_all(z.reshape(n * c))
    for i in range(n):
        norm, w = zero, weight[rows[i]] if weighted else one
        for j in range(c):
            norm += z[i, j]
        total += w * np.log(norm)
        share = w / over
        factor = share / norm
        for j in range(c):
            z[i, j] *= factor
        z[i, y[rows[i]]] -= share
    if db.shape[0]:
        for i in range(n):
            for j in range(c):
                db[j] += z[i, j]
    return total


@inner
def elementwise_loss(code, z, b, y, rows, weight, over, db):  # type: ignore[no-untyped-def]
    """Binary cross-entropy of logits, or half the squared error; like `softmax_cross_entropy`."""
    n, c = z.shape
    zero, one, half = z.dtype.type(0), z.dtype.type(1), z.dtype.type(0.5)
    weighted, biased, summed = weight.shape[0], b.shape[0], db.shape[0]
    total = 0.0
    db[:] = zero
    for i in range(n):
        found, w = 0.0, weight[rows[i]] if weighted else one
        share = w / over
        for j in range(c):
            o = z[i, j] + b[j] if biased else z[i, j]
            t = z.dtype.type(y[rows[i], j])
            if code == BINARY:
                e = np.exp(-np.abs(o))
                found += max(o, zero) - o * t + np.log1p(e)
                d = (one if o >= zero else e) / (one + e) - t
            else:
                d = o - t
                found += half * d * d
            z[i, j] = d * share
            if summed:
                db[j] += z[i, j]
        total += w * found
    return total


@inner
def loss_of_rows(code, z, b, y, rows, weight, over, db):  # type: ignore[no-untyped-def]
    """The loss of a code: class numbers are a vector, other targets a matrix."""
    if y.ndim == 1:
        return softmax_cross_entropy(z, b, y, rows, weight, over, db)
    return elementwise_loss(code, z, b, y, rows, weight, over, db)
