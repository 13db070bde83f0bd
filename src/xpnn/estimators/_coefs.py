"""`coefs_` and `intercepts_`: lists that users read, and may assign to."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, SupportsIndex

import numpy as np
from array_api_compat import is_array_api_obj

from xpnn.arrays.backend import dtype_name
from xpnn.arrays.typing import Array
from xpnn.model.layout import Entry
from xpnn.model.network import Dense, Network

_REAL = ("float", "bfloat", "int", "uint", "bool")


class Parameters(list[Array]):
    """Arrays derived from an estimator's flat vector; assigning an item reaches the estimator.

    Pickled and copied it is a plain list.

    Parameters
    ----------
    arrays : iterable of arrays
    name : str
        The attribute whose items these are.
    """

    def __init__(self, arrays: Iterable[Array], owner: Any, name: str) -> None:
        super().__init__(arrays)
        self._owner, self._name = owner, name

    def __setitem__(self, index: SupportsIndex | slice, value: Any) -> None:
        changed = list(self)
        changed[index] = value
        setattr(self._owner, self._name, changed)
        super().__setitem__(index, value)

    def __reduce__(self) -> Any:
        return list, (list(self),)


def count_layers(network: Network) -> int:
    """Layers of units as scikit-learn counts them: the input's and each dense one."""
    return 1 + sum(isinstance(layer, Dense) for layer in network.layers)


def _entries(est: Any, role: str) -> list[Entry]:
    """Where the dense layers' parameters with a role lie."""
    layers, entries = est.network_.layers, est.network_.layout.entries
    return [e for e in entries if e.role == role and isinstance(layers[e.layer], Dense)]


def read_parameters(est: Any, name: str, role: str) -> Parameters:
    """Copies of the parameters with a role, in X's library and on its device."""
    if not hasattr(est, "network_"):
        raise AttributeError(f"{type(est).__name__} has no {name} before fit.")
    theta, layout, xp = est._state.theta, est.network_.layout, est._backend.xp
    with est._backend.device_context():
        parts = layout.split(theta, xp)
        arrays = [est._source.asarray(parts[e.name], copy=True) for e in _entries(est, role)]
    for a in arrays:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False  # a write would be lost; assign the item instead
    return Parameters(arrays, est, name)


def assign_parameters(est: Any, name: str, role: str, value: Iterable[Any]) -> None:
    """Replace the parameters with a role."""
    if not hasattr(est, "network_"):
        raise AttributeError(
            f"{type(est).__name__} has no {name} before fit: initialize(X, y) makes weights for "
            f"the shapes of X and y, and then {name} can be assigned. A network of scikit-learn's "
            "that was given weights so becomes one of these by xpnn.from_sklearn."
        )
    layout, backend, entries = est.network_.layout, est._backend, _entries(est, role)
    arrays = [a if is_array_api_obj(a) else np.asarray(a) for a in value]
    shapes = [tuple(np.shape(a)) for a in arrays]
    if shapes != [e.shape for e in entries]:
        raise ValueError(f"{name} must have the shapes {[e.shape for e in entries]}, got {shapes}.")
    for a in arrays:
        if not dtype_name(a.dtype).startswith(_REAL):
            raise ValueError(f"{name} must hold real numbers, got {a.dtype}.")
    with backend.device_context():
        xp = backend.xp
        parts = layout.split(est._state.theta, xp)
        for e, a in zip(entries, arrays, strict=True):
            parts[e.name] = backend.asarray(a, dtype=est._dtype)
        theta = layout.join(parts, xp)
        if not bool(xp.all(xp.isfinite(theta))):
            raise ValueError(f"{name} must be finite in {est._dtype}, got NaN or infinity.")
    # what was best before is not known of these
    est._state = replace(est._state, theta=theta, best=-math.inf, stale=0, best_weights=None)
