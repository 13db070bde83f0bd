"""A fitted estimator as plain data and NumPy arrays, and back: what a model file holds."""

import dataclasses
import inspect
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend, DeviceError, get_backend
from xpnn.estimators._checks import check_parameters
from xpnn.estimators._coefs import count_layers
from xpnn.estimators._labels import Labels
from xpnn.model.network import Group, Network
from xpnn.parts.activations import ACTIVATIONS, Activation, get_activation
from xpnn.parts.initializers import INITIALIZERS, Initializer, get_initializer
from xpnn.parts.losses import LOSSES, Loss, get_loss
from xpnn.parts.optimizers import OPTIMIZERS, get_optimizer
from xpnn.parts.schedules import SCHEDULES, Schedule, get_schedule
from xpnn.training.state import SCALARS, TrainingState

_ENTRIES: dict[str, tuple[Any, Any, Any]] = {
    "loss": (Loss, LOSSES, get_loss),
    "schedule": (Schedule, SCHEDULES, get_schedule),
    "initializer": (Initializer, INITIALIZERS, get_initializer),
}
# What runs, or belongs to one process alone, is left out of a file; fit does without.
_LEFT_OUT = {"callbacks": None, "random_state": None, "monitor": "auto"}
# Parameters that files of earlier versions lack: they have their defaults.
_ADDED = ("embedding", "members", "groups")
# Fitted attributes of plain data that do not follow from the others. Format 1 lacks `_COUNTED`.
_COUNTED = ("n_iter_", "loss_")
_RECORDED = (
    *_COUNTED,
    "n_features_in_",
    "feature_names_in_",
    "n_outputs_",
    "n_layers_",
    "out_activation_",
    "_vector",
)


def plain(value: Any) -> Any:
    """A parameter as plain data: built-in entries by name; others unchanged."""
    if isinstance(value, Backend):
        return value.name
    if isinstance(value, list | tuple):
        return type(value)(plain(v) for v in value)
    if type(value) is dict:
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, Group):
        return {"entry": "group", "name": "", "params": dataclasses.asdict(value)}
    if isinstance(value, Activation) and ACTIVATIONS.get(value.name) == value:
        return {"entry": "activation", "name": value.name, "params": {}}
    for kind, (cls, table, _) in _ENTRIES.items():
        if isinstance(value, cls) and _same_rule(value, table.get(value.name)):
            return {"entry": kind, "name": value.name, "params": dict(value.params)}
    if type(value) in OPTIMIZERS.values():
        params = dataclasses.asdict(value)
        return {"entry": "optimizer", "name": value.name, "params": params}
    return value


def _same_rule(value: Any, known: Any) -> bool:
    return known is not None and value.function is known.function


def rebuilt(value: Any) -> Any:
    """The inverse of `plain`."""
    if isinstance(value, list | tuple):
        return type(value)(rebuilt(v) for v in value)
    if not isinstance(value, dict):
        return value
    if set(value) != {"entry", "name", "params"}:
        return {k: rebuilt(v) for k, v in value.items()}
    if value["entry"] == "group":
        return Group(**value["params"])
    if value["entry"] == "activation":
        return get_activation(value["name"])
    make = get_optimizer if value["entry"] == "optimizer" else _ENTRIES[value["entry"]][2]
    return make(value["name"], **value["params"])


def plain_params(estimator: Any) -> dict[str, Any]:
    """Its parameters as plain data, without what a file leaves out."""
    params = {k: plain(v) for k, v in estimator.get_params(deep=False).items()}
    for name, substitute in _LEFT_OUT.items():
        if name in params and not isinstance(params[name], int | str):
            params[name] = substitute
    return params


