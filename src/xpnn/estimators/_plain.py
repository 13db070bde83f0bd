"""A fitted estimator's attributes as plain data and NumPy arrays, and back: what a pickle holds.

So a pickle opens on machines without the library that the arrays were of, `skops.io` asks for one
trusted class, and `joblib.hash` finds the same in a copy. What is of the user's own, such as an
activation, stays as it is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.backend import Backend, DeviceError, backend_of, reopened, to_numpy
from xpnn.estimators._inputs import NUMPY, is_foreign
from xpnn.estimators._labels import Labels
from xpnn.model.network import Network
from xpnn.parts.optimizers import OPTIMIZERS
from xpnn.training.history import Curve
from xpnn.training.state import TrainingState

_KIND = "xpnn"  # the key that says what a dictionary was


class Kind(NamedTuple):
    """A class of ours whose objects are plain data in a pickle."""

    cls: type
    to_plain: Callable[[Any], dict[str, Any]]  # a ValueError: it holds the user's own
    from_plain: Callable[[dict[str, Any]], Any]


def _state_to_plain(state: TrainingState) -> dict[str, Any]:
    source = backend_of(state.theta)
    moved = state.moved(source, NUMPY)
    plain = {name: _in_order(v) for name, v in vars(moved).items() if name != "history"}
    curves = {name: [len(curve), curve.packed()] for name, curve in moved.history.items()}
    return {**plain, "history": curves, "device": source.name}


def _in_order(value: Any) -> Any:
    """Arrays in C order, as a pickle gives them back: joblib's hash is one of strides too."""
    if type(value) is tuple:
        return tuple(map(_in_order, value))
    if type(value) is not np.ndarray or (value.size and value.flags.c_contiguous):
        return value
    return np.ascontiguousarray(value) if value.size else np.zeros(value.shape, value.dtype)


def _state_from_plain(plain: dict[str, Any]) -> TrainingState:
    curves = {name: Curve.unpacked(*packed) for name, packed in plain["history"].items()}
    return TrainingState(**{**plain, "history": curves})


KINDS: dict[str, Kind] = {
    "state": Kind(TrainingState, _state_to_plain, _state_from_plain),
    "network": Kind(Network, Network.to_dict, Network.from_dict),
    "labels": Kind(Labels, lambda labels: dict(vars(labels)), lambda plain: Labels(**plain)),
}
"""By name; more stand beside their classes, see `OnDevice._kinds`."""


def pack(value: Any, kinds: dict[str, Kind]) -> Any:
    """A value as plain data, as far as it is ours."""
    if isinstance(value, Backend):
        return {_KIND: "backend", "device": value.name}
    if isinstance(value, type) and value in OPTIMIZERS.values():
        return {_KIND: "optimizer", "name": next(k for k, v in OPTIMIZERS.items() if v is value)}
    for name, kind in kinds.items():
        if type(value) is kind.cls:
            try:
                return {_KIND: name, **kind.to_plain(value)}
            except ValueError:
                return value
    if not isinstance(value, type) and is_foreign(value):
        values = np.array(to_numpy(value))
        return {_KIND: "array", "values": values, "device": backend_of(value).name}
    if type(value) is dict:
        return {k: pack(v, kinds) for k, v in value.items()}
    return _in_order(value)


def unpack(value: Any, kinds: dict[str, Kind], missing: dict[str, str]) -> Any:
    """The inverse of `pack`; for a device that is not usable, NumPy, and why in `missing`."""
    if type(value) is not dict:
        return value
    if _KIND not in value:
        return {k: unpack(v, kinds, missing) for k, v in value.items()}
    name, plain = value[_KIND], {k: v for k, v in value.items() if k != _KIND}
    if name == "optimizer":
        return OPTIMIZERS[plain["name"]]
    target = NUMPY
    if "device" in plain:
        device = plain.pop("device")
        try:
            target = reopened(device)
        except DeviceError as error:
            missing[device] = str(error)
    if name == "backend":
        return target
    if name == "array":
        return target.asarray(plain["values"])
    found = kinds[name].from_plain(plain)
    return found.moved(NUMPY, target) if isinstance(found, TrainingState) else found
