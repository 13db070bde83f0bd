"""Whole steps of small networks of dense layers on CuPy: many steps are one launch of one block."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import cupy
import numpy as np

from xpnn.arrays.random import keep_count
from xpnn.arrays.typing import Array
from xpnn.model.dense import Dense
from xpnn.parts.losses import built_in
from xpnn.steps.cuda.graph import AHEAD, GraphSteps
from xpnn.steps.cuda.kernels import (
    ACTIVATION,
    KEEP_ALL,
    KEEP_Z,
    LOSS,
    OPTIMIZER,
    ROWWISE,
    WHOLE,
    kernel,
)
from xpnn.steps.cupy import target_of
from xpnn.steps.inplace import is_plain
from xpnn.steps.numpy import builtin_name
from xpnn.steps.rules import Carry, Coefficients, Rows

MOST = 1 << 17  # parameters: one block takes long for more


class WholeSteps(GraphSteps):
    """Steps in one block: gather, products, loss, way back and optimizer."""

    plan: Array = None
    plan_size = 0

    def suits(self) -> bool:
        """Whether the network is one of plain dense layers, small, and no norm is limited."""
        network, rules = self.network, self.rules
        layers = all(
            is_plain(d) and builtin_name(d.activation) not in ROWWISE for d in network.layers
        )
        limited = rules.clip_norm is not None or bool(rules.limits)
        small = network.layout.size <= MOST
        return super().suits() and layers and network.members == 1 and small and not limited

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """Steps on consecutive batches of resident data, in one launch."""
        (x, y, _), outputs = rows.data, self.network.n_out
        like = cupy.ndarray((*x.shape[:1], outputs), dtype=x.dtype, memptr=x.data)
        if target_of(like, y, built_in(self.rules.loss)) is None:  # told of by the loss itself
            return super().on_rows(carry, rows, keys, coefficients)
        self._bind(carry.theta)
        own = self._take_in(carry, rows)
        self._upload(rows.start, keys, coefficients)
        self._whole(own, rows, len(coefficients))
        self._give_back(carry, own)
        return carry

    def _whole(self, own: Carry, rows: Rows, steps: int) -> None:
        """The launch."""
        assert self.data is not None
        (x, y, weight), rules, f = self.data[1], self.rules, self.factors
        size = min(rows.size, rows.of_epoch)
        plan, places, total = self._plan(size)
        labels = y.dtype.kind == "i"
        targets = (None, y) if labels else (y, None)
        m, v = (*own.moments, None, None)[:2]
        n_weights = rules.n_weights
        simple = (f.rate, None, None) if n_weights is not None else f
        pointers = (own.theta, self.gradient, m, v, own.total, x, *targets, weight, self.order)
        room = self.ops.rooms.partial(total, x.dtype)
        tables = self.tables[3:], self.tables[3 + 2 * AHEAD :]
        strides = [s // x.itemsize for s in x.strides]
        down = 0 if weight is None else weight.strides[0] // weight.itemsize
        about = (steps, rows.start, rows.size, rows.of_epoch, len(self.network.layers), *strides)
        kept = keep_count(self.network.rates[0]) if self.network.rates[0] else KEEP_ALL
        sizes = (down, *places, kept, own.theta.size, n_weights or 0)
        loss = rules.loss
        parameter = float(next(iter(dict(loss.params).values()), 0.0))
        optimizer: Any = rules.optimizer
        names = ("beta_1", "momentum", "rho")
        b1 = next((getattr(optimizer, n) for n in names if hasattr(optimizer, n)), 0.0)
        about_rule = (b1, *(getattr(optimizer, n, 0.0) for n in ("beta_2", "epsilon")))
        rule = (OPTIMIZER[optimizer.name], *map(float, about_rule))
        numbers = (LOSS[built_in(loss) or ""], parameter, rules.l1, rules.l2, *rule)
        arguments = (*pointers, plan, room, *tables, *simple, *about, *sizes, *numbers)
        kernel("whole", "whole_steps", x.dtype)((1,), (WHOLE,), arguments)

    def _plan(self, size: int) -> tuple[Array, tuple[int, int], int]:
        """What lies where, in parameters and in a room for batches of so many rows."""
        layers: Sequence[Dense] = self.network.layers
        names = [builtin_name(d.activation) for d in layers]
        lengths = [size * layers[0].n_in]
        for d, name in zip(layers, names, strict=True):
            lengths += [size * d.n_out, size * d.n_out if name in KEEP_Z else 0]
        widest = size * max(d.n_out for d in layers)
        ends = list(accumulate([*lengths, widest, widest]))
        if self.plan is None or self.plan_size != size:
            place = {e.name: e.offset for e in self.network.layout.entries}
            table = []
            for i, (d, name) in enumerate(zip(layers, names, strict=True)):
                kept = keep_count(d.dropout) if d.dropout else KEEP_ALL
                y = ends[2 * i]
                z = ends[2 * i + 1] if name in KEEP_Z else y
                where = place[f"weight_{i}"], place.get(f"bias_{i}", -1)
                table.append([d.n_in, d.n_out, *where, ACTIVATION[name], kept, z, y])
            self.plan, self.plan_size = cupy.asarray(np.asarray(table, dtype=np.int64)), size
        return self.plan, (ends[-3], ends[-2]), ends[-1]
