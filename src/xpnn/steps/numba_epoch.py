"""Many steps of the commonest networks in one call, by `numba_steps`."""

import operator
import os
from threading import Thread
from typing import Any

import numpy as np

from xpnn.arrays.random import keep_count
from xpnn.arrays.typing import Array
from xpnn.parts.losses import LOSSES
from xpnn.steps import numba_loops as loops
from xpnn.steps import numba_losses, threads
from xpnn.steps.fused import Carry, FusedStep
from xpnn.steps.inplace import Ops
from xpnn.steps.numba import hyper_parameters
from xpnn.steps.numba_barrier import (
    ABANDONED,
    BOX,
    FIRST,
    GONE,
    post,
    send_home,
    yield_address,
)
from xpnn.steps.numba_blas import product_address
from xpnn.steps.numba_steps import PIECE, take_part
from xpnn.steps.numpy import builtin_name, is_builtin

_SECONDS_APART = 4e9  # multiplications between two looks at Ctrl-C: about a twentieth of a second
_FEWEST_PRODUCTS = 1_000_000  # multiplications of a thread's share: with less it mostly waits
_FEWEST_ROWS = 32  # of its share


def _help(part: int, parts: int, common: tuple[Any, ...], failures: list[BaseException]) -> None:
    """A helping thread; what goes wrong in it ends everybody's waiting and reaches the caller."""
    try:
        take_part(part, parts, *common)
    except BaseException as error:
        failures.append(error)
        common[0][ABANDONED * BOX] = 1


def _to_read(a: np.ndarray) -> np.ndarray:
    """As compiled code takes it: rows in one piece, and never written, so that one kind is left."""
    view = np.ascontiguousarray(a).view()
    view.flags.writeable = False
    return view


