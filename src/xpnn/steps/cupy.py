"""The in-place operations on CuPy: one launch each, and the host never waits.

Reductions add in an order that the shapes fix, so a run repeats to the bit. A dropout draw is
computed where it is used; no mask is in memory. Arrays of several members have one more axis.
"""

from typing import Any

import cupy
import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import Drop, rowwise
from xpnn.parts.losses import built_in
from xpnn.steps.cuda import products
from xpnn.steps.cuda.kernels import (
    ACTIVATION,
    COLUMNS,
    KEEP_Z,
    LANES,
    LOSS,
    OPTIMIZER,
    ROWWISE,
    THREADS,
    Rooms,
    blocks,
    chunks,
    drop_arguments,
    kernel,
)
from xpnn.steps.numpy import builtin_name, is_builtin
from xpnn.steps.operations import Ops, Update
from xpnn.steps.rules import Batch, Rules

_LABELS = (np.dtype(np.int64), np.dtype(np.int32))
_WARP = (32, 8)


class FusedDrop(Drop):
    """A draw whose mask, of all members at once, is one launch."""

    def mask(self, shape: tuple[int, ...], like: Array, xp: Any) -> Array:
        """The multipliers for an output of (..., rows, units)."""
        found = cupy.empty(shape, dtype=like.dtype)
        activate_in_place(found, None, "one", self)
        return found


