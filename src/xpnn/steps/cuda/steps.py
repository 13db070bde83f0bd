"""A training step on CuPy, of one network or of members: a launch for each of its parts."""

import math
from typing import Any, NamedTuple, cast

import cupy
import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array, DType
from xpnn.model.layer import Drop, Layer
from xpnn.parts.losses import built_in
from xpnn.steps.cuda.kernels import COLUMNS, LANES, OPTIMIZER, THREADS, chunks, kernel
from xpnn.steps.cuda.layers import make_layer
from xpnn.steps.cupy import CupyOps, FusedDrop, rule_in_place, target_of
from xpnn.steps.inplace import InPlaceSteps
from xpnn.steps.numpy import is_builtin
from xpnn.steps.operations import Update
from xpnn.steps.reference import gather
from xpnn.steps.rules import Batch, Carry, Coefficients, Factors, Rows, Rules


class CupySteps(InPlaceSteps):
    """Steps in place; what has no kernel goes by the array API."""

    ops: CupyOps

    def __init__(self, rules: Rules, ops: CupyOps, backend: Backend, dtype: DType) -> None:
        super().__init__(rules, ops, backend, dtype)
        self.known = is_builtin(rules.optimizer, *OPTIMIZER)
        self.places, self.limits = _places(rules, backend), _limits(rules, backend)
        self.rooms: dict[Any, Batch] = {}
        self.now: Array | None = None  # the coefficients, where they lie on the device

    def layer(self, layer: Layer, i: int) -> Any:
        """The passes of a layer, of which `i` are before it."""
        return make_layer(layer, self.ops, self.network.members, i)

    def drop(self, key: Any, i: int) -> Drop | None:
        """The dropout of the input (0) or of a layer's outputs (its number from 1)."""
        drop = super().drop(key, i)
        return None if drop is None else FusedDrop(*drop)

    def _on_some(
        self, carry: Carry, rows: Rows, size: int, key: Any, coefficients: Coefficients
    ) -> Carry:
        drop = None if key is None else self.drop(key, 0)
        if rows.order is None:
            batch = as_kernels_take(gather(rows, size, self.xp))
        else:
            batch, drop = self._rows(rows, size, drop), None
        return self._train(carry, batch, key, coefficients, drop)

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a batch, which is not written into."""
        self._bind(carry.theta)
        drop = None if key is None else self.drop(key, 0)
        return self._train(carry, as_kernels_take(batch), key, coefficients, drop)

    def _rows(self, rows: Rows, size: int, drop: Drop | None) -> Batch:
        """A batch of resident data, its inputs dropped; weights of members are (members, n)."""
        (x, y, weight), order = rows.data, cast(Array, rows.order)
        members, own = self.network.members, order.ndim > 1
        place = (size, own, drop is not None)
        if place not in self.rooms:
            first = (members,) if own else ()
            of_x = (members,) if own or (drop is not None and members > 1) else ()
            self.rooms[place] = Batch(
                cupy.empty((*of_x, size, x.shape[1]), dtype=x.dtype),
                cupy.empty((*first, size, *y.shape[1:]), dtype=y.dtype),
                None if weight is None else cupy.empty((*first, size), dtype=weight.dtype),
            )
        batch, at = self.rooms[place], order[rows.start : rows.start + size]
        self.ops.gather_dropped(rows.data, at, batch, drop, members)
        return batch

    def _train(
        self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients, drop: Drop | None
    ) -> Carry:
        """A step on a batch, whose inputs are still to be dropped if `drop` is not None."""
        ops, n, weight = self.ops, batch.x.shape[-2], batch.weight
        ops.total = carry.total if self.known else None
        ops.sums = None if weight is None else ops.sum_weights(weight)
        added, value = self._value(batch._replace(x=self._dropped(batch.x, drop)), carry, key)
        if not self.known:
            if weight is not None and weight.ndim > 1:
                batch = batch._replace(weight=weight.T)
            given = (value, self.gradient, batch, coefficients, self.factors, self.xp)
            new = self.rules.finish(carry, *given)
            carry.theta[...] = new.theta
            return Carry(carry.theta, carry.buffers, new.moments, new.total)
        if not added:
            carry.total[...] += value * n
        self._update(carry, n, coefficients)
        return carry

    def _dropped(self, x: Array, drop: Drop | None) -> Array:
        """A batch's inputs after dropout; the batch itself is not written into."""
        if drop is None:
            return x
        if self.network.members > 1 and x.ndim == 2:
            x = cupy.broadcast_to(x, (self.network.members, *x.shape))
        return self.ops.drop_inputs(cupy.array(x, order="C"), drop)

    def _value(self, batch: Batch, carry: Carry, key: Any) -> tuple[bool, Array]:
        """Whether a batch's loss was added to the total, and it; its gradient goes to its place."""
        (x, y, weight), layers, loss = batch, self.layers, self.rules.loss
        state: Any = [{}] * len(layers)
        if self.network.buffer_layout.entries:
            state = self.network.buffer_layout.by_layer(carry.buffers, self.xp, len(layers))
        drops = [None if key is None else self.drop(key, i + 1) for i in range(len(layers))]
        end = self.linear_end
        ends = len(layers) if end is None else len(layers) - 1
        for i in range(ends):
            x = layers[i].forward(x, drops[i], state[i])
        added = self.ops.total is not None
        if end is not None:
            value, g = end.loss(x, y, weight, loss)
            added = added and target_of(g, y, built_in(loss)) is not None
            g = end.products(g, ends > 0)
        elif (target := target_of(x, y, built_in(loss))) is not None:
            g = self.ops.rooms.empty(x.shape, x.dtype)
            value = self.ops.fused_loss(x, g, None, target, weight, loss, None)
        else:
            added, (value, g) = False, loss(x, y, weight, self.xp)
            g = cupy.array(g, order="C")  # a user's own gradient may be the targets themselves
        for i in range(ends - 1, -1, -1):
            g = layers[i].backward(g, i > 0)
        return added, value

    def _update(self, carry: Carry, n: int, coefficients: Coefficients) -> None:
        """Penalties, clipping, the optimizer and limits, in place."""
        rules, f, ops = self.rules, self.factors, self.ops
        weights, members = rules.n_weights, self.network.members
        simple = Factors(f.rate, None, None) if weights is not None else f
        u = Update(carry.theta, self.gradient, carry.moments, coefficients, 0.0, simple)
        own_sums = int(ops.sums is not None and ops.sums.size > 1)
        penalties = (simple.penalty, ops.sums, self.places.ends)
        entries, weights = len(self.network.layout.entries), weights or 0
        sizes = (entries, members, weights, own_sums, n, rules.l1, rules.l2)
        clip = None
        if rules.l1 or rules.l2 or rules.clip_norm is not None:
            clip = self._measure(carry, penalties, sizes)
        rule_in_place(rules.optimizer, u, penalties, sizes, clip, self.now)
        if self.limits is not None:
            table = self.limits
            grid = (-(-table.widest // COLUMNS), len(table.values))
            launch = kernel("limit", "limit_columns", carry.theta.dtype)
            launch(grid, (COLUMNS, LANES), (carry.theta, table.ends, table.values))

    def _measure(self, carry: Carry, penalties: Any, sizes: Any) -> Array | None:
        """Add the penalties to the total; the factors that clip each member's gradient, or None."""
        theta, members, limit = carry.theta, self.network.members, self.rules.clip_norm
        rooms, (shares, sums, places) = self.ops.rooms, penalties
        clip = None if limit is None else rooms.empty((members,), theta.dtype)
        count, _ = chunks(theta.size, members, THREADS)
        partial = rooms.partial(3 * members * count, np.float64)
        pointers = (theta, self.gradient, shares, sums, places, clip, carry.total)
        numbers = (*sizes, math.inf if limit is None else limit)
        arguments = (*pointers, partial, rooms.arrived(1), theta.size, *numbers)
        kernel("measure", "measure", theta.dtype)((count, members), (THREADS,), arguments)
        return clip


def as_kernels_take(batch: Batch) -> Batch:
    """A batch with weights in one piece, those of members as (members, n)."""
    weight = batch.weight
    return batch if weight is None else batch._replace(weight=cupy.ascontiguousarray(weight.T))


class Table(NamedTuple):
    """What kernels are told of the flat vector's parts, on the device."""

    ends: Array
    values: Array = None
    widest: int = 0


def _places(rules: Rules, backend: Backend) -> Table:
    """Where each entry of the flat vector ends; nothing of a single network."""
    ends = [e.offset + e.size for e in rules.network.layout.entries]
    if rules.network.members == 1 or not (rules.l1 or rules.l2 or rules.clip_norm is not None):
        return Table(None)
    return Table(backend.asarray(np.asarray(ends, dtype=np.int64)))


def _limits(rules: Rules, backend: Backend) -> Table | None:
    """Each matrix with a largest norm of its columns: (offset, rows, columns), and the norm."""
    found, norms = list[tuple[int, int, int]](), list[float]()
    for e in rules.network.layout.entries:
        if e.name not in rules.limits:
            continue
        rows, columns = e.shape[-2:]
        each = range(e.offset, e.offset + e.size, rows * columns)
        found += [(offset, rows, columns) for offset in each]
        norms += [rules.limits[e.name]] * len(each)
    if not found:
        return None
    table = backend.asarray(np.asarray(found, dtype=np.int64))
    values = backend.asarray(np.asarray(norms, dtype=np.float64))
    return Table(table, values, max(columns for *_, columns in found))
