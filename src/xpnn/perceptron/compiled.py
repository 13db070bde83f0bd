"""One perceptron epoch on the host, compiled: dense or CSR, every penalty.

`steps/compiled/perceptron.c` has the rule; this hands it the arrays.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron.reference import Data, Rule, State, Stop, scale_floor
from xpnn.steps.compiled import library
from xpnn.steps.compiled.finite import all_finite
from xpnn.training.interrupt import never

_KEPT = 8  # KEPT in perceptron.c
_AT_ONCE = 1 << 21  # weights that one call visits: some milliseconds, then Ctrl-C is looked at


class _Problem(ctypes.Structure):
    """`xpnn_perceptron` of perceptron.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "columns", "starts", "y", "weight")),
        *((name, ctypes.c_void_p) for name in ("labels", "class_weight")),
        *((name, ctypes.c_int64) for name in ("features", "problems")),
        *((name, ctypes.c_void_p) for name in ("coef", "intercept", "norms", "clipped")),
        *((name, ctypes.c_void_p) for name in ("mean", "mean_intercept", "sums", "update")),
        *(("products", ctypes.c_void_p), ("kept", ctypes.c_int64)),
        ("of_problem", ctypes.c_int64 * _KEPT),
        *((name, ctypes.c_double * _KEPT) for name in ("with_sign", "with_intercept")),
        *((name, ctypes.c_double) for name in ("scale", "clip", "t", "drift", "share")),
        *((name, ctypes.c_double) for name in ("eta", "shrink", "l2", "l1", "l1_step", "bias")),
        ("floor", ctypes.c_double),
        *((name, ctypes.c_int32) for name in ("penalized", "averaged", "zero_is_positive")),
        ("not_finite", ctypes.c_int32),
    )


def epoch(
    state: State,
    data: Data,
    order: Array,
    rule: Rule,
    xp: Namespace,
    stop: Stop = never,
    sums: Array | None = None,
) -> tuple[State, Array]:
    """`reference.epoch` on NumPy and CSR; a ValueError for rows with NaN or an infinity."""
    real = state.coef.dtype
    weights, rows = _weights(state, sums), _rows(data, real)
    problem = _Problem(
        **{name: array.ctypes.data for name, array in (weights | rows).items()},
        **{name: getattr(state, name) for name in ("scale", "clip", "t")},
        **{name: getattr(rule, name) for name in ("eta", "shrink", "l1_step", "bias")},
        features=state.coef.shape[1],
        problems=state.coef.shape[0],
        drift=0.0,
        share=1.0,
        l2=0.5 * rule.alpha * (1.0 - rule.l1_ratio),
        l1=rule.alpha * rule.l1_ratio,
        floor=scale_floor(real),
        penalized=rule.alpha > 0.0,
        averaged=rule.average,
        zero_is_positive=rule.zero_is_positive,
    )
    visit = getattr(_library(), f"xpnn_perceptron_rows_f{8 * real.itemsize}")
    order = np.ascontiguousarray(order, np.int64)
    for first, last in _parts(len(order), state.coef.size, data.x):
        if stop():
            break
        address = order.ctypes.data + first * order.itemsize
        count = ctypes.c_int64(last - first)
        visit(ctypes.byref(problem), ctypes.c_void_p(address), count)
    if problem.not_finite and all_finite(rows["x"]) is False:  # else the weights overflow
        raise ValueError("the rows have NaN or an infinity.")
    if rule.average:
        weights["mean"] = (weights["mean"] + problem.drift * weights["coef"]) / problem.share
    found = {name: array for name, array in weights.items() if name in State._fields}
    found |= {name: getattr(problem, name) for name in ("scale", "clip", "t")}
    return State(**found), weights["sums"]


def permutation(n: int, seed: int) -> np.ndarray:
    """`choice.permutation`."""
    order = np.empty(n, np.int64)
    address = ctypes.c_void_p(order.ctypes.data)
    _library().xpnn_permutation(address, ctypes.c_int64(n), ctypes.c_uint32(seed))
    return order


def _library() -> ctypes.CDLL:
    found = library()
    assert found is not None, "chosen where there is one"
    return found


def _weights(state: State, sums: Array | None) -> dict[str, Array]:
    """What an epoch writes: copies, in the dtypes that scikit-learn computes them in."""
    real = state.coef.dtype
    dtypes = {"coef": real, "intercept": np.float64, "norms": real, "clipped": real}
    dtypes |= {"mean": np.float64, "mean_intercept": np.float64}
    found = {name: np.array(getattr(state, name), t, order="C") for name, t in dtypes.items()}
    k, d = found["coef"].shape
    found |= {"sums": np.zeros((3, k)) if sums is None else np.array(sums), "update": np.empty(k)}
    return found | {"products": np.zeros((_KEPT, d))}


def _rows(data: Data, real: Any) -> dict[str, Array]:
    """The samples, as the library takes them; copied only where they are not so already."""
    x = data.x
    rows = {"y": (data.y, np.int32), "weight": (data.weight, real)}
    rows |= {"labels": (data.labels, np.int32), "class_weight": (data.class_weight, real)}
    if isinstance(x, np.ndarray):
        rows["x"] = (x, real)
    else:
        rows |= {"x": (x.data, real), "columns": (x.indices, np.int32)}
        rows["starts"] = (x.indptr, np.int64)
    return {name: np.ascontiguousarray(a, dtype) for name, (a, dtype) in rows.items()}


def _parts(n: int, weights: int, x: Any) -> list[tuple[int, int]]:
    """First and last row of each call."""
    if not isinstance(x, np.ndarray):
        weights = weights * x.nnz // max(1, x.shape[0] * x.shape[1])  # those of a row
    size = max(1, _AT_ONCE // max(1, weights))
    return [(first, min(n, first + size)) for first in range(0, n, size)]
