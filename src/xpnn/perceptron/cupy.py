"""One perceptron epoch on CuPy, dense and without a penalty; the host never waits.

A block of many rows is one launch, and each of the K problems has a thread block of its own. It
takes the rows in tiles of 32: every warp scores rows by the weights before the tile, then the rows
are settled in turn, each adding its pull on the rows after it from the tile's Gram matrix, and then
the weights take the steps of the tile one by one.

Those scores are in float64 and add as it suits the GPU. Where another order could change a
decision, a warp sums the score in the order of the reference. So the weights are the reference's
bit by bit; only the losses are rounded in another place.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron.batches import rows_at_once
from xpnn.perceptron.reference import Data, Rule, State, Stop
from xpnn.training.interrupt import never

TILE = 32  # one row for each thread of a warp
ROWS = 4096  # of one launch
THREADS = 256

_SOURCE = r"""
__device__ REAL moved(const REAL w, const REAL x, const REAL step)
{
    return REAL(double(w) + double(x) * double(step));
}

// The score of row i of a tile, summed feature after feature, by the weights before it.
__device__ double in_order(
    const REAL* rows, const REAL* w, const REAL* step, const int i, const int d, const int lane)
{
    double sum = 0.0;
    for (int first = 0; first < d; first += 32) {
        const int j = first + lane;
        REAL product = 0;
        if (j < d) {
            REAL v = w[j];
            for (int r = 0; r < i; ++r)
                if (step[r] != 0) v = moved(v, rows[(long long)r * d + j], step[r]);
            product = v * rows[(long long)i * d + j];
        }
        const int count = min(32, d - first);
        for (int l = 0; l < count; ++l) sum += __shfl_sync(0xffffffffu, product, l);
    }
    return double(REAL(sum));
}

extern "C" __global__ void perceptron_rows(
    const REAL* __restrict__ x, const double* __restrict__ gram, const int* __restrict__ y,
    const REAL* __restrict__ weight, const int* __restrict__ labels,
    const REAL* __restrict__ class_weight, REAL* w, double* b, double* mean, double* mean_b,
    double* sums, const int n, const int d, const int problems, const double eta, const double bias,
    const double apart, const double tiny, const int zero_is_positive, const int average,
    const double done)
{
    __shared__ double score[32], size[32];
    __shared__ REAL step[32];
    const int k = blockIdx.x, thread = threadIdx.x, lane = thread & 31, warp = thread >> 5;
    const int warps = blockDim.x >> 5;
    w += (long long)k * d;
    mean += (long long)k * d;
    double loss = 0.0, mistakes = 0.0;
    for (int first = 0; first < n; first += 32) {
        const int m = min(32, n - first);
        const REAL* rows = x + (long long)first * d;
        __syncthreads();
        for (int i = warp; i < m; i += warps) {
            double s = 0.0, a = 0.0;
            for (int j = lane; j < d; j += 32) {
                const double product = double(w[j]) * double(rows[(long long)i * d + j]);
                s += product;
                a += fabs(product);
            }
            for (int far = 16; far > 0; far >>= 1) {
                s += __shfl_down_sync(0xffffffffu, s, far);
                a += __shfl_down_sync(0xffffffffu, a, far);
            }
            if (lane == 0) { score[i] = s; size[i] = a; }
        }
        __syncthreads();
        if (warp == 0) {  // every lane follows the rows in turn and keeps the score of its own
            const double* g = gram + (long long)(first / 32) * 32 * 32;
            const double length = sqrt(g[lane * 32 + lane]);
            double own = 0.0, bound = 0.0, sign = 1.0, update = 0.0;
            double intercept = b[k], mean_intercept = mean_b[k];
            if (lane < m) {
                const int positive = y[first + lane] == labels[k];
                const REAL weights = class_weight[positive * problems + k] * weight[first + lane];
                own = score[lane];
                bound = size[lane];
                sign = positive ? 1.0 : -1.0;
                update = eta * sign * weights;
            }
            for (int i = 0; i < m; ++i) {
                const double size_i = __shfl_sync(0xffffffffu, bound, i) + fabs(intercept);
                double p = __shfl_sync(0xffffffffu, own, i) + intercept;
                if (!(fabs(p) > apart * size_i + tiny))  // the same for all lanes
                    p = in_order(rows, w, step, i, d, lane) + intercept;
                const double sign_i = __shfl_sync(0xffffffffu, sign, i), margin = sign_i * p;
                const bool tie = margin == 0.0 && !(sign_i > 0.0 && zero_is_positive);
                const bool wrong = margin < 0.0 || tie;
                const double u = wrong ? __shfl_sync(0xffffffffu, update, i) : 0.0;
                const REAL c = REAL(u);
                if (wrong) { loss -= margin; mistakes += 1.0; intercept += u * bias; }
                const double reach = fabs(double(c)) * __shfl_sync(0xffffffffu, length, i);
                if (lane == i) step[i] = c;
                own += c * g[i * 32 + lane];
                bound += reach * length;
                const double seen = done + first + i + 1;
                if (average) mean_intercept += (intercept - mean_intercept) / seen;
                __syncwarp();
            }
            if (lane == 0) { b[k] = intercept; mean_b[k] = mean_intercept; }
        }
        __syncthreads();
        for (int j = thread; j < d; j += blockDim.x) {
            REAL v = w[j];
            double path = 0.0;
            for (int i = 0; i < m; ++i) {
                if (step[i] != 0) v = moved(v, rows[(long long)i * d + j], step[i]);
                path += v;
            }
            w[j] = v;
            if (average) mean[j] += (path - m * mean[j]) / (done + first + m);
        }
    }
    if (thread == 0) {
        sums[k] += loss;
        sums[problems + k] += loss;
        sums[2 * problems + k] += mistakes;
    }
}

