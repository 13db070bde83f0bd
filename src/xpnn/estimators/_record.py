"""A fitted estimator as plain data and NumPy arrays, and back: what a model file holds."""

import dataclasses
import inspect
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend, DeviceError, dtype_name, get_backend
from xpnn.arrays.libraries import device_name
from xpnn.estimators._checks import check_parameters
from xpnn.estimators._labels import Labels
from xpnn.estimators._sound import check_arrays, check_attributes, check_learning
from xpnn.model.network import Group, Network
from xpnn.parts.activations import ACTIVATIONS, Activation, get_activation
from xpnn.parts.initializers import INITIALIZERS, Initializer, get_initializer
from xpnn.parts.losses import LOSSES, Loss, get_loss
from xpnn.parts.optimizers import OPTIMIZERS, get_optimizer
from xpnn.parts.schedules import SCHEDULES, Schedule, get_schedule
from xpnn.training.sound import check_state
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
    for name, named in (("device", device_name), ("dtype", dtype_name)):
        if params.get(name) is not None:
            params[name] = named(params[name])
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
    _check_kinds(params)
    estimator = cls(**params)
    check_parameters(estimator)
    return estimator


def _check_kinds(params: dict[str, Any]) -> None:
    """Raise a ValueError for an entry where one of another kind belongs: all can be called."""
    kinds = {"activation": Activation, "learning_rate": Schedule, "loss": Loss}
    kinds |= {"initializer": Initializer}
    for name, value in params.items():
        for entry in value if isinstance(value, list | tuple) else [value]:
            if callable(entry) and not isinstance(entry, kinds.get(name, ())):
                raise ValueError(f"its {name} is {value!r}")


def to_record(estimator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and host arrays of a fitted estimator.

    Parameters
    ----------
    estimator : fitted BaseMLP

    Raises
    ------
    ValueError
        For an activation of the user's own; other code is refused by `xpnn.files.record.encode`.
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
    _check_that_it_opens(estimator, header, arrays)
    return header, arrays


def _check_that_it_opens(estimator: Any, header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Raise a ValueError for what `from_record` would refuse, while it can be mended."""
    optimizer = OPTIMIZERS[header["moments_of"]] if "moments_of" in header else None
    try:
        if all(np.isfinite(a).all() for a in arrays.values()):  # else write_record says so
            check_arrays(arrays, estimator.network_, header["dtype"], optimizer)
        check_learning(estimator)
    except ValueError as error:
        raise ValueError(f"Cannot save this {type(estimator).__name__}: {error}") from error


def from_record(cls: type, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A fitted estimator whose arrays are NumPy, working on its `device` if that is here.

    Raises
    ------
    ValueError, LookupError, TypeError
        For a header or arrays that do not fit together.
    """
    estimator = unfitted(cls, header["params"])
    network, dtype = Network.from_dict(header["network"]), header["dtype"]
    optimizer = OPTIMIZERS[header["moments_of"]] if "moments_of" in header else None
    check_arrays(arrays, network, dtype, optimizer)
    state = {k: header["state"][k] for k in SCALARS}
    check_state(state)
    state["best_weights"] = None
    if "best_theta" in arrays:
        state["best_weights"] = (arrays["best_theta"], arrays["best_buffers"], ())
    moments = tuple(
        arrays[f"moment_{i}"] for i in range(0 if optimizer is None else optimizer.moments)
    )
    estimator.network_, estimator._dtype, estimator._moments_of = network, dtype, optimizer
    estimator._source = estimator._backend = get_backend("numpy")
    estimator._state = TrainingState(arrays["theta"], arrays["buffers"], moments, **state)
    attributes = header["attributes"]
    classifier = isinstance(estimator, ClassifierMixin)
    check_attributes(attributes, network, classifier, _RECORDED)
    vars(estimator).update(attributes)
    del vars(estimator)["out_activation_"]  # read from the network
    if classifier:
        estimator._labels = Labels(**header["labels"])
        estimator._labels.check(estimator.n_outputs_)
        estimator.classes_ = estimator._labels.classes
    check_learning(estimator)
    target = work_place(estimator)
    estimator._state = estimator._state.moved(estimator._backend, target)
    estimator._backend = target
    estimator._adopt(estimator._state, 0)
    vars(estimator).update((k, attributes[k]) for k in _COUNTED if k in attributes)
    return estimator


def settle(estimator: Any, dtype: str) -> Backend:
    """Say where an estimator of a file works, and in which dtype; a DeviceError for one unknown."""
    estimator._source, estimator._dtype = get_backend("numpy"), dtype
    estimator._backend = work_place(estimator)
    estimator._backend.float_dtype(dtype)
    backend: Backend = estimator._backend
    return backend


def work_place(estimator: Any) -> Backend:
    """Its `device`, or NumPy with a warning and `device` None where that is not here."""
    if estimator.device is not None:
        try:
            return get_backend(estimator.device)
        except DeviceError as error:
            warn_user(f"{error}. The model is on NumPy and follows X.")
            estimator.device = None
    return get_backend("numpy")
