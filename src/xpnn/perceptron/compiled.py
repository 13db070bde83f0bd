"""One perceptron epoch on the host, compiled: dense or CSR, every penalty.

`steps/compiled/perceptron.c` has the rule; this hands it the arrays.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron import reference
from xpnn.perceptron.reference import Data, Rule, State, scale_floor
from xpnn.steps.compiled import library


class _Problem(ctypes.Structure):
    """`xpnn_perceptron` of perceptron.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "columns", "starts", "y", "weight")),
        *((name, ctypes.c_void_p) for name in ("labels", "class_weight")),
        *((name, ctypes.c_int64) for name in ("features", "problems")),
        *((name, ctypes.c_void_p) for name in ("coef", "intercept", "norms", "clipped")),
        *((name, ctypes.c_void_p) for name in ("mean", "mean_intercept", "sums", "update")),
        *((name, ctypes.c_double) for name in ("scale", "clip", "t", "drift", "share")),
        *((name, ctypes.c_double) for name in ("eta", "shrink", "l2", "l1", "l1_step", "bias")),
        ("floor", ctypes.c_double),
        *((name, ctypes.c_int32) for name in ("penalized", "averaged", "zero_is_positive")),
    )


def epoch(state: State, data: Data, order: Array, rule: Rule, xp: Namespace) -> tuple[State, Array]:
    """`reference.epoch` on NumPy and CSR; batches of several rows go there."""
    if rule.batch_size > 1:
        return reference.epoch(state, data, order, rule, xp)
    real = state.coef.dtype
    k, d = state.coef.shape
    written = {
        "coef": np.array(state.coef, real, order="C"),
        "intercept": np.array(state.intercept, np.float64),
        "norms": np.array(state.norms, real, order="C"),
        "clipped": np.array(state.clipped, real, order="C"),
        "mean": np.array(state.mean, np.float64, order="C"),
        "mean_intercept": np.array(state.mean_intercept, np.float64),
        "sums": np.zeros((3, k)),
        "update": np.empty(k),
    }
    arrays = written | _rows(data, real)
    problem = _Problem(
        **{name: array.ctypes.data for name, array in arrays.items()},
        **{"features": d, "problems": k},
        **{"scale": state.scale, "clip": state.clip, "t": state.t, "drift": 0.0, "share": 1.0},
        **{"eta": rule.eta, "shrink": rule.shrink, "bias": rule.bias, "l1_step": rule.l1_step},
        l2=0.5 * rule.alpha * (1.0 - rule.l1_ratio),
        l1=rule.alpha * rule.l1_ratio,
        floor=scale_floor(real, xp),
        **{"penalized": rule.alpha > 0.0, "averaged": rule.average},
        zero_is_positive=rule.zero_is_positive,
    )
    order = np.ascontiguousarray(order, np.int64)
    visit = getattr(library(), f"xpnn_perceptron_rows_f{8 * real.itemsize}")
    visit(ctypes.byref(problem), ctypes.c_void_p(order.ctypes.data), ctypes.c_int64(len(order)))
    coef, intercept, norms, clipped, mean, mean_intercept, sums, _ = written.values()
    if rule.average:
        mean = (mean + problem.drift * coef) / problem.share
    weights = (coef, intercept, norms, clipped, mean, mean_intercept)
    return State(*weights, problem.scale, problem.clip, problem.t), sums


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
