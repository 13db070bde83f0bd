"""Outputs of a network on NumPy arrays, compiled from C.

What is remembered between calls is a description of the network, never its parameters; what a call
works in is its own, so one network may predict in several threads at once.
"""

import ctypes
import weakref
from typing import Any, NamedTuple

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
    function,
    known_network,
    product_address,
    rows_in_one_piece,
)
from xpnn.steps.compiled.pool import Pool

_MOST = 64  # networks that are remembered
_FEWEST_PRODUCTS = 20_000_000  # multiplications of a thread's share: starting it takes its time
# Of more multiplications OpenBLAS shares a product among its threads, which look for more work for
# milliseconds afterwards on the processors that the next fit's threads need. One row is none.
_BLAS_ALONE = 4 * 65_536
_KNOWN: dict[tuple[int, np.dtype], "_Known"] = {}


class _Known(NamedTuple):
    """What is remembered of a network, and what keeps it."""

    network: Any  # a weak reference
    plan: Plan | None  # None for what is not built in
    at: int  # where the plan is
    table: Any
    work: int  # multiplications of a row
    n_in: int
    n_out: int


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
    if theta.dtype not in SUFFIXES or library() is None:
        return None
    _, plan, at, _, work, n_in, n_out = _known(network, theta.dtype)
    if plan is None or x.ndim != 2 or x.shape[1] != n_in:
        return None
    code = ACTIVATION_CODES[network.link.name] if link else 0
    if not theta.flags.c_contiguous:
        theta = np.ascontiguousarray(theta)
    x = rows_in_one_piece(x, theta.dtype)
    rows, stride = x.shape[0], x.strides[0] // x.itemsize
    out = np.empty((rows, n_out), dtype=theta.dtype)
    call = function("outputs", theta.dtype)
    where = (address(theta), address(buffers), address(x), stride, rows, code, address(out))
    parts = work * rows // _FEWEST_PRODUCTS
    if parts > 1:
        parts = min(parts, threads.blas_threads())
    if rows < 2 or work * rows <= _BLAS_ALONE:
        done = call(at, *where)
    elif parts < 2:
        with threads.one_blas_thread():
            done = call(at, *where)
    else:
        with threads.blas_turn() as alone:
            done = _shared(call, plan, parts if alone else 1, where)
    if not done:
        raise MemoryError(
            f"There is no memory for the outputs of {rows} rows: predict fewer at once."
        )
    return out


def _shared(call: Any, plan: Plan, parts: int, where: tuple[Any, ...]) -> int:
    """The same in several threads, by a plan of the call's own."""
    pool, own = Pool(library(), parts), Plan.from_buffer_copy(plan)
    own.pool, own.parts = pool.handle, pool.parts
    return int(call(ctypes.addressof(own), *where))


def _known(network: Any, dtype: np.dtype) -> _Known:
    """What is remembered of a network, from its first prediction on."""
    key = id(network), dtype
    known = _KNOWN.get(key)
    if known is not None and known.network() is network:
        return known
    plan, at, table, work = None, 0, None, 0
    known_link = ACTIVATIONS.get(network.link.name) == network.link
    if network.members == 1 and known_link and known_network(network, training=False):
        plan = Plan(parts=1, product=product_address(dtype))
        at, table = ctypes.addressof(plan), fill_network(plan, network, {})
        work = sum(d.n_in * d.n_out for d in network.layers)
    if len(_KNOWN) >= _MOST:
        _KNOWN.clear()
    about = plan, at, table, work, network.n_in, network.n_out
    known = _KNOWN[key] = _Known(weakref.ref(network), *about)
    return known