def attributes_of(estimator: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the attributes that it has."""
    return {name: getattr(estimator, name) for name in names if hasattr(estimator, name)}


def unfitted(cls: type, plain_params: dict[str, Any]) -> Any:
    """An estimator with these parameters, all checked."""
    known = dict(inspect.signature(cls.__init__).parameters)  # type: ignore[misc]
    del known["self"]
    params: dict[str, Any] = {k: known[k].default for k in _ADDED if k in known}
    params |= {k: rebuilt(v) for k, v in plain_params.items()}
    if set(params) != set(known):
        raise ValueError(f"its parameters are not those of {cls.__name__}")
    estimator = cls(**params)
    check_parameters(estimator)
    return estimator


def to_record(estimator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and host arrays of a fitted estimator.

    Parameters
    ----------
    estimator : fitted BaseMLP

    Raises
    ------
    ValueError
        For an activation of the user's own; other code is refused by `xpnn.files.encode`.
    """
    state, to_numpy = estimator._state, estimator._backend.to_numpy
    header = {
        "params": plain_params(estimator),
        "network": estimator.network_.to_dict(),
        "state": state.scalars(),
        "dtype": estimator._dtype,
        "attributes": attributes_of(estimator, _RECORDED),
    }
    if isinstance(estimator, ClassifierMixin):
        header["labels"] = vars(estimator._labels)
    arrays = {"theta": to_numpy(state.theta), "buffers": to_numpy(state.buffers)}
    if state.best_weights is not None:
        best, buffers, _ = state.best_weights  # without moments
        arrays |= {"best_theta": to_numpy(best), "best_buffers": to_numpy(buffers)}
    if estimator._moments_of in OPTIMIZERS.values():
        header["moments_of"] = estimator._moments_of.name
        arrays |= {f"moment_{i}": to_numpy(a) for i, a in enumerate(state.moments)}
    return header, arrays


def from_record(cls: type, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A fitted estimator whose arrays are NumPy, working on its `device` if that is here.

    Raises
    ------
    ValueError, LookupError, TypeError
        For a header or arrays that do not fit together.
    """
    estimator = unfitted(cls, header["params"])
    network, dtype = Network.from_dict(header["network"]), header["dtype"]
    if dtype not in ("float32", "float64"):
        raise ValueError(f"its dtype is {dtype!r}")
    for name, array in arrays.items():
        size = (network.buffer_layout if name.endswith("buffers") else network.layout).size
        if array.shape != (size,) or array.dtype != dtype:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, not {size} {dtype}")
    state = {k: header["state"][k] for k in SCALARS}
    _check_state(state)
    state["best_weights"], others = None, 2
    if {"best_theta", "best_buffers"} & set(arrays):
        state["best_weights"], others = (arrays["best_theta"], arrays["best_buffers"], ()), 4
    moments = tuple(arrays[f"moment_{i}"] for i in range(len(arrays) - others))
    estimator.network_, estimator._dtype = network, dtype
    estimator._source = estimator._backend = get_backend("numpy")
    estimator._moments_of = OPTIMIZERS[header["moments_of"]] if "moments_of" in header else None
    estimator._state = TrainingState(arrays["theta"], arrays["buffers"], moments, **state)
    attributes = header["attributes"]
    _check_attributes(attributes, network, isinstance(estimator, ClassifierMixin))
    vars(estimator).update(attributes)
    if isinstance(estimator, ClassifierMixin):
        estimator._labels = Labels(**header["labels"])
        estimator._labels.check(estimator.n_outputs_)
        estimator.classes_ = estimator._labels.classes
    target = work_place(estimator)
    estimator._state = estimator._state.moved(estimator._backend, target)
    estimator._backend = target
    estimator._adopt(estimator._state, 0)
    vars(estimator).update((k, attributes[k]) for k in _COUNTED if k in attributes)
    return estimator


def _check_attributes(given: dict[str, Any], network: Network, classifier: bool) -> None:
    n_in, n_out = network.layers[0].n_in, network.layers[-1].n_out
    facts: dict[str, Any] = {"n_features_in_": n_in, "n_outputs_": n_out}
    facts["n_layers_"] = count_layers(network)
    text = given["out_activation_"]
    check_feature_names(given, n_in)
    right = all(type(given[name]) is int and given[name] == n for name, n in facts.items())
    right = right and set(given) <= set(_RECORDED) and isinstance(text, str)
    right = right and type(given.get("n_iter_", 0)) is int and given.get("n_iter_", 0) >= 0
    right = right and type(given.get("loss_", 0.0)) is float
    if not classifier:
        right = right and type(given["_vector"]) is bool and (n_out == 1 or not given["_vector"])
    if not right:
        raise ValueError("its attributes are not those of its network")


def check_feature_names(given: dict[str, Any], n_in: int) -> None:
    """Raise a ValueError unless there are no names, or one for each feature."""
    if "feature_names_in_" in given:
        names = given["feature_names_in_"]
        if not isinstance(names, np.ndarray) or names.shape != (n_in,):
            raise ValueError(f"its features have the names {names!r}")


def _check_state(state: dict[str, Any]) -> None:
    for name in ("seed", "step", "t", "samples", "epoch", "plateaus", "stale"):
        if isinstance(state[name], bool) or not isinstance(state[name], int) or state[name] < 0:
            raise ValueError(f"its {name} is {state[name]!r}")
    if not isinstance(state["monitor"], str):
        raise ValueError(f"its monitor is {state['monitor']!r}")
    if not isinstance(state["best"], float):
        raise ValueError(f"its best is {state['best']!r}")
    check_history(state["history"])


def check_history(history: Any) -> None:
    """Raise a ValueError unless this is what `history_` can be."""
    if not isinstance(history, dict):
        raise ValueError("its history is no table")
    for curve in history.values():
        if not isinstance(curve, list) or not all(isinstance(v, float) for v in curve):
            raise ValueError("its history is no table of numbers")


def work_place(estimator: Any) -> Backend:
    """Its `device`, or NumPy with a warning and `device` None where that is not here."""
    if estimator.device is not None:
        try:
            return get_backend(estimator.device)
        except DeviceError as error:
            warn_user(f"{error}. The model is on NumPy and follows X.")
            estimator.device = None
    return get_backend("numpy")