def of_members(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Members, rows and units of an array of two or three dimensions."""
    members, n, units = shape if len(shape) == 3 else (1, *shape)
    return members, n, units


def activate_in_place(
    z: Array, b: Array | None, name: str, drop: Drop | None, y: Array | None = None
) -> Array:
    """Bias, a built-in activation and dropout in one launch; into `y` if it is given."""
    y = z if y is None else y
    members, n, units = of_members(z.shape)
    sizes = (z, y, b, members, n, units, ACTIVATION[name], *drop_arguments(drop))
    if name in ROWWISE:
        grid = (-(-members * n // _WARP[1]),)
        kernel("softmax", "activate_rows", z.dtype)(grid, _WARP, sizes)
    elif z.size:
        grid = blocks(members * n * -(-units // 4))
        kernel("dense", "activate", z.dtype)(grid, (THREADS,), sizes)
    return y


class CupyOps(Ops):
    """The operations as kernels; what has none goes by way of the array API."""

    members = True

    def __init__(self, xp: Namespace) -> None:
        super().__init__(xp)
        self.rooms = Rooms()
        self.total: Array | None = None  # takes a loss, times the rows, in its own launch
        self.sums: Array | None = None  # of the batch's weights
        self.begin: Array | None = None  # the batch's place in the order, where that lies there

    def product(self, a: Array, b: Array, out: Array) -> None:
        """Write a matrix product into `out`; `matmul` would copy it there."""
        products.product(a, b, out)

    def gather(self, data: Batch, rows: Array, into: Batch) -> None:
        """Copy some rows of features, targets and weights in one launch."""
        self.gather_dropped(data, rows, into, None, 1)

    def gather_dropped(
        self, data: Batch, rows: Array, into: Batch, drop: Drop | None, members: int
    ) -> None:
        """The same with the input's dropout; `rows` of shape (n, members) are each member's own."""
        (x, y, weight), (to_x, to_y, to_weight) = data, into
        n, width = to_x.shape[-2:]
        strides = [*_steps(x), *_targets(y), *((0, 0) if weight is None else _steps(weight))]
        own = int(rows.ndim > 1)
        pointers = (x, y, weight, rows, self.begin, to_x, to_y, to_weight)
        sizes = (members, n, width, *strides, own, *drop_arguments(drop)[:-1])
        grid = blocks(to_x.size // max(width, 1) * -(-width // 4))
        kernel("rows", "gather", x.dtype)(grid, (THREADS,), (*pointers, *sizes))

    def drop_inputs(self, x: Array, drop: Drop) -> Array:
        """Inverted dropout of a batch, in place."""
        return activate_in_place(x, None, "identity", drop)

    def activate(
        self, z: Array, b: Array | None, activation: Any, drop: Drop | None
    ) -> tuple[Array, Any]:
        """Bias, activation and dropout in one launch, in place where the way back allows."""
        name = builtin_name(activation)
        if name not in ACTIVATION:
            return super().activate(z, b, activation, drop)
        y = self.rooms.empty(z.shape, z.dtype) if name in KEEP_Z else z
        return activate_in_place(z, b, name, drop, y), z

    def pull_back(
        self, g: Array, y: Array, saved: Any, activation: Any, drop: Drop | None, db: Array | None
    ) -> Array:
        """The gradient with respect to z, and the bias's, in one launch (softmax: two)."""
        name = builtin_name(activation)
        if name not in ACTIVATION:
            return super().pull_back(g, y, saved, activation, drop, db)
        if not g.size:
            return g
        members, n, units = of_members(g.shape)
        drops, scale = int(drop is not None), drop_arguments(drop)[1]
        if name in ROWWISE:
            in_rows = (g, y, saved, members * n, units, ACTIVATION[name], drops, scale)
            launch = kernel("softmax", "pull_back_rows", g.dtype)
            launch((-(-members * n // _WARP[1]),), _WARP, in_rows)
            name, drops = "identity", 0
            if db is None:
                return g
        grid, partial, rows = self.columns(members, n, units, g.dtype)
        pointers = (g, y, saved, db, *partial)
        arguments = (*pointers, n, units, rows, ACTIVATION[name], drops, scale)
        kernel("dense", "pull_back", g.dtype)(grid, (COLUMNS, LANES), arguments)
        return g

    def columns(
        self, members: int, n: int, units: int, dtype: Any, sums: int = 1, alone: int = 0
    ) -> tuple[tuple[int, int, int], tuple[Array, Array], int]:
        """The grid of a launch that takes sums of columns, its workspaces, a block's rows.

        So many rows `alone` are one block's.
        """
        across = -(-units // COLUMNS)
        count, rows = 1, n
        if n > alone:
            count, rows = chunks(n, across * members, 4 * LANES)
        partial = self.rooms.partial(sums * members * count * units, dtype)
        arrived = self.rooms.arrived(sums * across * members)
        return (across, count, members), (partial, arrived), rows

    def sum_weights(self, weight: Array) -> Array:
        """The sum of weights (n,), or of each member's (members, n); 1 where all are zero."""
        members = 1 if weight.ndim == 1 else weight.shape[0]
        sums = self.rooms.empty((members,), weight.dtype)
        arguments = (weight, sums, weight.shape[-1])
        kernel("rows", "sum_weights", weight.dtype)((members,), (THREADS,), arguments)
        return sums

    def loss(
        self, z: Array, b: Array | None, y: Array, weight: Array | None, loss: Any, db: Array | None
    ) -> tuple[Array, Array]:
        """A built-in loss with its gradients, in one launch and in place."""
        target = target_of(z, y, built_in(loss))
        if target is None or not z.size:
            z = z if b is None else z + rowwise(b)
            value, dz = loss(z, y, weight, self.xp)
            if db is not None:
                db[...] = self.xp.sum(dz, axis=-2)
            return value, dz
        return self.fused_loss(z, z, b, target, weight, loss, db), z

    def fused_loss(
        self,
        z: Array,
        dz: Array,
        b: Array | None,
        target: tuple[Array | None, Array | None],
        weight: Array | None,
        loss: Any,
        db: Array | None,
    ) -> Array:
        """The value of a built-in loss; its gradient goes into `dz`, which may be `z`."""
        (members, n, outputs), (real, labels) = of_members(z.shape), target
        lanes = 1
        while lanes < 32 and lanes * 4 < outputs:
            lanes *= 2
        at_once = THREADS // lanes
        count, rows = chunks(n, members, at_once)
        sums = self.sums
        if weight is not None and sums is None:
            sums = self.sum_weights(weight)
        value = self.rooms.empty((), z.dtype)
        partial = self.rooms.partial(members * count * (outputs + 1), z.dtype)
        pointers = (z, dz, b, real, labels, weight, sums, db, value, self.total, partial)
        own = (real is not None and real.ndim == 3) or (labels is not None and labels.ndim == 2)
        own_weight = weight is not None and weight.ndim == 2
        about = (int(own), int(own_weight), 0 if labels is None else labels.itemsize)
        parameter = float(next(iter(dict(loss.params).values()), 0.0))
        numbers = (n, outputs, rows, LOSS[built_in(loss) or ""], *about, parameter)
        arguments = (*pointers, self.rooms.arrived(1), *numbers)
        kernel("losses", "loss_rows", z.dtype)((count, members), (lanes, at_once), arguments)
        return value

    def update(self, rules: Rules, u: Update) -> tuple[tuple[Array, ...], Any]:
        """An optimizer's step in one launch; with a penalty, by itself."""
        known = is_builtin(rules.optimizer, *OPTIMIZER) and u.factors.penalty is None
        if not known:
            return super().update(rules, u)
        rule_in_place(rules.optimizer, u)
        return u.moments, None


def rule_in_place(
    optimizer: Any,
    u: Update,
    penalties: tuple[Any, ...] = (None, None, None),
    sizes: tuple[Any, ...] = (0, 1, 0, 0, 1, 0.0, 0.0),
    clip: Array | None = None,
    now: Array | None = None,
) -> None:
    """One step of a built-in optimizer, in one launch.

    Parameters
    ----------
    optimizer : UpdateRule
    penalties : (shares, sums of weights, places of entries)
    sizes : (entries, members, weights, own sums, rows, l1, l2)
    clip : array of shape (members,), or None
    now : array of shape (2,), or None
        The coefficients, where they lie on the device.
    """
    m, v = (*u.moments, None, None)[:2]
    step, shrink = (*u.coefficients, 0.0)[:2]
    b1 = getattr(optimizer, "beta_1", getattr(optimizer, "momentum", getattr(optimizer, "rho", 0)))
    numbers = (b1, getattr(optimizer, "beta_2", 0.0), getattr(optimizer, "epsilon", 0.0))
    factors = (u.factors.rate, u.factors.decay)
    pointers = (u.theta, u.gradient, m, v, *factors, *penalties, clip, now)
    rule = (OPTIMIZER[optimizer.name], step, shrink, *map(float, numbers))
    grid, size = blocks(u.theta.size), u.theta.size
    arguments = (*pointers, size, *sizes, *rule)
    kernel("update", "update", u.theta.dtype)(grid, (THREADS,), arguments)


def _steps(a: Array) -> tuple[int, int]:
    """Elements from one row to the next, and from one column to the next."""
    by_row, by_column = (*(s // a.itemsize for s in a.strides), 0)[:2]
    return by_row, by_column


def _targets(y: Array) -> tuple[int, int, int, int]:
    """Columns of a target, its steps, and the bytes of one."""
    return (1 if y.ndim == 1 else y.shape[1]), *_steps(y), y.itemsize


def target_of(z: Array, y: Array, name: str | None) -> tuple[Array | None, Array | None] | None:
    """A target as the kernel takes it: real numbers, or class numbers; None where it takes none."""
    if name is None:
        return None
    shapes = (z.shape, z.shape[-2:])
    labels = (z.shape[-2:-1], z.shape[:-1]) if z.ndim == 3 else (z.shape[:1],)
    if name == "softmax_cross_entropy" and y.dtype.kind in "iu" and y.shape in labels:
        y = y if y.dtype in _LABELS else y.astype(np.int64)
        return None, cupy.ascontiguousarray(y)
    if y.shape not in shapes or y.dtype.kind not in "biuf":
        return None
    return cupy.ascontiguousarray(y, dtype=z.dtype), None
