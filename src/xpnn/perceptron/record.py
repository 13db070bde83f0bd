"""A fitted `Perceptron` as plain data and NumPy arrays, and back."""

from typing import Any

import numpy as np
import scipy.sparse

from xpnn.arrays.backend import to_numpy
from xpnn.estimators import _record as record
from xpnn.estimators._labels import Labels
from xpnn.estimators._sound import check_names
from xpnn.training.data import dense, is_sparse
from xpnn.training.sound import check_count, check_range

_NAMES = "feature_names_in_"  # where there are some
_RECORDED = ("n_features_in_", _NAMES, "n_iter_", "t_", "history_")
_WEIGHTS = ("coef", "intercept")
_LAST = (*_WEIGHTS, "mean", "mean_intercept")  # of average=True: where training goes on


def to_record(estimator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and host arrays of a fitted Perceptron.

    Raises
    ------
    ValueError
        For weights of the user's own that do not fit the estimator.
    """
    coef = to_numpy(dense(estimator.coef_))
    arrays = {"coef": coef, "intercept": to_numpy(estimator.intercept_)}
    arrays |= {f"last_{k}": to_numpy(v) for k, v in getattr(estimator, "_last", {}).items()}
    _check_arrays(arrays, estimator._labels, estimator.n_features_in_)
    header = {
        "params": record.plain_params(estimator),
        "attributes": record.attributes_of(estimator, _RECORDED),
        "labels": vars(estimator._labels),
        "sparse": is_sparse(estimator.coef_),
    }
    return header, arrays


def from_record(cls: type, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A fitted Perceptron of NumPy arrays, working on its `device` if that is here.

    Raises
    ------
    ValueError, LookupError, TypeError
        For a header or arrays that do not fit together.
    """
    estimator = record.unfitted(cls, header["params"])
    labels, attributes = Labels(**header["labels"]), header["attributes"]
    _check_attributes(attributes)
    _check_arrays(arrays, labels, attributes["n_features_in_"])
    for name, value in attributes.items():
        setattr(estimator, name, value)
    estimator._labels, estimator.classes_ = labels, labels.classes
    estimator.coef_, estimator.intercept_ = arrays["coef"], arrays["intercept"]
    if header["sparse"]:
        estimator.coef_ = scipy.sparse.csr_matrix(estimator.coef_)
    if len(arrays) > len(_WEIGHTS):
        estimator._last = {name: arrays[f"last_{name}"] for name in _LAST}
    record.settle(estimator, arrays["coef"].dtype.name)
    return estimator


def _check_attributes(given: dict[str, Any]) -> None:
    check_names(given, set(_RECORDED) - {_NAMES}, {_NAMES})
    check_count("n_iter_", given["n_iter_"], low=1)
    if type(given["t_"]) is not float or not 1.0 <= given["t_"] < np.inf:
        raise ValueError(f"its t_ is {given['t_']!r}")


def _check_arrays(arrays: dict[str, np.ndarray], labels: Labels, d: int) -> None:
    """Raise a ValueError unless the arrays are the weights of these labels and d features."""
    binary = isinstance(labels.classes, np.ndarray) and labels.classes.shape == (2,)
    if labels.kind != ("binary" if binary else "multiclass"):
        raise ValueError(f"{labels.kind} labels {labels.classes!r}")
    k = 1 if binary else len(labels.classes)
    labels.check(k)
    names = {*_WEIGHTS, *(f"last_{n}" for n in _LAST if len(arrays) > len(_WEIGHTS))}
    if set(arrays) != names:
        raise ValueError(f"its arrays are {', '.join(sorted(arrays))}")
    dtype = arrays["coef"].dtype
    for name, array in arrays.items():
        shape = (k,) if name.endswith("intercept") else (k, d)
        if array.shape != shape or array.dtype != dtype or dtype not in ("float32", "float64"):
            raise ValueError(
                f"{name} is {array.dtype} of shape {array.shape}, expected floats {shape}"
            )
        check_range(name, array)
