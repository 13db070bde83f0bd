"""Loops that numba compiles: each passes once over its arrays, and a compiler can vectorise it.

Dropout draws its words where it uses them: no mask is kept. NaN and infinity go through as in the
reference, so a divergence is seen.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float32, uint32, uint64

IDENTITY, RELU, LEAKY_RELU, TANH, SIGMOID = range(5)
CODES = {
    "identity": IDENTITY,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "tanh": TANH,
    "sigmoid": SIGMOID,
}
ADAM, ADAMW, SGD, MOMENTUM, NESTEROV = range(5)
OPTIMIZERS = {"adam": ADAM, "adamw": ADAMW, "sgd": SGD, "momentum": MOMENTUM, "nesterov": NESTEROV}
KEEP_ALL = 65536
SLOPE = 0.01
_WORDS = 1024  # of one draw: they stay in the first cache


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """Compile lazily, without the GIL; keep the code on disk where a directory can be written."""
    options |= {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no directory to write its cache in
        return numba.njit(**options)(function)


def inner(function: Callable[..., Any]) -> Any:
    """Compile what only compiled code calls: without a way in from Python, which takes long."""
    return jit(function, no_cpython_wrapper=True)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile into the caller."""
    return numba.njit(inline="always")(function)


@inlined
def _mix(a, b, rotation):  # type: ignore[no-untyped-def]
    a = uint32(a + b)
    return a, uint32(uint32(b << uint32(rotation)) | uint32(b >> uint32(32 - rotation))) ^ a


@inlined
def _four(a, b, r0, r1, r2, r3):  # type: ignore[no-untyped-def]
    a, b = _mix(a, b, r0)
    a, b = _mix(a, b, r1)
    a, b = _mix(a, b, r2)
    return _mix(a, b, r3)


def word_room(units: int) -> int:
    """How many words of draws `drop_rows` wants for rows of so many units."""
    return max(-(-units // 4), _WORDS)


@inner
def draw_words(words, k0, k1, first_row, rows, groups):  # type: ignore[no-untyped-def]
    """Threefry-2x32-20 of the counters (row, 0), (row, 1), ... of some rows: four draws a word."""
    for i in range(rows):
        row = uint64(uint32(first_row + i))
        for j in range(groups):
            words[i * groups + j] = row | (uint64(j) << uint64(32))
    k2 = uint32(uint32(k0 ^ k1) ^ uint32(0x1BD11BDA))
    for i in range(rows * groups):  # of all rows: one may have too few words for a vector
        a = uint32(uint32(words[i]) + k0)
        b = uint32(uint32(words[i] >> uint64(32)) + k1)
        a, b = _four(a, b, 13, 15, 26, 6)
        a, b = uint32(a + k1), uint32(b + uint32(k2 + uint32(1)))
        a, b = _four(a, b, 17, 29, 16, 24)
        a, b = uint32(a + k2), uint32(b + uint32(k0 + uint32(2)))
        a, b = _four(a, b, 13, 15, 26, 6)
        a, b = uint32(a + k0), uint32(b + uint32(k1 + uint32(3)))
        a, b = _four(a, b, 17, 29, 16, 24)
        a, b = uint32(a + k1), uint32(b + uint32(k2 + uint32(4)))
        a, b = _four(a, b, 13, 15, 26, 6)
        a, b = uint32(a + k2), uint32(b + uint32(k0 + uint32(5)))
        words[i] = uint64(a) | (uint64(b) << uint64(32))


@inlined
def _exp32(x):  # type: ignore[no-untyped-def]
    """Exponential in float32, without a call, so that its loop is vectorised (Cephes, Moshier)."""
    x = float32(-87.0) if x < float32(-87.0) else x
    x = float32(88.0) if x > float32(88.0) else x
    n = np.floor(x * float32(1.44269504) + float32(0.5))
    r = x - n * float32(0.693359375) - n * float32(-2.12194440e-4)
    p = float32(1.9875691500e-4) * r + float32(1.3981999507e-3)
    p = p * r + float32(8.3334519073e-3)
    p = p * r + float32(4.1665795894e-2)
    p = p * r + float32(1.6666665459e-1)
    p = p * r + float32(5.0000001201e-1)
    bits = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))
    return (p * (r * r) + r + float32(1.0)) * bits.view(np.float32)


@inlined
def _tanh32(x):  # type: ignore[no-untyped-def]
    a = np.abs(x)
    far = float32(1.0) - float32(2.0) / (_exp32(a + a) + float32(1.0))
    s = x * x
    p = float32(-5.70498872745e-3) * s + float32(2.06390887954e-2)
    p = p * s + float32(-5.37397155531e-2)
    p = p * s + float32(1.33314422036e-1)
    p = p * s + float32(-3.33332819422e-1)
    near = p * s * x + x
    return near if a < float32(0.625) else (far if x > float32(0.0) else -far)


@inner
def exp_all(x):  # type: ignore[no-untyped-def]
    """Exponential of a vector, in place."""
    if x.itemsize == 4:
        for j in range(x.shape[0]):
            x[j] = _exp32(float32(x[j]))
    else:
        for j in range(x.shape[0]):
            x[j] = np.exp(x[j])


