"""One perceptron epoch on the host, compiled by numba: dense or CSR, every penalty.

Every sum runs in the order of the reference (one accumulator a row, no contraction, products in the
data's dtype), so the weights are those of `sklearn.linear_model.Perceptron` bit for bit
(but for the last digits of float32 with a penalty, which is rounded in another place). As there,
the weights are a vector times a scale, so that an L2 penalty costs one multiplication a sample.

The functions are written for rows with column numbers; of dense rows those are None, which numba
knows when it compiles, and what asks for them is left out.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron.reference import Data, Rule, State, scale_floor

TILE = 64  # rows that every class visits while they are in the first cache


@intrinsic
def _prefetch(context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of `array[index]`, so that shuffled rows do not wait for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        struct = context.make_array(kind)(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(
            context, builder, kind, struct, [arguments[1]], wraparound=False
        )
        byte, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, int32, int32, int32]),
            "llvm.prefetch.p0",
        )
        read, keep, data = int32(0), int32(3), int32(1)
        builder.call(function, [builder.bitcast(pointer, byte), read, keep, data])
        return context.get_dummy_value()

    return types.void(array, index), generate


@numba.njit(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def _about(w, x, columns, at, size):  # type: ignore[no-untyped-def]
    """A score summed in any order, and the sum of absolute values that bounds its error."""
    score, absolute = w.dtype.type(0), w.dtype.type(0)
    for j in range(size):
        product = w[j if columns is None else np.uint64(columns[at + j])] * x[at + j]
        score += product
        absolute += abs(product)
    return score, absolute


@numba.njit(error_model="numpy")
def _in_order(w, x, columns, at, size):  # type: ignore[no-untyped-def]
    """A score summed feature after feature."""
    score = 0.0
    for j in range(size):
        score += w[j if columns is None else np.uint64(columns[at + j])] * x[at + j]
    return score


@numba.njit(error_model="numpy")
def _add(w, x, columns, at, size, step):  # type: ignore[no-untyped-def]
    """Add a step times a row to the weights."""
    for j in range(size):
        f = j if columns is None else np.uint64(columns[at + j])
        w[f] = w.dtype.type(w[f] + np.float64(x[at + j]) * step)


@numba.njit(error_model="numpy")
def _norms(w, columns, at, size):  # type: ignore[no-untyped-def]
    """Squared L2 norm and L1 norm of the weights of a row's features."""
    square, absolute = 0.0, 0.0
    for j in range(size):
        v = w[j if columns is None else np.uint64(columns[at + j])]
        square += v * v
        absolute += abs(v)
    return square, absolute


@numba.njit(error_model="numpy")
def _clip(w, q, mean, columns, at, size, clip, scale, drift):  # type: ignore[no-untyped-def]
    """The L1 part of the penalty: each weight in use catches up with what is to be clipped."""
    cast = w.dtype.type
    for j in range(size):
        f = j if columns is None else np.uint64(columns[at + j])
        z = np.float64(w[f])
        if z > 0.0:
            w[f] = cast(max(0.0, z - (clip + q[f]) / scale))
        elif z < 0.0:
            w[f] = cast(min(0.0, z + (clip - q[f]) / scale))
        q[f] = cast(q[f] + scale * (w[f] - z))
        mean[f] -= drift * (w[f] - z)


@numba.njit(error_model="numpy")
def _fold(w, scale, mean, drift, share):  # type: ignore[no-untyped-def]
    """Multiply the weights by a scale that got tiny; `mean` takes its drift before."""
    for j in range(w.shape[0]):
        mean[j] = (mean[j] + drift * w[j]) / share
        w[j] *= scale


