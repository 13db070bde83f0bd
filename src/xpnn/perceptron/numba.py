"""One perceptron epoch on the host, compiled by numba: dense or CSR, every penalty.

Every sum runs in scikit-learn's order (one accumulator a row, no contraction, products in the
data's dtype), so the weights are those of `sklearn.linear_model.Perceptron` bit for bit
(but for the last digits of float32 with a penalty, which is rounded in another place). As there,
the weights are a vector times a scale, so that an L2 penalty costs one multiplication a sample.
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
from xpnn.perceptron import reference
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
def _about(w, x, at):  # type: ignore[no-untyped-def]
    """A score summed in any order, and the sum of absolute values that bounds its error."""
    score, absolute = w.dtype.type(0), w.dtype.type(0)
    for j in range(np.uint64(w.shape[0])):
        product = w[j] * x[at + j]
        score += product
        absolute += abs(product)
    return score, absolute


def _dense(  # type: ignore[no-untyped-def]
    x, y, weight, order, labels, class_weight, w, b, norms, mean, mean_b, counts, sums, options
):
    """Penalty none or l2: most rows are right by more than any order of summing could change.

    Those are done with; the others' scores are summed in order.
    """
    cast = w.dtype.type
    eta, shrink, half_alpha, bias, floor = (
        options[0],
        options[1],
        options[2],
        options[3],
        options[4],
    )
    penalized, averaged = options[5] != 0.0, options[8] != 0.0
    zero_is_positive = options[9] != 0.0
    shrink_ = cast(shrink)
    n, d, line = order.shape[0], w.shape[1], np.uint64(64 // x.itemsize)
    short = d * x.itemsize <= 1024  # the processor foresees longer rows by itself
    # Higham (2002), 3.1: two sums of d products differ by 2 d u times the sum of absolute values
    # at most; twice that covers the rounding of the bound.
    apart = 4.0 * (d + 1) * np.finfo(cast).eps
    least_normal = np.finfo(cast).tiny  # below it a product by the scale loses digits
    for first in range(0, n, TILE):
        last = min(n, first + TILE)
        for k in range(w.shape[0]):
            wk, t = w[k], counts[3, k]
            scale, mean_a, mean_s = cast(counts[0, k]), counts[1, k], counts[2, k]
            sq_norm, intercept = cast(norms[0, k]), b[k]
            loss_sum, objective, missed = sums[0, k], sums[1, k], sums[2, k]
            for i in range(first, last):
                row = order[i]
                at = np.uint64(row * d)
                if short:
                    ahead = np.uint64(order[min(i + 4, n - 1)] * d)
                    for j in range(np.uint64(0), np.uint64(d), line):
                        _prefetch(x, ahead + j)
                positive = y[row] == labels[k]
                sign = 1.0 if positive else -1.0
                about, absolute = _about(wk, x, at)
                least = (sign * about - apart * absolute) * scale + sign * intercept
                mistake = False
                if not least > apart * abs(intercept) + least_normal:
                    s = 0.0
                    for j in range(np.uint64(d)):
                        s += wk[j] * x[at + j]
                    margin = (cast(s * scale) + intercept) * sign
                    mistake = margin < 0.0 or (
                        margin == 0.0 and not (positive and zero_is_positive)
                    )
                    if mistake:
                        loss_sum -= margin
                        objective -= margin
                        missed += 1.0
                if penalized:
                    norm = cast(np.sqrt(sq_norm))
                    objective += half_alpha * (norm * norm)
                    scale = cast(scale * shrink_)
                    sq_norm = cast(sq_norm * (shrink_ * shrink_))
                    if scale < floor:
                        if averaged:
                            for j in range(d):
                                mean[k, j] = (mean[k, j] + mean_a * wk[j]) / mean_s
                            mean_a, mean_s = 0.0, 1.0
                        for j in range(d):
                            wk[j] *= scale
                        scale = cast(1.0)
                if mistake:
                    update = eta * sign * (class_weight[int(positive), k] * weight[row])
                    if update != 0.0:
                        step = cast(update) / scale
                        if penalized:
                            total = 0.0
                            for j in range(np.uint64(d)):
                                v = cast(wk[j] + np.float64(x[at + j]) * step)
                                wk[j] = v
                                total += v * v
                            sq_norm = cast(total * (scale * scale))
                        else:
                            for j in range(np.uint64(d)):
                                wk[j] = cast(wk[j] + np.float64(x[at + j]) * step)
                        if averaged:
                            for j in range(np.uint64(d)):
                                mean[k, j] -= mean_a * step * x[at + j]
                        intercept += update * bias
                if averaged:
                    if t > 1.0:
                        mean_s /= 1.0 - 1.0 / t
                    mean_a += mean_s * scale / t
                    mean_b[k] += (intercept - mean_b[k]) / t
                t += 1.0
            counts[0, k], counts[1, k], counts[2, k], counts[3, k] = scale, mean_a, mean_s, t
            norms[0, k], b[k] = sq_norm, intercept
            sums[0, k], sums[1, k], sums[2, k] = loss_sum, objective, missed


def _sparse(  # type: ignore[no-untyped-def]
    data, indices, starts, stride, y, weight, order, labels, class_weight,
    w, b, norms, mean, mean_b, q, counts, sums, options,
):  # fmt: skip
    """Every penalty, one sample at a time; a dense row (stride 0) has every index."""
    cast = w.dtype.type
    eta, shrink, half_alpha, bias, floor = (
        options[0],
        options[1],
        options[2],
        options[3],
        options[4],
    )
    penalized, averaged = options[5] != 0.0, options[8] != 0.0
    zero_is_positive = options[9] != 0.0
    l1_step, l1_alpha = options[6], options[7]
    shrink_ = cast(shrink)
    for k in range(w.shape[0]):
        wk, t = w[k], counts[3, k]
        scale, mean_a, mean_s = cast(counts[0, k]), counts[1, k], counts[2, k]
        u, intercept = counts[4, k], b[k]
        sq_norm, l1_norm = cast(norms[0, k]), cast(norms[1, k])
        for i in range(order.shape[0]):
            row = order[i]
            start = starts[row]
            size = starts[row + 1] - start
            at = start * stride
            s = 0.0
            for j in range(size):
                s += wk[indices[at + j]] * data[start + j]
            p = cast(s * scale) + intercept
            positive = y[row] == labels[k]
            sign = 1.0 if positive else -1.0
            margin = p * sign
            mistake = margin < 0.0 or (margin == 0.0 and not (positive and zero_is_positive))
            if mistake:
                sums[0, k] -= margin
                sums[1, k] -= margin
                sums[2, k] += 1.0
            if penalized:
                norm = cast(np.sqrt(sq_norm))
                sums[1, k] += half_alpha * (norm * norm) + l1_alpha * l1_norm
                if shrink < 1.0:
                    scale = cast(scale * shrink_)
                    sq_norm = cast(sq_norm * (shrink_ * shrink_))
                    l1_norm = cast(l1_norm * shrink_)
                if scale < floor:
                    for j in range(wk.shape[0]):
                        if averaged:
                            mean[k, j] = (mean[k, j] + mean_a * wk[j]) / mean_s
                        wk[j] *= scale
                    mean_a, mean_s = 0.0, 1.0
                    scale = cast(1.0)
            if mistake:
                update = eta * sign * (class_weight[int(positive), k] * weight[row])
                if update != 0.0:
                    step = cast(update) / scale
                    total, absolute = 0.0, 0.0
                    for j in range(size):
                        f = indices[at + j]
                        v = cast(wk[f] + np.float64(data[start + j]) * step)
                        if averaged:
                            mean[k, f] -= mean_a * (v - wk[f])
                        wk[f] = v
                        total += v * v
                        absolute += abs(v)
                    sq_norm = cast(total * (scale * scale))
                    l1_norm = cast(absolute * scale)
                    intercept += update * bias
            if l1_step > 0.0:
                u += l1_step
                for j in range(size):
                    f = indices[at + j]
                    z = np.float64(wk[f])
                    if z > 0.0:
                        wk[f] = cast(max(0.0, z - (u + q[k, f]) / scale))
                    elif z < 0.0:
                        wk[f] = cast(min(0.0, z + (u - q[k, f]) / scale))
                    change = scale * (wk[f] - z)
                    q[k, f] = cast(q[k, f] + change)
                    if averaged:
                        mean[k, f] -= mean_a * (wk[f] - z)
            if averaged:
                if t > 1.0:
                    mean_s /= 1.0 - 1.0 / t
                mean_a += mean_s * scale / t
                mean_b[k] += (intercept - mean_b[k]) / t
            t += 1.0
        counts[0, k], counts[1, k], counts[2, k] = scale, mean_a, mean_s
        counts[3, k], counts[4, k] = t, u
        norms[0, k], norms[1, k], b[k] = sq_norm, l1_norm, intercept


def _signatures(sparse: bool) -> list[Any]:
    signatures = []
    for real in (types.float32, types.float64):
        read1, read2 = (types.Array(real, n, "C", readonly=True) for n in (1, 2))
        ints, longs = (types.Array(t, 1, "C", readonly=True) for t in (types.int32, types.int64))
        double1, double2 = types.float64[::1], types.float64[:, ::1]
        rows = (ints, read1, longs, ints, read2)  # y, weight, order, labels, class_weight
        weights = (real[:, ::1], double1, double2, double2, double1)
        if sparse:
            data = (read1, ints, longs, types.int64)
            signatures.append(
                types.void(*data, *rows, *weights, real[:, ::1], double2, double2, double1)
            )
        else:
            signatures.append(types.void(read1, *rows, *weights, double2, double2, double1))
    return signatures


def _compiled(function: Any, sparse: bool) -> Any:
    """Compile now, once for all: explicit signatures, kept on disk where a disk can be written."""
    try:
        return numba.njit(_signatures(sparse), cache=True, nogil=True, error_model="numpy")(
            function
        )
    except RuntimeError:  # numba found no directory to write its cache in
        return numba.njit(_signatures(sparse), nogil=True, error_model="numpy")(function)


_dense_epoch = _compiled(_dense, False)
_sparse_epoch = _compiled(_sparse, True)


def epoch(state: State, data: Data, order: Array, rule: Rule, xp: Namespace) -> tuple[State, Array]:
    """`perceptron_reference.epoch` on NumPy and CSR; batches of several rows go there."""
    if rule.batch_size > 1:
        return reference.epoch(state, data, order, rule, xp)
    real = state.coef.dtype
    new = [np.array(a, dtype=t, order="C") for a, t in _fields(state, real)]
    coef, intercept, norms, clipped, mean, mean_intercept = new
    k = coef.shape[0]
    counts = np.empty((5, k))
    counts[:] = np.array([state.scale, 0.0, 1.0, state.t, state.clip])[:, None]
    sums = np.zeros((3, k))
    rows = (
        np.ascontiguousarray(data.y, np.int32),
        np.ascontiguousarray(data.weight, real),
        np.ascontiguousarray(order, np.int64),
        np.ascontiguousarray(data.labels, np.int32),
        np.ascontiguousarray(data.class_weight, real),
    )
    half, l1 = 0.5 * rule.alpha * (1.0 - rule.l1_ratio), rule.alpha * rule.l1_ratio
    options = np.array(
        (
            *(rule.eta, rule.shrink, half, rule.bias, scale_floor(real, xp), rule.alpha > 0.0),
            *(rule.l1_step, l1, rule.average, rule.zero_is_positive),
        )
    )
    weights = (coef, intercept, norms, mean, mean_intercept)
    if not rule.sparse and rule.l1_step == 0.0:
        x = np.ascontiguousarray(data.x, real).reshape(-1)
        _dense_epoch(x, *rows, *weights, counts, sums, options)
    else:
        _sparse_epoch(*_entries(data.x, real), *rows, *weights, clipped, counts, sums, options)
    if rule.average:
        mean = (mean + counts[1][:, None] * coef) / counts[2][:, None]
    scale, t, clip = (float(counts[i, 0]) for i in (0, 3, 4))
    return State(coef, intercept, norms, clipped, mean, mean_intercept, scale, clip, t), sums


def _fields(state: State, real: Any) -> list[tuple[Array, Any]]:
    """The arrays of a state with the dtypes that scikit-learn computes them in."""
    arrays = (state.coef, state.intercept, state.norms, state.clipped)
    types_ = (real, np.float64, np.float64, real, np.float64, np.float64)
    return list(zip((*arrays, state.mean, state.mean_intercept), types_, strict=True))


def _entries(x: Any, real: Any) -> tuple[Array, Array, Array, int]:
    """Values, column numbers, row starts, and 1; a dense row has all columns, told once: 0."""
    if isinstance(x, np.ndarray):
        n, d = x.shape
        columns = np.arange(d, dtype=np.int32)
        return np.ascontiguousarray(x, real).reshape(-1), columns, np.arange(n + 1) * d, 0
    return (
        np.ascontiguousarray(x.data, real),
        np.ascontiguousarray(x.indices, np.int32),
        np.ascontiguousarray(x.indptr, np.int64),
        1,
    )