@inner
def tanh_all(x):  # type: ignore[no-untyped-def]
    """Hyperbolic tangent of a vector, in place."""
    if x.itemsize == 4:
        for j in range(x.shape[0]):
            x[j] = _tanh32(float32(x[j]))
    else:
        for j in range(x.shape[0]):
            x[j] = np.tanh(x[j])


@jit
def drop_rows(x, kept, scale, k0, k1, first_row, words):  # type: ignore[no-untyped-def]
    """Inverted dropout of a batch, in place; a dropped NaN stays NaN.

    `words` has room for a row's draws at least.
    """
    zero, count, draws = x.dtype.type(0), uint32(kept), words.view(np.uint16)
    n, units = x.shape
    groups = (units + 3) // 4
    most = max(1, words.shape[0] // max(1, groups))
    for first in range(0, n, most):
        rows = min(most, n - first)
        draw_words(words, k0, k1, first_row + first, rows, groups)
        for i in range(rows):
            for j in range(units):
                x[first + i, j] *= scale if uint32(draws[4 * groups * i + j]) < count else zero


@jit
def activate(z, b, code, kept, scale, k0, k1, first_row, words):  # type: ignore[no-untyped-def]
    """Bias (none if `b` is empty), activation and dropout, in place."""
    zero, one, slope = z.dtype.type(0), z.dtype.type(1), z.dtype.type(SLOPE)
    n, units = z.shape
    if b.shape[0]:
        for i in range(n):
            for j in range(units):
                z[i, j] += b[j]
    flat = z.reshape(n * units)
    if code == RELU:
        for j in range(flat.shape[0]):
            flat[j] = zero if flat[j] < zero else flat[j]
    elif code == LEAKY_RELU:
        for j in range(flat.shape[0]):
            flat[j] = slope * flat[j] if flat[j] < zero else flat[j]
    elif code == TANH:
        tanh_all(flat)
    elif code == SIGMOID:
        for j in range(flat.shape[0]):
            flat[j] = -flat[j]
        exp_all(flat)
        for j in range(flat.shape[0]):
            flat[j] = one / (one + flat[j])
    if kept < KEEP_ALL:
        drop_rows(z, kept, scale, k0, k1, first_row, words)


@jit
def pull_back(g, y, db, code, kept, scale, k0, k1, first_row, words):  # type: ignore[no-untyped-def]
    """Gradient before the activation, in place on `g`; its column sums into `db` if not empty."""
    zero, one, slope = g.dtype.type(0), g.dtype.type(1), g.dtype.type(SLOPE)
    unscale, n, units = one / scale, g.shape[0], g.shape[1]
    db[:] = zero
    if code == RELU:  # a dropped unit is a zero output, so no mask is needed
        for i in range(n):
            for j in range(units):
                g[i, j] *= scale if y[i, j] > zero else zero
    else:
        if code == LEAKY_RELU:
            for i in range(n):
                for j in range(units):
                    g[i, j] *= one if y[i, j] > zero else slope
        elif code == TANH:
            for i in range(n):
                for j in range(units):
                    a = y[i, j] * unscale
                    g[i, j] *= one - a * a
        elif code == SIGMOID:
            for i in range(n):
                for j in range(units):
                    a = y[i, j] * unscale
                    g[i, j] *= a * (one - a)
        if kept < KEEP_ALL:
            drop_rows(g, kept, scale, k0, k1, first_row, words)
    if db.shape[0]:
        for i in range(n):
            for j in range(units):
                db[j] += g[i, j]


@inner
def _adam(theta, g, m, v, rate, keep, push, hyper):  # type: ignore[no-untyped-def]
    b1, b2, epsilon, c1, c2 = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    for i in range(theta.shape[0]):
        gi = g[i] + push * theta[i]
        mi = b1 * m[i] + c1 * gi
        vi = b2 * v[i] + c2 * (gi * gi)
        m[i] = mi
        v[i] = vi
        theta[i] = keep * theta[i] - rate * mi / (np.sqrt(vi) + epsilon)


@inner
def _descend(code, theta, g, m, rate, push, momentum):  # type: ignore[no-untyped-def]
    if code == SGD:
        for i in range(theta.shape[0]):
            theta[i] -= rate * (g[i] + push * theta[i])
        return
    for i in range(theta.shape[0]):
        move = rate * (g[i] + push * theta[i])
        mi = momentum * m[i] - move
        m[i] = mi
        theta[i] += mi if code == MOMENTUM else momentum * mi - move


@jit
def update(code, theta, g, m, v, rate, shrink, hyper, l2, n_weights):  # type: ignore[no-untyped-def]
    """One pass of an optimizer over the weights, which alone are penalized and decay, and the rest.

    `hyper` is (beta_1 or the momentum, beta_2, epsilon, 1 - beta_1, 1 - beta_2).
    """
    zero, one, k = theta.dtype.type(0), theta.dtype.type(1), n_weights
    if code <= ADAMW:
        _adam(theta[:k], g[:k], m[:k], v[:k], rate, one - shrink, l2, hyper)
        _adam(theta[k:], g[k:], m[k:], v[k:], rate, one, zero, hyper)
    else:
        _descend(code, theta[:k], g[:k], m[:k], rate, l2, hyper[0])
        _descend(code, theta[k:], g[k:], m[k:], rate, zero, hyper[0])
