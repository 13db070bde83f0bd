"""A network's parameters as people write them: a list of (W, b), names, or one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend, to_numpy
from xpnn.arrays.typing import Array
from xpnn.model.layout import Entry
from xpnn.model.network import Network


def flat_parameters(network: Network, weights: Any, backend: Backend, dtype: str) -> Array:
    """A new vector of a network's parameters, on a device.

    Parameters
    ----------
    weights : array of shape (network.layout.size,), list, mapping, or Trace
        As one vector; as a list with ``(W, b)`` for each layer, W of shape (n_in, n_out), and
        ``W`` alone for a layer without bias; by the names of `network.layout`; or where a
        `Trace` ended.

    Returns
    -------
    array of shape (network.layout.size,)

    Examples
    --------
    >>> from xpnn import Dense, get_backend
    >>> net = Network((Dense(2, 1),))
    >>> flat_parameters(net, [([[0.5], [0.25]], 1.0)], get_backend("numpy"), "float64")
    array([0.5 , 0.25, 1.  ])
    """
    weights = getattr(weights, "theta", weights)
    if isinstance(weights, Mapping) or _by_layer(weights):
        vector: Any = _joined(network, weights)
    else:
        vector = weights
    theta = backend.asarray(vector, dtype=dtype, copy=True)
    if theta.shape != (network.layout.size,):
        raise ValueError(
            f"theta has shape {tuple(theta.shape)}, this network has {network.layout.size} "
            f"parameters: pass them as one vector or as a list of (W, b), {_shapes(network)}"
        )
    return theta


def start_buffers(network: Network, weights: Any, backend: Backend, dtype: str) -> Array:
    """The running statistics of batch normalization that training begins with, on a device.

    Parameters
    ----------
    weights
        As in `flat_parameters`: a Trace has statistics of its own.

    Returns
    -------
    array of shape (network.buffer_layout.size,)

    Examples
    --------
    >>> from xpnn import Dense, get_backend
    >>> net = Network((Dense(1, 2, normalization="batch"),))
    >>> start_buffers(net, None, get_backend("numpy"), "float64")
    array([0., 0., 1., 1.])
    """
    known = getattr(weights, "buffers", None)
    if known is not None and known.shape == (network.buffer_layout.size,):
        return backend.asarray(known, dtype=dtype, copy=True)
    entries = network.buffer_layout.entries
    parts = [np.full(e.size, float(e.part == "variance")) for e in entries]
    return backend.asarray(np.concatenate(parts) if parts else np.zeros(0), dtype=dtype)


def by_layer(network: Network, theta: Array, xp: Any) -> tuple[tuple[Array, ...], ...]:
    """For each layer its parameters, such as (W, b); what `flat_parameters` takes.

    Examples
    --------
    >>> from xpnn import Dense
    >>> [(w, b)] = by_layer(Network((Dense(2, 1),)), np.asarray([0.5, 0.25, 1.0]), np)
    >>> w.shape, b
    ((2, 1), array([1.]))
    """
    parts = network.layout.by_layer(theta, xp, len(network.layers))
    return tuple(tuple(layer.values()) for layer in parts)


def _by_layer(weights: Any) -> bool:
    if hasattr(weights, "__array__") or not isinstance(weights, Sequence):
        return False
    return not all(isinstance(w, Real) for w in weights)


def _joined(network: Network, weights: Any) -> np.ndarray:
    """The vector of parameters given by name, or layer by layer."""
    entries = network.layout.entries
    if isinstance(weights, Mapping):
        named = {e.name for e in entries}
        if set(weights) != named:
            raise ValueError(f"parameters {sorted(weights)} were given, expected {sorted(named)}")
        found = {e.name: weights[e.name] for e in entries}
    else:
        if len(weights) != len(network.layers):
            raise ValueError(
                f"weights of {len(weights)} layers were given, this network has "
                f"{len(network.layers)}: pass a list of (W, b), {_shapes(network)}"
            )
        found = {}
        for i, given in enumerate(weights):
            own = [e for e in entries if e.layer == i]
            found |= dict(zip((e.name for e in own), _of_layer(given, own, i), strict=True))
    return np.concatenate([np.zeros(0), *(_fitting(found[e.name], e).ravel() for e in entries)])


def _of_layer(given: Any, own: list[Entry], i: int) -> Sequence[Any]:
    """What was given for a layer, in the order of its parameters."""
    if isinstance(given, Mapping):
        given = list(given.values())
    lone = hasattr(given, "__array__") or (len(own) == 1 and np.ndim(given) == 2)
    parts = [given] if lone else list(given)
    if len(parts) != len(own):
        expected = ", ".join(f"{e.part} {e.shape}" for e in own)
        raise ValueError(
            f"layer {i} was given {len(parts)} arrays, expected {len(own)}: {expected or 'none'}"
        )
    return parts


def _fitting(value: Any, entry: Entry) -> np.ndarray:
    """A parameter as a host array of its shape; a vector will do for a single row or column."""
    found = np.asarray(to_numpy(value), dtype=np.float64)
    if found.ndim < len(entry.shape) and found.size == entry.size:
        return found.reshape(entry.shape)
    if found.shape != entry.shape:
        turned = " It is transposed: pass W.T." if found.shape == entry.shape[::-1] else ""
        raise ValueError(
            f"{entry.name} has the shape {found.shape}, expected {entry.shape}"
            f"{' (inputs, neurons)' if entry.part == 'weight' else ''}.{turned}"
        )
    return found


def _shapes(network: Network) -> str:
    return ", ".join(f"{e.name} {e.shape}" for e in network.layout.entries[:6])