// What the host looks at after an epoch: 1 if all weights are finite, and the sums. One block.
extern "C" __global__ void finite_and_sums(
    const REAL* __restrict__ w, const double* __restrict__ b, const double* __restrict__ sums,
    double* found, const long long size, const int problems)
{
    __shared__ int strange;
    if (threadIdx.x == 0) strange = 0;
    __syncthreads();
    for (long long i = threadIdx.x; i < size; i += blockDim.x)
        if (w[i] - w[i] != 0) strange = 1;
    for (int k = threadIdx.x; k < problems; k += blockDim.x)
        if (b[k] - b[k] != 0) strange = 1;
    for (int i = threadIdx.x; i < 3 * problems; i += blockDim.x) found[1 + i] = sums[i];
    __syncthreads();
    if (threadIdx.x == 0) found[0] = strange == 0;
}
"""


@cache
def _module(real: str) -> Any:
    import cupy

    # A product and a sum are each rounded, as on the host.
    return cupy.RawModule(code=_SOURCE.replace("REAL", real), options=("--fmad=false",))


@cache
def _kernel(name: str, coef: str) -> Any:
    return _module({"float32": "float", "float64": "double"}[coef]).get_function(name)


def finite_and_sums(state: State, sums: Array) -> Array | None:
    """Whether all weights are finite, and the sums; None for dtypes that are not an `epoch`'s."""
    import cupy

    w, b, name = state.coef, state.intercept, state.coef.dtype.name
    if name not in ("float32", "float64") or not b.dtype == sums.dtype == np.float64:
        return None
    found = cupy.empty(1 + sums.size, dtype=np.float64)
    w, b, sums = (cupy.ascontiguousarray(a) for a in (w, b, sums))
    arguments = (w, b, sums, found, np.int64(w.size), np.int32(b.size))
    _kernel("finite_and_sums", name)((1,), (THREADS,), arguments)
    return found


def epoch(
    state: State,
    data: Data,
    order: Array,
    rule: Rule,
    xp: Namespace,
    stop: Stop = never,
    sums: Array | None = None,
) -> tuple[State, Array]:
    """`reference.epoch` on CuPy."""
    kernel = _kernel("perceptron_rows", state.coef.dtype.name)
    w = xp.asarray(state.weights(xp), order="C")
    fields = (state.intercept, state.mean, state.mean_intercept)
    b, mean, mean_b = (xp.array(a, dtype=xp.float64, order="C") for a in fields)
    k, d = w.shape
    sums = xp.zeros((3, k), dtype=xp.float64) if sums is None else xp.array(sums)
    labels = data.labels.astype(xp.int32, copy=False)
    class_weight = xp.asarray(data.class_weight, order="C")
    # As in numpy.py: sums of d products and of a tile's pulls, and the rounding of each step.
    eps = (float(xp.finfo(t).eps) for t in (xp.float64, w.dtype))
    apart = sum(2.0 * n * e for n, e in zip((d + TILE, TILE), eps, strict=True))
    numbers = (rule.eta, rule.bias, apart, float(xp.finfo(w.dtype).tiny))
    options = (
        *(np.float64(v) for v in numbers),
        *(np.int32(v) for v in (rule.zero_is_positive, rule.average)),
    )
    t = state.t
    most = max(TILE, rows_at_once(d, ROWS) // TILE * TILE)  # in float64 too, and a copy
    for first in range(0, int(order.shape[0]), most):
        if stop():
            break
        rows = order[first : first + most]
        m = int(rows.shape[0])
        tiles = xp.zeros((-(-m // TILE), TILE, d), dtype=w.dtype)
        tiles.reshape(-1, d)[:m] = xp.take(data.x, rows, axis=0)
        wide = tiles.astype(xp.float64, copy=False)
        gram = xp.matmul(wide, wide.transpose(0, 2, 1))
        samples = (tiles, gram, data.y[rows].astype(xp.int32, copy=False), data.weight[rows])
        sizes = (np.int32(m), np.int32(d), np.int32(k))
        weights = (labels, class_weight, w, b, mean, mean_b, sums)
        done = np.float64(t - 1.0)
        t += m
        kernel((k,), (THREADS,), (*samples, *weights, *sizes, *options, done))
    return state._replace(
        coef=w, intercept=b, mean=mean, mean_intercept=mean_b, scale=1.0, t=t
    ), sums
