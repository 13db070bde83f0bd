"""The in-place operations on CuPy: one launch each, and the host never waits.

Reductions add in an order that the shapes fix, so a run repeats to the bit. A dropout draw is
computed where it is used; no mask is in memory.
"""

from functools import cache
from typing import Any

import cupy
import numpy as np

from xpnn.arrays.random import keep_count
from xpnn.arrays.typing import Array
from xpnn.model.layer import Drop
from xpnn.steps.inplace import InPlaceSteps
from xpnn.steps.numpy import builtin_name, is_builtin, is_class_number
from xpnn.steps.operations import Ops, Update
from xpnn.steps.rules import Batch, Rules

_KEEP_ALL = 65536
_FEW_CLASSES = 128  # of a row that one thread takes
_COLUMNS, _LANES = 32, 16

# For each activation: the output of z, and the gradient of the output a before dropout.
_FORMULAS = {
    "identity": ("z", "g"),
    "relu": ("z < 0 ? (T)0 : z", "a > 0 ? g : (T)0"),
    "leaky_relu": ("z < 0 ? (T)0.01 * z : z", "a > 0 ? g : (T)0.01 * g"),
    "tanh": ("tanh(z)", "g * ((T)1 - a * a)"),
    "sigmoid": ("(T)1 / ((T)1 + exp(-z))", "g * a * ((T)1 - a)"),
}

_DRAW = r"""
__device__ unsigned int draw16(
    unsigned int k0, unsigned int k1, unsigned int row, unsigned int unit)
{
    const unsigned int k[3] = {k0, k1, k0 ^ k1 ^ 0x1BD11BDAu};
    const unsigned int turn[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    unsigned int a = row + k[0], b = unit / 4 + k[1];
    #pragma unroll
    for (int i = 0; i < 20; ++i) {
        a += b;
        b = ((b << turn[i % 8]) | (b >> (32 - turn[i % 8]))) ^ a;
        if (i % 4 == 3) {
            const int s = i / 4 + 1;
            a += k[s % 3];
            b += k[(s + 1) % 3] + s;
        }
    }
    const unsigned int word = unit & 2 ? b : a;
    return unit & 1 ? word >> 16 : word & 0xFFFFu;
}
"""

_PULL_BACK = (
    _DRAW
    + r"""
typedef REAL T;
extern "C" __global__ void pull_back(
    T* grad, const T* __restrict__ y, T* db, const int n, const int units, const unsigned int kept,
    const T scale, const unsigned int k0, const unsigned int k1, const unsigned int first)
{
    __shared__ T sums[LANES][COLUMNS];
    const int column = blockIdx.x * COLUMNS + threadIdx.x;
    T sum = 0;
    if (column < units) {
        for (int row = threadIdx.y; row < n; row += LANES) {
            const long long at = (long long)row * units + column;
            const T g = grad[at], a = y[at] / scale;
            T dz = GRADIENT;
            if (kept < 65536u) dz *= draw16(k0, k1, first + row, column) < kept ? scale : (T)0;
            grad[at] = dz;
            sum += dz;
        }
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < units && db != 0) {
        for (int i = 1; i < LANES; ++i) sum += sums[i][threadIdx.x];
        db[column] = sum;
    }
}
"""
)


@cache
def _mask() -> Any:
    return cupy.ElementwiseKernel(
        "uint32 kept, T scale, uint32 k0, uint32 k1, uint32 first, int64 rows, int64 units",
        "T y",
        """
        const long long at = i / units;
        const unsigned int row = first + (unsigned int)(at % rows), member = at / rows;
        y = draw16(k0, k1 + member, row, (unsigned int)(i % units)) < kept ? scale : (T)0;
        """,
        "xpnn_mask",
        preamble=_DRAW,
    )


class FusedDrop(Drop):
    """A draw whose mask, of all members at once, is one launch."""

    def mask(self, shape: tuple[int, ...], like: Array, xp: Any) -> Array:
        """The multipliers for an output of (..., rows, units)."""
        kept, (high, low) = keep_count(self.rate), self.key
        found = cupy.empty(shape, dtype=like.dtype)
        about = (np.uint32(high), np.uint32(low), np.uint32(self.first_row))
        scale = like.dtype.type(_KEEP_ALL / kept)
        return _mask()(np.uint32(kept), scale, *about, shape[-2], shape[-1], found)


