"""One perceptron epoch on the host, compiled by numba: dense or CSR, every penalty.

Every sum runs in scikit-learn's order (one accumulator a row, no contraction, products in the
data's dtype), so the weights are those of `sklearn.linear_model.Perceptron` bit for bit. As there,
the weights are a vector times a scale, so that an L2 penalty costs one multiplication a sample.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types

from .._typing import Array, Namespace
from . import perceptron_reference as reference
from .perceptron_reference import Rule, State

TILE = 64  # rows that every class visits while they are in the first cache


def _dense(
    x, y, weight, order, labels, class_weight, w, b, norms, mean, mean_b, counts, sums, options
):  # type: ignore[no-untyped-def]
    """Penalty none or l2: the scores of four rows are summed side by side until one is a mistake.

    A single sum in order waits four cycles for each addition; four sums fill that wait.
    """
    cast = w.dtype.type
    eta, shrink, half_alpha, bias, floor = options[0], options[1], options[2], options[3], options[4]
    penalized, averaged = options[5] != 0.0, mean.size > 0
    shrink_ = cast(shrink)
    n, d = order.shape[0], x.shape[1]
    for first in range(0, n, TILE):
        last = min(n, first + TILE)
        for k in range(w.shape[0]):
            wk, t = w[k], counts[3, k]
            scale, mean_a, mean_s = cast(counts[0, k]), counts[1, k], counts[2, k]
            sq_norm, intercept = cast(norms[0, k]), b[k]
            loss_sum, objective = sums[0, k], sums[1, k]
            i = first
            while i < last:
                x0 = x[order[i]]
                x1 = x[order[min(i + 1, last - 1)]]
                x2 = x[order[min(i + 2, last - 1)]]
                x3 = x[order[min(i + 3, last - 1)]]
                s0 = s1 = s2 = s3 = 0.0
                for j in range(d):
                    v = wk[j]
                    s0 += v * x0[j]
                    s1 += v * x1[j]
                    s2 += v * x2[j]
                    s3 += v * x3[j]
                stop = min(i + 4, last)
                while i < stop:
                    row = order[i]
                    i += 1
                    p = cast(s0 * scale) + intercept
                    s0, s1, s2 = s1, s2, s3
                    positive = y[row] == labels[k]
                    sign = 1.0 if positive else -1.0
                    margin = p * sign
                    mistake = margin <= 0.0
                    if mistake:
                        loss_sum -= margin
                        objective -= margin
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
                            stop = i
                    if mistake:
                        update = eta * sign * (class_weight[int(positive), k] * weight[row])
                        if update != 0.0:
                            step = cast(update) / scale
                            xr = x[row]
                            if penalized:
                                total = 0.0
                                for j in range(d):
                                    v = cast(wk[j] + np.float64(xr[j]) * step)
                                    wk[j] = v
                                    total += v * v
                                sq_norm = cast(total * (scale * scale))
                            else:
                                for j in range(d):
                                    wk[j] = cast(wk[j] + np.float64(xr[j]) * step)
                            if averaged:
                                for j in range(d):
                                    mean[k, j] -= mean_a * step * xr[j]
                            intercept += update * bias
                            stop = i
                    if averaged:
                        if t > 1.0:
                            mean_s /= 1.0 - 1.0 / t
                        mean_a += mean_s * scale / t
                        mean_b[k] += (intercept - mean_b[k]) / t
                    t += 1.0
            counts[0, k], counts[1, k], counts[2, k], counts[3, k] = scale, mean_a, mean_s, t
            norms[0, k], b[k] = sq_norm, intercept
            sums[0, k], sums[1, k] = loss_sum, objective


def _sparse(
    data, indices, starts, stride, y, weight, order, labels, class_weight,
    w, b, norms, mean, mean_b, q, counts, sums, options,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Every penalty, one sample at a time; a dense row (stride 0) is one with every index present."""
    cast = w.dtype.type
    eta, shrink, half_alpha, bias, floor = options[0], options[1], options[2], options[3], options[4]
    penalized, averaged = options[5] != 0.0, mean.size > 0
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
            mistake = margin <= 0.0
            if mistake:
                sums[0, k] -= margin
                sums[1, k] -= margin
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
            signatures.append(types.void(*data, *rows, *weights, real[:, ::1], double2, double2, double1))
        else:
            signatures.append(types.void(read2, *rows, *weights, double2, double2, double1))
    return signatures


def _compiled(function: Any, sparse: bool) -> Any:
    """Compile now, once for all: explicit signatures, kept on disk where a disk can be written."""
    try:
        return numba.njit(_signatures(sparse), cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no directory to write its cache in
        return numba.njit(_signatures(sparse), nogil=True, error_model="numpy")(function)