class FusedEpoch(FusedStep):
    """`FusedStep` with a compiled loop over steps for the commonest networks and rules."""

    def __init__(self, rules: Any, ops: Ops) -> None:
        super().__init__(rules, ops)
        layers = self.network.layers
        codes = [loops.CODES.get(builtin_name(d.activation)) for d in layers]
        self.loss = numba_losses.CODES.get(rules.loss.name)
        self.fits = (
            self.plain_rules
            and None not in codes
            and self.loss is not None
            and rules.loss == LOSSES[rules.loss.name]
            and is_builtin(rules.optimizer, *loops.OPTIMIZERS)
        )
        multiplications = sum(d.n_in * d.n_out for d in layers)
        self.per_row = 3 * multiplications + 1
        self.known: tuple[Any, ...] = ()  # the arrays that the threads work on
        self.suits = False  # whether compiled steps can work on them
        self.parts, self.most_threads, self.goal = 1, 1 << 30, 0
        self.boxes: np.ndarray = np.empty(0, dtype=np.int64)
        self.common: tuple[Any, ...] = ()
        self.failures: list[BaseException] = []
        self.process = os.getpid()
        self.table = np.zeros((len(layers) + 1, 7), dtype=np.int64)
        if self.fits:
            place = {e.name: e.offset for e in self.network.layout.entries}
            rates = [self.network.input_dropout, *(d.dropout for d in layers)]
            self.table[:, 5] = [keep_count(r) if r else loops.KEEP_ALL for r in rates]
            self.table[0, :2] = layers[0].n_in
            for i, d in enumerate(layers):
                offsets = place[f"weight_{i}"], place.get(f"bias_{i}", -1)
                self.table[i + 1, :5] = (d.n_in, d.n_out, *offsets, codes[i] or 0)
            self.table[1:, 6] = np.cumsum(self.table[:-1, 1])

    def stride(self, batch: int) -> int:
        """How many steps one call takes, so that Ctrl-C is seen soon."""
        return int(max(1, min(1024, _SECONDS_APART / (self.per_row * batch + 1e5))))

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys, a uint32 array (steps, layers, 2), as `on_steps` takes them."""
        return keys

    def on_steps(
        self,
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        data: tuple[Array, Array, Array | None],
        order: Array | None,
        start: int,
        keys: Any,
        coefficients: list[tuple[float, ...]],
        decay: Array | None,
        batch: int,
    ) -> Carry:
        """As many steps as there are coefficients, on consecutive batches of resident data."""
        if not self._knows(theta, moments, data, batch):
            rows = None if keys is None else keys.tolist()
            return super().on_steps(
                theta, buffers, moments, total, data, order, start, rows, coefficients, decay, batch
            )
        count = len(coefficients)
        rows = min(batch * count, data[0].shape[0] - start)
        while True:
            self.order[:rows] = (
                order[start : start + rows] if order is not None else np.arange(start, start + rows)
            )
            self.rates[:count, : len(coefficients[0])] = coefficients
            if keys is not None:
                self.keys[:count] = keys
            self.job[:] = self.goal, count, rows
            if self._call():
                break
            self._knows(theta, moments, data, batch)  # anew, for one thread
        self.goal += 2 * self.parts * count
        return theta, buffers, moments, total + theta.dtype.type(self.totals.sum())

    def _call(self) -> bool:
        """A call's steps in all threads, this one among them; False if no other can be had."""
        if self.parts == 1:
            return bool(take_part(0, 1, *self.common))
        with threads.blas_turn() as alone:
            if not alone:  # another thread of the process holds BLAS's number of threads
                self.most_threads = 1
                self._abandon()
                return False
            try:
                for part in range(1, self.parts):
                    if not post(self.boxes, part) and not self._start(part):
                        self.most_threads = 1  # as nobody has met yet, nothing has changed
                        self._abandon()
                        return False
                done = take_part(0, self.parts, *self.common)
            except BaseException:
                self._abandon()
                raise
        if not done:
            self._abandon()
            raise self.failures[0]
        return True

    def _start(self, part: int) -> bool:
        """Start a helping thread; it ends by itself when there is no more work."""
        rest = (part, self.parts, self.common, self.failures)
        try:
            Thread(target=_help, args=rest, name=f"xpnn-{part}", daemon=True).start()
        except RuntimeError:  # the system has no more, or the interpreter is about to end
            return False
        return True

    def _abandon(self) -> None:
        """End all waiting; the next call begins with new workspaces."""
        self.boxes[ABANDONED * BOX] = 1
        self.known = ()

    def _knows(self, theta: Array, moments: tuple[Array, ...], data: Any, batch: int) -> bool:
        """Whether compiled steps can work on these arrays; workspaces are made for new ones."""
        if self.process != os.getpid():  # the helping threads stayed in the parent
            self.process, self.known = os.getpid(), ()
        known = (theta, *moments, *data, batch)
        if len(known) == len(self.known) and all(map(operator.is_, known, self.known)):
            return self.suits
        if self.known and self.common:
            send_home(self.boxes, self.parts)
        self.known, self.suits = known, self.fits and self._suitable(*data)
        if self.suits:
            self._prepare(theta, moments, data, batch)
        return self.suits

    def _suitable(self, x: Array, y: Array, weight: Array | None) -> bool:
        """Whether shapes and class numbers are right: what is not, the reference has to tell."""
        n, n_out = x.shape[0], int(self.table[-1, 1])
        if x.shape != (n, int(self.table[0, 1])) or (weight is not None and weight.shape != (n,)):
            return False
        if self.loss != numba_losses.SOFTMAX:
            return bool(y.shape == (n, n_out))
        if y.shape != (n,) or y.dtype.kind not in "iu":
            return False
        return n == 0 or bool(y.min() >= 0 and y.max() < n_out)

    def _prepare(self, theta: Array, moments: tuple[Array, ...], data: Any, batch: int) -> None:
        """Workspaces, once for all calls with the same arrays."""
        dtype, widths, address = theta.dtype, self.table[:, 1], product_address(theta.dtype)
        empty = theta[:0]
        x, y, weight = (_to_read(empty if a is None else a) for a in data)
        rows, steps = min(batch, x.shape[0]), self.stride(batch)
        self.goal, self.parts = 0, min(self.most_threads, self.threads(rows))
        self.failures = []
        parts, weights = self.parts, self.n_weights
        self.boxes = np.full((FIRST + parts) * BOX, GONE)
        self.boxes[: FIRST * BOX] = 0
        self.order = np.empty(min(steps * batch, x.shape[0]), dtype=np.int64)
        self.rates = np.zeros((steps, 2), dtype=dtype)
        self.keys = np.zeros((steps, len(self.table), 2), dtype=np.uint32)
        self.totals, self.job = np.zeros(parts), np.zeros(3, dtype=np.int64)
        by_rows = weights <= rows * int(widths.sum())
        largest = int((-(-self.table[1:, 0] // parts) * widths[1:]).max())
        piece = weights if by_rows else min(largest, max(PIECE, int(widths.max())))
        room = (
            np.empty(rows * int(widths.sum()), dtype=dtype),
            np.empty(rows * int(widths[1:-1].sum()), dtype=dtype),
            np.empty((parts, loops.word_room(int(widths.max()))), dtype=np.uint64),
            np.empty((parts, theta.size - weights), dtype=dtype),
            np.empty((parts, piece), dtype=dtype),
            self.totals,
            self.job,
        )
        m, v = (*moments, empty, empty)[:2]
        scales = (65536 / self.table[:, 5]).astype(dtype)
        optimizer = self.rules.optimizer
        code, hyper = loops.OPTIMIZERS[optimizer.name], hyper_parameters(optimizer, dtype)
        self.common = (
            self.boxes,
            yield_address(),
            (theta, m, v),
            (x, y, weight, self.order, batch),
            (self.table, scales, self.keys, self.loss, address, weights, by_rows),
            (self.rates, (code, hyper), float(self.rules.l2)),
            room,
        )

    def threads(self, rows: int) -> int:
        """How many threads share a step of so many rows."""
        most = min(rows // _FEWEST_ROWS, self.per_row * rows // _FEWEST_PRODUCTS)
        return 1 if most < 2 else max(1, min(threads.blas_threads(), most))