def _visit(  # type: ignore[no-untyped-def]
    x, columns, starts, y, weight, order, labels, class_weight,
    w, b, norms, q, mean, mean_b, counts, sums, options,
):  # fmt: skip
    """Visit the rows of `order` in turn.

    Most are right by more than any order of summing could change; of the others the score is
    summed in order.
    """
    cast = w.dtype.type
    eta, shrink, half_alpha, bias = options[0], cast(options[1]), options[2], options[3]
    floor, penalized, l1_step, l1_alpha = options[4], options[5] != 0.0, options[6], options[7]
    averaged, zero_is_positive = options[8] != 0.0, options[9] != 0.0
    n, d, line = order.shape[0], w.shape[1], np.uint64(64 // x.itemsize)
    short = d * x.itemsize <= 1024  # the processor foresees longer rows by itself
    # Higham (2002), 3.1: two sums of d products differ by 2 d u times the sum of absolute values
    # at most; twice that covers the rounding of the bound.
    apart = 4.0 * (d + 1) * np.finfo(cast).eps
    least_normal = np.finfo(cast).tiny  # below it a product by the scale loses digits
    for first in range(0, n, TILE):
        last = min(n, first + TILE)
        for k in range(w.shape[0]):
            wk, t, clip = w[k], counts[3, k], counts[4, k]
            scale, drift, share = cast(counts[0, k]), counts[1, k], counts[2, k]
            sq_norm, l1_norm, intercept = cast(norms[0, k]), cast(norms[1, k]), b[k]
            loss, objective, missed = sums[0, k], sums[1, k], sums[2, k]
            for i in range(first, last):
                row = order[i]
                if columns is None:
                    at, size = np.uint64(row * d), np.uint64(d)
                    if short:
                        ahead = np.uint64(order[min(i + 4, n - 1)] * d)
                        for j in range(np.uint64(0), size, line):
                            _prefetch(x, ahead + j)
                else:
                    at, size = np.uint64(starts[row]), np.uint64(starts[row + 1] - starts[row])
                positive = y[row] == labels[k]
                sign = 1.0 if positive else -1.0
                about, absolute = _about(wk, x, columns, at, size)
                least = (sign * about - apart * absolute) * scale + sign * intercept
                mistake = False
                if not least > apart * abs(intercept) + least_normal:
                    score = cast(_in_order(wk, x, columns, at, size) * scale)
                    margin = (score + intercept) * sign
                    mistake = margin < 0.0 or (
                        margin == 0.0 and not (positive and zero_is_positive)
                    )
                    if mistake:
                        loss -= margin
                        objective -= margin
                        missed += 1.0
                if penalized:
                    norm = cast(np.sqrt(sq_norm))
                    objective += half_alpha * (norm * norm) + l1_alpha * l1_norm
                    scale = cast(scale * shrink)
                    sq_norm = cast(sq_norm * (shrink * shrink))
                    l1_norm = cast(l1_norm * shrink)
                    if scale < floor:
                        _fold(wk, scale, mean[k], drift, share)
                        drift, share, scale = 0.0, 1.0, cast(1.0)
                if mistake:
                    update = eta * sign * (class_weight[int(positive), k] * weight[row])
                    if update != 0.0:
                        step = cast(update) / scale
                        _add(wk, x, columns, at, size, step)
                        intercept += update * bias
                        if averaged:
                            _add(mean[k], x, columns, at, size, -drift * step)
                        if penalized:
                            square, absolute_ = _norms(wk, columns, at, size)
                            sq_norm = cast(square * (scale * scale))
                            l1_norm = cast(absolute_ * scale)
                if l1_step > 0.0:
                    clip += l1_step
                    _clip(wk, q[k], mean[k], columns, at, size, clip, scale, drift)
                if averaged:
                    if t > 1.0:
                        share /= 1.0 - 1.0 / t
                    drift += share * scale / t
                    mean_b[k] += (intercept - mean_b[k]) / t
                t += 1.0
            counts[0, k], counts[1, k], counts[2, k] = scale, drift, share
            counts[3, k], counts[4, k] = t, clip
            norms[0, k], norms[1, k], b[k] = sq_norm, l1_norm, intercept
            sums[0, k], sums[1, k], sums[2, k] = loss, objective, missed


def _signatures() -> list[Any]:
    signatures = []
    for real in (types.float32, types.float64):
        read1, read2 = (types.Array(real, n, "C", readonly=True) for n in (1, 2))
        ints, longs = (types.Array(t, 1, "C", readonly=True) for t in (types.int32, types.int64))
        double1, double2 = types.float64[::1], types.float64[:, ::1]
        data = (ints, read1, longs, ints, read2)  # y, weight, order, labels, class_weight
        state = (real[:, ::1], double1, double2, real[:, ::1], double2, double1)
        for columns, starts in ((types.none, types.none), (ints, longs)):
            signatures.append(
                types.void(read1, columns, starts, *data, *state, double2, double2, double1)
            )
    return signatures


def _compiled() -> Any:
    """Compile now, once for all: explicit signatures, kept on disk where a disk can be written."""
    try:
        return numba.njit(_signatures(), cache=True, nogil=True, error_model="numpy")(_visit)
    except RuntimeError:  # numba found no directory to write its cache in
        return numba.njit(_signatures(), nogil=True, error_model="numpy")(_visit)


_compiled_visit = _compiled()


def epoch(state: State, data: Data, order: Array, rule: Rule, xp: Namespace) -> tuple[State, Array]:
    """`reference.epoch` on NumPy and CSR."""
    real = state.coef.dtype
    arrays = (state.coef, state.intercept, state.norms, state.clipped)
    dtypes = (real, np.float64, np.float64, real, np.float64, np.float64)
    new = [
        np.array(a, dtype=t, order="C")
        for a, t in zip((*arrays, state.mean, state.mean_intercept), dtypes, strict=True)
    ]
    k = new[0].shape[0]
    counts = np.empty((5, k))
    counts[:] = np.array([state.scale, 0.0, 1.0, state.t, state.clip])[:, None]
    sums = np.zeros((3, k))
    samples = (
        np.ascontiguousarray(data.y, np.int32),
        np.ascontiguousarray(data.weight, real),
        np.ascontiguousarray(order, np.int64),
        np.ascontiguousarray(data.labels, np.int32),
        np.ascontiguousarray(data.class_weight, real),
    )
    half, l1 = 0.5 * rule.alpha * (1.0 - rule.l1_ratio), rule.alpha * rule.l1_ratio
    options = np.array(
        (
            *(rule.eta, rule.shrink, half, rule.bias, scale_floor(real), rule.alpha > 0.0),
            *(rule.l1_step, l1, rule.average, rule.zero_is_positive),
        )
    )
    _compiled_visit(*_entries(data.x, real), *samples, *new, counts, sums, options)
    coef, intercept, norms, clipped, mean, mean_intercept = new
    if rule.average:
        mean = (mean + counts[1][:, None] * coef) / counts[2][:, None]
    scale, t, clip = (float(counts[i, 0]) for i in (0, 3, 4))
    return State(coef, intercept, norms, clipped, mean, mean_intercept, scale, clip, t), sums


def _entries(x: Any, real: Any) -> tuple[Array, Array | None, Array | None]:
    """Values, and for CSR their column numbers and where each row starts."""
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x, real).reshape(-1), None, None
    return (
        np.ascontiguousarray(x.data, real),
        np.ascontiguousarray(x.indices, np.int32),
        np.ascontiguousarray(x.indptr, np.int64),
    )
