"""One perceptron epoch on CuPy: a block of many rows is one launch, and the host never waits.

Each of the K problems has a thread block of its own. It takes the rows in tiles of 32: every warp
scores rows by the weights before the tile, then the rows are settled in turn, each adding its pull
on the rows after it from the tile's Gram matrix, and then the weights take all steps of the tile.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron import reference
from xpnn.perceptron.reference import Data, Rule, State, Stop, never

TILE = 32  # one row for each thread of a warp
ROWS = 4096  # of one launch
THREADS = 256

_SOURCE = r"""
extern "C" __global__ void perceptron_rows(
    const REAL* __restrict__ x, const REAL* __restrict__ gram, const long long* __restrict__ y,
    const REAL* __restrict__ weight, const long long* __restrict__ labels,
    const REAL* __restrict__ class_weight, REAL* w, REAL* b, REAL* mean, REAL* mean_b,
    REAL* norm, double* sums, const int n, const int d, const int problems, const REAL eta,
    const REAL shrink, const REAL bias, const REAL half_alpha, const int zero_is_positive,
    const int average, const double done)
{
    __shared__ REAL score[32], sign[32], step[32], late[32], seen[32], factor, drop;
    const int k = blockIdx.x, thread = threadIdx.x, lane = thread & 31, warp = thread >> 5;
    const int warps = blockDim.x >> 5;
    w += (long long)k * d;
    mean += (long long)k * d;
    double loss = 0.0, penalty = 0.0, mistakes = 0.0;
    for (int first = 0; first < n; first += 32) {
        const int m = min(32, n - first);
        const REAL* rows = x + (long long)first * d;
        __syncthreads();
        for (int i = warp; i < m; i += warps) {
            REAL s = 0;
            for (int j = lane; j < d; j += 32) s += w[j] * rows[(long long)i * d + j];
            for (int far = 16; far > 0; far >>= 1) s += __shfl_down_sync(0xffffffffu, s, far);
            if (lane == 0) score[i] = s;
        }
        __syncthreads();
        if (warp == 0) {  // every lane follows the rows in turn and keeps the score of its own
            const REAL* g = gram + (long long)(first / 32) * 32 * 32;
            REAL intercept = b[k], mean_intercept = mean_b[k], square = norm[k];
            if (lane < m) {
                const int positive = y[first + lane] == labels[k];
                const REAL of_class = class_weight[positive * problems + k];
                const REAL size = eta * of_class * weight[first + lane];
                sign[lane] = positive ? 1 : -1;
                step[lane] = positive ? size : -size;
            }
            __syncwarp();
            for (int i = 0; i < m; ++i) {
                const REAL dot = score[i], p = dot + intercept, margin = sign[i] * p;
                const bool tie = margin == 0 && !(sign[i] > 0 && zero_is_positive);
                const bool wrong = margin < 0 || tie;
                const REAL c = wrong ? step[i] : REAL(0);
                if (wrong) { loss -= margin; mistakes += 1.0; }
                penalty += half_alpha * square;
                square = shrink * shrink * square + 2 * shrink * c * dot + c * c * g[i * 32 + i];
                intercept += bias * c;
                const REAL share = REAL(1.0 / (done + first + i + 1));
                if (average) mean_intercept += (intercept - mean_intercept) * share;
                __syncwarp();
                if (lane == i) step[i] = c;
                if (lane > i && lane < m) score[lane] = shrink * score[lane] + c * g[i * 32 + lane];
                __syncwarp();
            }
            if (lane == 0) {
                REAL power = 1, sum = 0;
                for (int i = m - 1; i >= 0; --i) {
                    late[i] = power * step[i];  // what is left of this step at the tile's end
                    power *= shrink;
                    sum = sum * shrink + 1;
                    seen[i] = sum * step[i];  // what it adds to the sum of all weights on the way
                }
                factor = power;
                drop = sum * shrink;
                b[k] = intercept;
                mean_b[k] = mean_intercept;
                norm[k] = square;
            }
        }
        __syncthreads();
        const REAL share = REAL(1.0 / (done + first + m));
        for (int j = thread; j < d; j += blockDim.x) {
            REAL next = w[j] * factor, path = w[j] * drop;
            for (int i = 0; i < m; ++i) {
                if (step[i] == 0) continue;
                const REAL v = rows[(long long)i * d + j];
                next += late[i] * v;
                path += seen[i] * v;
            }
            w[j] = next;
            if (average) mean[j] += (path - m * mean[j]) * share;
        }
    }
    if (thread == 0) {
        sums[k] += loss;
        sums[problems + k] += loss + penalty;
        sums[2 * problems + k] += mistakes;
    }
}
"""


@cache
def _kernel(real: str) -> Any:
    import cupy

    return cupy.RawKernel(_SOURCE.replace("REAL", real), "perceptron_rows")


def epoch(
    state: State, data: Data, order: Array, rule: Rule, xp: Namespace, stop: Stop = never
) -> tuple[State, Array]:
    """`perceptron_reference.epoch` on CuPy; what the reference does batch by batch goes there."""
    if reference.by_batches(rule):
        return reference.epoch(state, data, order, rule, xp)
    double = state.coef.dtype == xp.float64
    real: Any = np.float64 if double else np.float32
    kernel = _kernel("double" if double else "float")
    w, b = state.weights(xp), xp.asarray(state.intercept, copy=True)
    mean, mean_b = (xp.asarray(a, copy=True) for a in (state.mean, state.mean_intercept))
    k, d = w.shape
    norms = xp.asarray(state.norms, copy=True)
    sums = xp.zeros((3, k), dtype=xp.float64)
    labels, class_weight = data.labels.astype(xp.int64), xp.asarray(data.class_weight, order="C")
    half = 0.5 * rule.alpha * (1.0 - rule.l1_ratio)
    rates = [real(v) for v in (rule.eta, rule.shrink, rule.bias, half)]
    flags = (np.int32(rule.zero_is_positive), np.int32(rule.average))
    n = int(order.shape[0])
    for first in range(0, n, ROWS):
        x, rows = reference.dense_rows(data, order[first : first + ROWS], w, xp)
        m = int(x.shape[0])
        tiles = xp.zeros((-(-m // TILE), TILE, d), dtype=w.dtype)
        tiles.reshape(-1, d)[:m] = x
        gram = xp.matmul(tiles, tiles.transpose(0, 2, 1))
        y, weight = data.y[rows].astype(xp.int64), data.weight[rows]
        samples = (tiles, gram, y, weight, labels, class_weight)
        sizes = (np.int32(m), np.int32(d), np.int32(k))
        done = np.float64(state.t - 1.0 + first)
        kernel(
            (k,),
            (THREADS,),
            (*samples, w, b, mean, mean_b, norms, sums, *sizes, *rates, *flags, done),
        )
    scale = reference.scale_after(state.scale, rule, n, w.dtype, xp)
    end = State(w / scale, b, norms, state.clipped, mean, mean_b, scale, state.clip, state.t + n)
    return end, xp.asarray(sums, dtype=w.dtype)
