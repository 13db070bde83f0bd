"""Outputs of a network on NumPy arrays, compiled from C.

What is remembered between calls is a description of the network, never its parameters; what a call
works in is its own, so one network may predict in several threads at once.
"""

import ctypes
import weakref
from typing import Any, NamedTuple

import numpy as np

from xpnn.model.dense import Dense
from xpnn.parts.activations import ACTIVATIONS
from xpnn.steps import threads
from xpnn.steps.compiled import library, tiles
from xpnn.steps.compiled.plan import (
    ACTIVATION_CODES,
    SUFFIXES,
    Plan,
    address,
    fill_network,
    function,
    has_whole_rows,
    is_sound_csr,
    keeps_to_thread,
    known_network,
    place_rows,
    product_address,
    rows_in_one_piece,
)
from xpnn.steps.compiled.pool import Pool

_MOST = 64  # networks that are remembered
_FEWEST_PRODUCTS = 20_000_000  # multiplications of a thread's share: starting it takes its time
_APART = 3e8  # multiplications between two looks at Ctrl-C: less than a twentieth of a second
_COPIED = 1 << 20  # numbers that are converted at a time
_SHORT = 16_000_000  # multiplications of a call: for more, a limit of BLAS's threads is no delay
_KNOWN: dict[tuple[int, np.dtype], "_Known"] = {}


class _Known(NamedTuple):
    """What is remembered of a network, and what keeps it."""

    network: Any  # a weak reference
    plan: Plan | None  # None for what is not built in
    at: int  # where the plan is
    table: Any
    work: int  # multiplications of a row
    most: int  # and of its largest product
    n_in: int
    n_out: int
    of_input: int  # multiplications of an input in the first layer
    passes: int  # what all that is no product takes, in multiplications


def compiled_outputs(
    network: Any, theta: np.ndarray, buffers: np.ndarray, x: Any, link: bool
) -> np.ndarray | None:
    """The link of the raw outputs, or these themselves, shape (n, n_out); None if it cannot be.

    Parameters
    ----------
    network : xpnn.network.Network
    x : ndarray of shape (n, n_in), or SciPy CSR matrix
        Any floating dtype; computed in that of `theta`.
    """
    known = _known(network, theta.dtype)
    _, plan, at, _, work, most, n_in, n_out, *_ = known
    if plan is None or x.ndim != 2 or x.shape[1] != n_in:
        return None
    code = ACTIVATION_CODES[network.link.name] if link else 0
    if not theta.flags.c_contiguous:
        theta = np.ascontiguousarray(theta)
    rows, dense = x.shape[0], isinstance(x, np.ndarray)
    if not (dense or is_sound_csr(x, n_in)):
        return None
    out = np.empty((rows, n_out), dtype=theta.dtype)
    if dense and (rows < 2 or _is_short(work, most, rows)):
        x = rows_in_one_piece(x, theta.dtype)
        where = address(theta), address(buffers), address(x), x.strides[0] // x.itemsize
        done = function("outputs", theta.dtype)(at, *where, rows, code, address(out))
    else:
        done = _many(known, theta, buffers, x, code, out)
    if not done:
        raise MemoryError(
            f"There is no memory for the outputs of {rows} rows: predict fewer at once."
        )
    return out


def _many(
    known: _Known, theta: np.ndarray, buffers: np.ndarray, x: Any, code: int, out: np.ndarray
) -> bool:
    """Many rows, or CSR: by a plan of the call's own, in threads."""
    plan, work, rows = Plan.from_buffer_copy(known.plan or Plan()), known.work, len(out)
    dense = isinstance(x, np.ndarray)
    held = x if dense and not has_whole_rows(x, theta.dtype) else place_rows(plan, x, theta.dtype)
    if not dense:  # zeros are not multiplied
        work -= (known.n_in - x.nnz // max(rows, 1)) * known.of_input
    pieces = _Pieces(plan, theta, buffers, held, code, out, int(_APART // (work + known.passes)))
    if _is_short(work, known.most, rows):
        return pieces.all_done()
    parts = work * rows // _FEWEST_PRODUCTS
    if parts > 1:
        parts = min(parts, threads.blas_threads())
    with threads.blas_turn() if parts > 1 else threads.one_blas_thread() as alone:
        pool = Pool(library(), parts if alone else 1)
        plan.pool, plan.parts, plan.alone = pool.handle, pool.parts, alone
        return pieces.all_done()


def _is_short(work: int, most: int, rows: int) -> bool:
    """Whether a call is short, and BLAS needs no limit for its products."""
    return work * rows <= _SHORT and keeps_to_thread(most, rows)


class _Pieces(NamedTuple):
    """A prediction in several calls, between which Ctrl-C is seen."""

    plan: Plan
    theta: np.ndarray
    buffers: np.ndarray
    held: Any  # the features, as `place_rows` gives them, or a matrix that is yet to be converted
    code: int
    out: np.ndarray
    most: int  # rows of a call

    def all_done(self) -> bool:
        """Whether there was memory for all of them."""
        plan, out, most, room = self.plan, self.out, max(1, self.most), None
        if isinstance(self.held, np.ndarray) and not has_whole_rows(self.held, out.dtype):
            most = max(1, min(most, _COPIED // max(1, self.held.shape[1])))
            room = np.empty((min(most, len(out)), self.held.shape[1]), dtype=out.dtype)
            place_rows(plan, room, out.dtype)
        call, size = function("outputs", out.dtype), out.itemsize
        fixed = ctypes.addressof(plan), address(self.theta), address(self.buffers)
        x, starts, to, done = plan.x or 0, plan.row_starts or 0, address(out) or 0, True
        apart = plan.x_stride * size if room is None else 0
        for i in range(0, len(out), most):
            n = min(most, len(out) - i)
            if room is not None:
                room[:n] = self.held[i : i + n]
            plan.row_starts = starts + 8 * i if starts else None
            where = x + i * apart, plan.x_stride, n
            done = done and call(*fixed, *where, self.code, to + i * out.shape[1] * size) != 0
        return done


def _known(network: Any, dtype: np.dtype) -> _Known:
    """What is remembered of a network, from its first prediction on."""
    key = id(network), dtype
    known = _KNOWN.get(key)
    if known is not None and known.network() is network:
        return known
    plan, at, table, products = None, 0, None, [0]
    known_link = ACTIVATIONS.get(network.link.name) == network.link
    there = dtype in SUFFIXES and library() is not None
    if there and network.members == 1 and known_link and known_network(network, training=False):
        plan = Plan(parts=1, product=product_address(dtype), tiles=tiles())
        at, table = ctypes.addressof(plan), fill_network(plan, network, {})
        products = [d.n_in * d.n_out for d in network.layers]
    if len(_KNOWN) >= _MOST:
        _KNOWN.clear()
    costs = sum(products), max(products), network.n_in, network.n_out, *_costs(network)
    known = _KNOWN[key] = _Known(weakref.ref(network), plan, at, table, *costs)
    return known


def _costs(network: Any) -> tuple[int, int]:
    """Multiplications of an input, where zeros are left out; and what the passes are worth."""
    first = network.layers[0]
    return int(type(first) is Dense) * first.n_out, 30 * sum(d.n_out for d in network.layers)
