"""Outputs of a network on NumPy arrays, compiled from C.

What is remembered between calls is a description of the network, never its parameters; what a call
works in is its own, so one network may predict in several threads at once.
"""

import ctypes
import weakref
from typing import Any

import numpy as np

from xpnn.parts.activations import ACTIVATIONS
from xpnn.steps import threads
from xpnn.steps.compiled import library
from xpnn.steps.compiled.plan import (
    ACTIVATION_CODES,
    SUFFIXES,
    Plan,
    address,
    fill_network,
    known_network,
    product_address,
    rows_in_one_piece,
)
from xpnn.steps.compiled.pool import Pool

_MOST = 64  # networks that are remembered
_FEWEST_PRODUCTS = 20_000_000  # multiplications of a thread's share: starting it takes its time
_Known = tuple[Any, Plan | None, Any, int]
_KNOWN: dict[tuple[int, np.dtype], _Known] = {}


def compiled_outputs(
    network: Any, theta: np.ndarray, buffers: np.ndarray, x: np.ndarray, link: bool
) -> np.ndarray | None:
    """The link of the raw outputs, or these themselves, shape (n, n_out); None if it cannot be.

    Parameters
    ----------
    network : xpnn.network.Network
    theta, buffers : ndarray
    x : ndarray of shape (n, n_in)
        Any floating dtype; computed in that of `theta`.
    link : bool
    """
    lib = library()
    if lib is None or theta.dtype not in SUFFIXES:
        return None
    _, plan, _, work = _known(network, theta.dtype)
    if plan is None or x.ndim != 2 or x.shape[1] != network.n_in:
        return None
    code = ACTIVATION_CODES[network.link.name] if link else 0
    theta, x = np.ascontiguousarray(theta), rows_in_one_piece(x, theta.dtype)
    out = np.empty((x.shape[0], network.n_out), dtype=theta.dtype)
    call = getattr(lib, f"xpnn_outputs_{SUFFIXES[theta.dtype]}")
    where = (address(theta), address(buffers), address(x))
    arguments = [ctypes.c_void_p(a) for a in where]
    arguments += [ctypes.c_int64(n) for n in (x.strides[0] // x.itemsize, x.shape[0], code)]
    arguments.append(ctypes.c_void_p(address(out)))
    parts = work * x.shape[0] // _FEWEST_PRODUCTS
    if parts > 1:
        parts = min(parts, threads.blas_threads())
    if parts < 2:
        done = call(ctypes.byref(plan), *arguments)
    else:
        with threads.one_blas_thread():
            done = _shared(lib, call, plan, parts, arguments)
    if not done:
        raise MemoryError(f"There is no memory for the outputs of {x.shape[0]} rows.")
    return out


def _shared(lib: Any, call: Any, plan: Plan, parts: int, arguments: list[Any]) -> int:
    """The same in several threads, by a plan of the call's own."""
    pool, own = Pool(lib, parts), Plan.from_buffer_copy(plan)
    own.pool, own.parts = pool.handle, pool.parts
    return int(call(ctypes.byref(own), *arguments))


def _known(network: Any, dtype: np.dtype) -> _Known:
    """The network's plan, None for what is not built in; and multiplications of a row."""
    key = id(network), dtype
    known = _KNOWN.get(key)
    if known is not None and known[0]() is network:
        return known
    plan, table, work = None, None, 0
    if (
        known_network(network, training=False)
        and ACTIVATIONS.get(network.link.name) is network.link
    ):
        plan = Plan(parts=1, product=product_address(dtype))
        table = fill_network(plan, network, {})
        work = sum(d.n_in * d.n_out for d in network.layers)
    if len(_KNOWN) >= _MOST:
        _KNOWN.clear()
    known = _KNOWN[key] = weakref.ref(network), plan, table, work
    return known
