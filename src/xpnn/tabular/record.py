"""A fitted tabular estimator as plain data and NumPy arrays, and back: what a model file holds."""

from dataclasses import asdict
from typing import Any

import numpy as np

from xpnn.estimators import _record as record
from xpnn.estimators._labels import Labels
from xpnn.model.network import Network
from xpnn.tables.encoding import Encoding
from xpnn.tabular.recipe import Recipe
from xpnn.tabular.sound import check_arrays, check_attributes

_ATTRIBUTES = ("n_features_in_", "valleys_", "history_", "fit_time_", "outcome_", "_columns")
_PERHAPS = ("feature_names_in_", "importance_", "target_name_")
_OF_CLASSES = ("temperature_", "validation_score_", "validation_log_loss_")
_OF_NUMBERS = ("validation_score_", "_vector", "quantiles_", "log_share_")
_TARGET = ("_center", "_spread", "_low", "_high")


def to_record(estimator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and host arrays of a fitted tabular estimator.

    Parameters
    ----------
    estimator : fitted TabularClassifier or TabularRegressor
    """
    classes = hasattr(estimator, "_labels")
    names = _ATTRIBUTES + _PERHAPS + (_OF_CLASSES if classes else _OF_NUMBERS)
    header = {
        "params": record.plain_params(estimator),
        "encoding": estimator.encoding_.to_dict(),
        "recipe": asdict(estimator.recipe_),
        "network": estimator.network_.to_dict(),
        "dtype": estimator._dtype,
        "weights": estimator._weights,
        "attributes": record.attributes_of(estimator, names),
    }
    to_numpy = estimator._backend.to_numpy
    arrays = {name: to_numpy(a) for name, a in estimator._arrays.items()}
    arrays |= {"folds": estimator._folds, "held": estimator._held}
    arrays["oof_prediction"] = estimator.oof_prediction_
    if classes:
        header["labels"] = vars(estimator._labels)
    else:
        arrays |= {name: getattr(estimator, name) for name in _TARGET}
        arrays["residuals"] = estimator._residuals
    return header, arrays


def from_record(cls: type, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A fitted tabular estimator of NumPy arrays, working on its `device` if that is here.

    Raises
    ------
    ValueError, LookupError, TypeError
        For a header or arrays that do not fit together.
    """
    estimator = record.unfitted(cls, header["params"])
    classes = "labels" in header
    attributes, arrays = _todays(header["attributes"], arrays, classes)
    check_attributes(attributes, _ATTRIBUTES + (_OF_CLASSES if classes else _OF_NUMBERS), _PERHAPS)
    for name, value in attributes.items():
        setattr(estimator, name, value)
    given = dict(header["recipe"])
    estimator.recipe_ = Recipe(**{**given, "hidden": tuple(given["hidden"])})
    estimator.encoding_ = Encoding.from_dict(header["encoding"])
    if header["dtype"] not in ("float32", "float64"):
        raise ValueError(f"its dtype is {header['dtype']!r}")
    network = estimator.network_ = Network.from_dict(header["network"])
    estimator._n_out = network.n_out
    estimator._weights = header["weights"]
    check_arrays(estimator, header, arrays, () if classes else _TARGET)
    if not {c.name for c in estimator.encoding_.columns} <= set(estimator._columns):
        raise ValueError("its encoding is of other columns")
    if classes:
        labels = estimator._labels = Labels(**header["labels"])
        labels.check(labels.n_outputs)
        estimator.classes_ = labels.classes
        if labels.classes.shape != (network.n_out,):
            raise ValueError("it has not one output for each class")
    else:
        for name in _TARGET:
            setattr(estimator, name, arrays[name])
        estimator._residuals = arrays["residuals"]
    estimator._folds, estimator._held = arrays["folds"], arrays["held"]
    estimator.oof_prediction_ = arrays["oof_prediction"]
    names = [n for n in arrays if n.startswith(("theta_", "buffers_"))]
    backend = record.settle(estimator, header["dtype"])
    estimator._arrays = {n: backend.asarray(arrays[n], dtype=header["dtype"]) for n in names}
    return estimator


def _todays(
    attributes: dict[str, Any], arrays: dict[str, np.ndarray], classes: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the first model files named otherwise: they held raw outputs and had no logarithms."""
    if "raw" not in arrays:
        return attributes, arrays
    arrays = {"held" if name == "raw" else name: a for name, a in arrays.items()}
    return (attributes if classes else {**attributes, "log_share_": None}), arrays
