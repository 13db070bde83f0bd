"""Outputs of a network; on NumPy compiled, or in place in blocks of rows that stay in the cache.

Workspaces belong to a call, so one network may predict in several threads at once. What is
remembered between calls is where in the flat vector the weights lie; never the vector itself.
"""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import is_cupy_namespace

from xpnn.arrays.compiling import compiled_method
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.dense import Dense
from xpnn.steps.compiled.outputs import compiled_outputs
from xpnn.steps.numpy import builtin_name

_BLOCK = 1 << 18  # elements of the widest layer
_FEW = 256  # rows that make one block at any width
_MOST = 64
_PLANS: dict[int, tuple[Any, Any]] = {}


def _plan(network: Any) -> Any:
    """Where each layer's weights and biases lie, and its activation; () for other networks."""
    known = _PLANS.get(id(network))
    if known is not None and known[0]() is network:
        return known[1]
    plan: Any = ()
    plain = all(type(d) is Dense and not d.normalization for d in network.layers)
    if plain and network.members == 1:
        place = {e.name: slice(e.offset, e.offset + e.size) for e in network.layout.entries}
        plan = tuple(
            (
                place[f"weight_{i}"],
                (d.n_in, d.n_out),
                place.get(f"bias_{i}"),
                d.activation,
                builtin_name(d.activation),
            )
            for i, d in enumerate(network.layers)
        )
    if len(_PLANS) >= _MOST:
        _PLANS.clear()
    _PLANS[id(network)] = weakref.ref(network), plan
    return plan


def outputs_of(network: Any, method: str, xp: Namespace) -> Callable[..., Array]:
    """A network's `predict` or `forward` as a function of (theta, buffers, x, xp).

    Compiled where the library can, of kernels on CuPy.
    """
    if is_cupy_namespace(xp):
        from xpnn.steps.cuda.outputs import outputs

        return partial(outputs, network, method)
    function: Callable[..., Array] = compiled_method(network, method, xp)
    return function


def host_outputs(
    network: Any, theta: np.ndarray, buffers: np.ndarray, x: Any, method: str
) -> Array | None:
    """What a network's `predict` or `forward` gives; None for what only these can."""
    if network.members > 1:
        return _by_member(network, theta, buffers, x, method)
    found = compiled_outputs(network, theta, buffers, x, method == "predict")
    if found is not None:
        return found
    raw = host_forward(network, theta, x) if isinstance(x, np.ndarray) else None
    return raw if raw is None or method == "forward" else network.linked(raw, np)


def _by_member(
    network: Any, theta: np.ndarray, buffers: np.ndarray, x: Any, method: str
) -> Array | None:
    """The same of several members, each computed as a network of its own."""
    if x.ndim != 2:
        return None
    one, found = network.one_member, list[Array]()
    each = network.layout.by_member(theta, np), network.buffer_layout.by_member(buffers, np)
    for weights, state in zip(*each, strict=True):
        outputs = host_outputs(one, weights, state, x, method)
        if outputs is None:
            return None
        found.append(outputs)
    return np.mean(found, axis=0) if method == "predict" else np.stack(found)


def host_forward(network: Any, theta: np.ndarray, x: np.ndarray) -> Array | None:
    """Raw outputs, shape (n, n_out), of inputs of shape (n, n_in); None for other networks.

    Parameters
    ----------
    network : xpnn.network.Network
    x : ndarray of shape (n, n_in)
        Any floating dtype; computed in that of `theta`.
    """
    plan = _plan(network)
    if not plan:
        return None
    layers = [
        (theta[w].reshape(shape), None if b is None else theta[b], *rest)
        for w, shape, b, *rest in plan
    ]
    if x.dtype != theta.dtype:
        x = x.astype(theta.dtype)
    n, size = x.shape[0], _FEW
    if n <= size:
        return _block(layers, x)
    size = max(size, _BLOCK // max(w.shape[1] for w, *_ in layers))
    out = np.empty((n, layers[-1][0].shape[1]), dtype=theta.dtype)
    for i in range(0, n, size):
        out[i : i + size] = _block(layers, x[i : i + size])
    return out


def _block(layers: Any, x: np.ndarray) -> Array:
    for w, b, activation, name in layers:
        x = np.matmul(x, w)
        if b is not None:
            x += b
        if name == "relu":
            np.maximum(x, 0.0, out=x)
        elif name != "identity":
            x = activation.value(x, np) if name else activation(x, np)  # the user's own is checked
    return x