class CupySteps(InPlaceSteps):
    """Steps in place; layers that draw by themselves get `FusedDrop`."""

    def drop(self, key: Any, i: int) -> Drop | None:
        """The dropout of the input (0) or of a layer's outputs (its number from 1)."""
        drop = super().drop(key, i)
        return None if drop is None else FusedDrop(*drop)


@cache
def _activate(name: str) -> Any:
    return cupy.ElementwiseKernel(
        "raw T bias, bool biased, int64 units, uint32 kept, T scale, uint32 k0, uint32 k1, "
        "uint32 first",
        "T y",
        f"""
        const unsigned int unit = i % units;
        const T z = biased ? y + bias[unit] : y;
        T a = {_FORMULAS[name][0]};
        if (kept < 65536u)
            a *= draw16(k0, k1, first + (unsigned int)(i / units), unit) < kept ? scale : (T)0;
        y = a;
        """,
        f"xpnn_activate_{name}",
        preamble=_DRAW,
    )


@cache
def _pull_back(name: str, dtype: str) -> Any:
    source = _PULL_BACK.replace("GRADIENT", _FORMULAS[name][1])
    source = source.replace("REAL", {"float32": "float", "float64": "double"}[dtype])
    source = source.replace("COLUMNS", str(_COLUMNS)).replace("LANES", str(_LANES))
    return cupy.RawKernel(source, "pull_back")


@cache
def _gather() -> Any:
    return cupy.ElementwiseKernel(
        "raw T x, raw Y y, raw I rows, int64 width",
        "T out, raw Y labels",
        """
        const long long row = i / width, column = i % width;
        out = x[rows[row] * width + column];
        if (column == 0) labels[row] = y[rows[row]];
        """,
        "xpnn_gather",
    )


@cache
def _take() -> Any:
    return cupy.ElementwiseKernel(
        "raw T x, raw I rows, int64 width",
        "T out",
        "out = x[rows[i / width] * width + i % width]",
        "xpnn_take",
    )


@cache
def _softmax() -> Any:
    return cupy.ElementwiseKernel(
        "raw T bias, bool biased, Y label, int64 n, int64 classes",
        "raw T z, T loss",
        """
        const long long at = i * classes;
        T top = z[at] + (biased ? bias[0] : (T)0), norm = 0;
        for (int j = 0; j < classes; ++j) {
            const T v = z[at + j] + (biased ? bias[j] : (T)0);
            z[at + j] = v;
            top = v > top ? v : top;
        }
        const T right = z[at + label] - top;
        for (int j = 0; j < classes; ++j) {
            const T e = exp(z[at + j] - top);
            z[at + j] = e;
            norm += e;
        }
        for (int j = 0; j < classes; ++j)
            z[at + j] = (z[at + j] / norm - (j == label ? (T)1 : (T)0)) / (T)n;
        loss = (log(norm) - right) / (T)n;
        """,
        "xpnn_softmax_cross_entropy",
    )


@cache
def _sum(expression: str, name: str) -> Any:
    return cupy.ReductionKernel("T x", "T y", expression, "a + b", "y = a", "0", name)


@cache
def _adam() -> Any:
    return cupy.ElementwiseKernel(
        "T g, T rate, T keep, T l2, int64 weights, T b1, T b2, T c1, T c2, T epsilon",
        "T theta, T m, T v",
        """
        const bool weight = i < weights;
        const T d = weight ? g + l2 * theta : g;
        m = b1 * m + c1 * d;
        v = b2 * v + c2 * (d * d);
        theta = (weight ? keep * theta : theta) - rate * m / (sqrt(v) + epsilon);
        """,
        "xpnn_adam",
    )


@cache
def _accumulate() -> Any:
    return cupy.ElementwiseKernel(
        "T value, T penalty, T half, T n",
        "T total",
        "total += n * (value + half * penalty)",
        "xpnn_accumulate",
    )


