"""Steps on CuPy whose launches have the same arguments from step to step: a CUDA graph's.

What changes, step size, dropout keys and the batch's place, is read from memory that one more
kernel advances; arrays of a step are those of the step before. Where CUDA captures it, a step is
then one launch of a graph. Products go by a kernel of our own: CuPy captures no cuBLAS.
"""

import logging
from collections.abc import Sequence
from typing import Any, cast

import cupy
import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array, DType
from xpnn.model.layer import Drop
from xpnn.parts.losses import built_in
from xpnn.steps.cuda.kernels import OPTIMIZER, TILE, kernel
from xpnn.steps.cuda.layers import EmbeddingLayer, NormalizedLayer, ScaleLayer
from xpnn.steps.cuda.steps import CupySteps, as_kernels_take
from xpnn.steps.cupy import CupyOps, FusedDrop
from xpnn.steps.inplace import PlainLayer
from xpnn.steps.numpy import builtin_name, is_builtin
from xpnn.steps.rules import Batch, Carry, Coefficients, Rows, Rules

AHEAD = 64  # steps of a call, whose numbers go to the device at once
_LAYERS = (PlainLayer, NormalizedLayer, ScaleLayer, EmbeddingLayer)
_log = logging.getLogger("xpnn")


class GraphOps(CupyOps):
    """The operations without cuBLAS."""

    def product(self, a: Array, b: Array, out: Array) -> None:
        """Write a matrix product of each member into `out`, in tiles."""
        (rows, inner), columns, members = a.shape[-2:], b.shape[-1], out.size
        members //= rows * columns
        strides = [s // m.itemsize for m in (a, b) for s in (0, *m.strides)[-3:]]
        grid = (-(-rows // TILE), -(-columns // TILE), members)  # rows may be millions: first
        arguments = (a, b, out, rows, inner, columns, *strides)
        kernel("product", "product", out.dtype)(grid, (TILE, TILE), arguments)


class GraphSteps(CupySteps):
    """Steps that a graph may hold, where everything in them has a kernel: see `suits`."""

    def __init__(self, rules: Rules, ops: CupyOps, backend: Backend, dtype: DType) -> None:
        super().__init__(rules, ops, backend, dtype)
        ops.rooms.keep()
        self.own: Carry | None = None
        self.seen: Any = None  # the order that ours is a copy of
        self.order: Array = None
        self.data: tuple[Batch, Batch] | None = None  # as given, and as kernels take it
        self.graphs: dict[int, Any] = {}  # by rows of a batch; None before its second step
        self.captures = True
        count = 2 * len(self.network.rates)
        self.host = np.zeros(3 + 2 * AHEAD + -(-AHEAD * count // 2), dtype=np.int64)
        self.tables, room = cupy.empty(self.host.size, dtype=np.int64), cupy.empty(count, np.uint32)
        self.now, ops.begin = cupy.empty(2, dtype=np.float64), self.tables[1:2]
        self.keys = [room[i : i + 2] for i in range(0, count, 2)]

    def suits(self) -> bool:
        """Whether all that a step does is kernels."""
        known = all(type(a) in _LAYERS for a in self.layers)
        built = all(
            builtin_name(d.activation) for d in self.network.layers if hasattr(d, "activation")
        )
        optimizer = is_builtin(self.rules.optimizer, *OPTIMIZER)
        return known and built and optimizer and built_in(self.rules.loss) is not None

    def stride(self, batch: int) -> int:
        """Ctrl-C is looked for between so many steps."""
        return AHEAD

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys as they go to the device."""
        return keys

    def drop(self, key: Any, i: int) -> Drop | None:
        """The dropout of the input (0) or of a layer's outputs, by a key on the device."""
        rate = self.network.rates[i]
        return FusedDrop(self.keys[i], 0, rate) if rate else None

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a streamed batch, which is other memory each time: no graph's."""
        self._bind(carry.theta)
        self._upload(0, key, [coefficients])
        self._advance(batch.x.shape[-2])
        drop = None if key is None else self.drop(key, 0)
        return self._train(carry, as_kernels_take(batch), key, (0.0, 0.0), drop)

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """Steps on consecutive batches of resident data."""
        self._bind(carry.theta)
        own = self._take_in(carry, rows)
        self._upload(rows.start, keys, coefficients)
        for k in range(len(coefficients)):
            start = rows.start + k * rows.size
            self._step_of(min(rows.size, rows.of_epoch - start), keys is not None)
        self._give_back(carry, own)
        return carry

    def _give_back(self, carry: Carry, own: Carry) -> None:
        """What was learned in memory of our own, besides parameters and moments."""
        _copy(carry.total, own.total)
        _copy(carry.buffers, own.buffers)

    def _bind(self, theta: Array) -> None:
        if theta is not self.theta:
            self.graphs, self.own = {}, None
        super()._bind(theta)

    def _take_in(self, carry: Carry, rows: Rows) -> Carry:
        """The carry and the rows, in memory that stays where it is."""
        if self.data is None or not _same(rows.data, self.data[0]):
            self.data, self.graphs = (rows.data, self._with_targets(rows.data)), {}
        if self.order is None or self.seen is not rows.order:
            order = cupy.arange(rows.of_epoch) if rows.order is None else rows.order
            if self.order is None or self.order.shape != order.shape:
                self.order, self.graphs = cupy.empty(order.shape, dtype=np.int64), {}
            _copy(self.order, order)
            self.seen = rows.order
        if self.own is None or not _same(carry.moments, self.own.moments):
            room = (cupy.empty_like(a) for a in (carry.buffers, carry.total))
            self.own, self.graphs = Carry(carry.theta, next(room), carry.moments, next(room)), {}
        _copy(self.own.buffers, carry.buffers)
        _copy(self.own.total, carry.total)
        return self.own

    def _with_targets(self, data: Batch) -> Batch:
        """Targets in the type that the loss's kernel reads, in one piece."""
        y = data.y
        labels = built_in(self.rules.loss) == "softmax_cross_entropy" and y.ndim == 1
        dtype = np.dtype(np.int64) if labels else self.theta.dtype
        weight = data.weight
        if weight is not None:
            weight = cupy.ascontiguousarray(weight)
        return Batch(data.x, cupy.ascontiguousarray(y, dtype=dtype), weight)

    def _upload(self, start: int, keys: Any, coefficients: Sequence[Coefficients]) -> None:
        """What changes from step to step, for all steps of a call, in one copy."""
        host, steps = self.host, len(coefficients)
        host[:3] = 0, 0, start
        numbers = host[3 : 3 + 2 * AHEAD].view(np.float64).reshape(-1, 2)
        numbers[:steps] = [(*c, 0.0)[:2] for c in coefficients]
        if keys is not None:
            words = host[3 + 2 * AHEAD :].view(np.uint32)
            words[: keys.size] = keys.reshape(-1)
        self.tables.set(host)

    def _step_of(self, size: int, draws: bool) -> None:
        """A step on a batch of so many rows: the first as it is, then as a graph."""
        if size not in self.graphs:
            self._launch(size, draws)
            self.graphs[size] = None
            return
        if self.graphs[size] is None and self.captures:
            self.graphs[size] = self._captured(size, draws)
        if self.graphs[size] is None:
            self._launch(size, draws)
        else:
            self.graphs[size].launch()

    def _launch(self, size: int, draws: bool) -> None:
        """The kernels of a step, the same with the same arguments each time."""
        assert self.data is not None
        self._advance(size)
        key = self.keys if draws else None
        batch = self._rows(
            Rows(self.data[1], self.order, 0, size), size, self.drop(key, 0) if draws else None
        )
        self._train(cast(Carry, self.own), batch, key, (0.0, 0.0), None)

    def _advance(self, size: int) -> None:
        """A step of so many rows begins: what changes is written where its kernels read it."""
        self.ops.rooms.begin()
        t, count = self.tables, 2 * len(self.keys)
        tables = (t, self.now, self.keys[0], t[3:], t[3 + 2 * AHEAD :])
        kernel("advance", "advance", np.float32)((1,), (64,), (*tables, count, size))

    def _captured(self, size: int, draws: bool) -> Any:
        """A step as a graph; None where CUDA does not capture it."""
        stream = cupy.cuda.Stream(non_blocking=True)
        try:
            with stream:
                stream.begin_capture()
                try:
                    self._launch(size, draws)
                finally:
                    graph = stream.end_capture()
        except (RuntimeError, NotImplementedError) as error:
            self.captures = False
            _log.debug("a step is not captured as a graph: %s", error)
            return None
        return graph


def _same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether these are the same arrays."""
    return all(a is b for a, b in zip(some, others, strict=True))


def _copy(into: Array, source: Array) -> None:
    """Bytes from one array in one piece into another."""
    if source.nbytes:
        source = cupy.ascontiguousarray(source, dtype=into.dtype)
        into.data.copy_from_device_async(source.data, source.nbytes)