class CupyOps(Ops):
    """The operations as kernels; what has none goes by way of the array API."""

    def product(self, a: Array, b: Array, out: Array) -> None:
        """Write a matrix product into `out`; `matmul` would copy it there."""
        cupy.dot(a, b, out)

    def gather(self, data: Batch, rows: Array, into: Batch) -> None:
        """Copy some rows of features and targets in one launch, of weights in another."""
        (x, y, weight), (to_x, to_y, to_weight) = data, into
        if y.ndim == 1:
            _gather()(x, y, rows, x.shape[1], to_x, to_y)
        else:
            _take()(x, rows, x.shape[1], to_x)
            _take()(y, rows, y.shape[1], to_y)
        if weight is not None:
            _take()(weight, rows, 1, to_weight)

    def activate(
        self, z: Array, b: Array | None, activation: Any, drop: Drop | None
    ) -> tuple[Array, Any]:
        """Bias, activation and dropout in one launch, in place."""
        name = builtin_name(activation)
        if name not in _FORMULAS:
            return super().activate(z, b, activation, drop)
        bias = z if b is None else b
        _activate(name)(bias, b is not None, z.shape[1], *_drop_arguments(drop), z)
        return z, None

    def pull_back(
        self, g: Array, y: Array, saved: Any, activation: Any, drop: Drop | None, db: Array | None
    ) -> Array:
        """The gradient with respect to z, and the bias's, in one launch."""
        name = builtin_name(activation)
        if name not in _FORMULAS:
            return super().pull_back(g, y, saved, activation, drop, db)
        if g.size:
            kept, scale, *words = _drop_arguments(drop)
            (n, units), blocks = g.shape, -(-g.shape[1] // _COLUMNS)
            into = np.uintp(0) if db is None else db
            numbers = [np.uint32(kept), g.dtype.type(scale), *map(np.uint32, words)]
            arguments = (g, y, into, np.int32(n), np.int32(units), *numbers)
            _pull_back(name, g.dtype.name)((blocks,), (_COLUMNS, _LANES), arguments)
        return g

    def loss(
        self, z: Array, b: Array | None, y: Array, weight: Array | None, loss: Any, db: Array | None
    ) -> tuple[Array, Array]:
        """Softmax cross-entropy of class numbers in three launches, in place."""
        n, classes = z.shape
        few = n > 0 and classes <= _FEW_CLASSES
        if weight is not None or not few or not is_class_number(loss, y):
            return super().loss(z, b, y, weight, loss, db)
        rows = cupy.empty(n, dtype=z.dtype)
        _softmax()(z if b is None else b, b is not None, y, n, classes, z, rows)
        if db is not None:
            _sum("x", "xpnn_sum")(z, db, axis=0)
        return _sum("x", "xpnn_sum")(rows), z

    def update(self, rules: Rules, u: Update) -> tuple[tuple[Array, ...], Any]:
        """Adam in one launch, and one more for the penalty; others by themselves."""
        n, l2, o, penalty = rules.n_weights, u.l2, rules.optimizer, None
        if n is None or not is_builtin(o, "adam", "adamw") or not isinstance(l2, float):
            return super().update(rules, u)
        if l2:
            penalty = 0.5 * l2, _sum("x * x", "xpnn_sum_of_squares")(u.theta[:n])
        rate, shrink = (*u.coefficients, 0.0)[:2]
        betas = (o.beta_1, o.beta_2, 1.0 - o.beta_1, 1.0 - o.beta_2, o.epsilon)
        _adam()(u.gradient, rate, 1.0 - shrink, l2, n, *betas, u.theta, *u.moments)
        return u.moments, penalty

    def accumulate(self, total: Array, value: Array, penalty: Any, n: int) -> Array:
        """Add a batch's losses to the epoch's, in one launch and in place."""
        half, squares = penalty if isinstance(penalty, tuple) else (0.0, penalty)
        if squares is not None and not isinstance(penalty, tuple):
            return super().accumulate(total, value, penalty, n)
        _accumulate()(value, value if squares is None else squares, half, n, total)
        return total


def _drop_arguments(drop: Drop | None) -> tuple[Any, ...]:
    """Kept draws, their scale, the key's words and the first row, as the kernels take them."""
    if drop is None:
        return _KEEP_ALL, 1.0, 0, 0, 0
    kept = keep_count(drop.rate)
    return kept, 65536 / kept, *drop.key, drop.first_row
