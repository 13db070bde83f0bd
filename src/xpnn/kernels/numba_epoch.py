"""Many steps in one compiled call: in a small network calls would be most of a step.

The matrix products are BLAS, by way of SciPy.
"""

from typing import Any

import numpy as np

from xpnn._typing import Array
from xpnn.kernels import numba_loops as loops
from xpnn.kernels.fused import Carry, FusedStep
from xpnn.kernels.inplace import Ops
from xpnn.kernels.numba_loops import (
    activate,
    draw_words,
    drop_row,
    jit,
    pull_back,
    softmax_cross_entropy,
    update,
)
from xpnn.kernels.numba_ops import hyper_parameters
from xpnn.kernels.numpy_ops import builtin_name, is_builtin, is_class_number
from xpnn.random import keep_count

_SECONDS_APART = 5e8  # multiplications between two looks at Ctrl-C: some hundredths of a second


@jit
def _run(vectors, rows, plan, rule, room):  # type: ignore[no-untyped-def]
    theta, g, m, v = vectors
    x, y, order, start, batch = rows
    table, scales, keys = plan
    rates, shrinks, code, hyper, l2, n_weights = rule
    a_space, g_space, words, labels = room
    layers, total = table.shape[0] - 1, 0.0
    for step in range(rates.shape[0]):
        begin = start + step * batch
        n = min(batch, order.shape[0] - begin)
        width = table[0, 1]
        xb = a_space[: n * width].reshape((n, width))
        draws = words.view(np.uint16)
        inner = words[: (width + 3) // 4]
        for i in range(n):
            row = order[begin + i]
            labels[i] = y[row]
            for j in range(width):
                xb[i, j] = x[row, j]
            if table[0, 5] < loops.KEEP_ALL:
                draw_words(inner, keys[step, 0, 0], keys[step, 0, 1], i)
                drop_row(xb[i], draws, table[0, 5], scales[0])

        at, entered = n * width, xb
        for k in range(1, layers + 1):
            n_in, n_out, wo, bo = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
            w = theta[wo : wo + n_in * n_out].reshape((n_in, n_out))
            z = a_space[at : at + n * n_out].reshape((n, n_out))
            b = theta[bo : bo + n_out] if bo >= 0 else theta[:0]
            np.dot(entered, w, z)
            if k < layers:
                k0, k1 = keys[step, k, 0], keys[step, k, 1]
                inner = words[: (n_out + 3) // 4]
                activate(z, b, table[k, 4], table[k, 5], scales[k], k0, k1, 0, inner)
                at += n * n_out
            else:
                db = g[bo : bo + n_out] if bo >= 0 else g[:0]
                total += n * softmax_cross_entropy(z, b, labels[:n], db)
            entered = z

        dz, g_at = entered, 0
        for k in range(layers, 0, -1):
            n_in, n_out, wo = table[k, 0], table[k, 1], table[k, 2]
            at -= n * n_in
            below = a_space[at : at + n * n_in].reshape((n, n_in))
            np.dot(below.T, dz, g[wo : wo + n_in * n_out].reshape((n_in, n_out)))
            if k > 1:
                w = theta[wo : wo + n_in * n_out].reshape((n_in, n_out))
                dx = g_space[g_at : g_at + n * n_in].reshape((n, n_in))
                np.dot(dz, w.T, dx)
                g_at += n * n_in
                k0, k1, bo = keys[step, k - 1, 0], keys[step, k - 1, 1], table[k - 1, 3]
                db = g[bo : bo + n_in] if bo >= 0 else g[:0]
                kept, inner = table[k - 1, 5], words[: (n_in + 3) // 4]
                pull_back(dx, below, db, table[k - 1, 4], kept, scales[k - 1], k0, k1, 0, inner)
                dz = dx
        push = theta.dtype.type(l2 / n)
        if l2 > 0:
            squares = 0.0
            for i in range(n_weights):
                squares += theta[i] * theta[i]
            total += 0.5 * l2 * squares
        update(code, theta, g, m, v, rates[step], shrinks[step], hyper, push, n_weights)
    return total


class FusedEpoch(FusedStep):
    """`FusedStep` with a compiled loop over steps for the commonest networks and rules."""

    def __init__(self, rules: Any, ops: Ops) -> None:
        super().__init__(rules, ops)
        layers = self.network.layers
        codes = [loops.CODES.get(builtin_name(d.activation)) for d in layers]
        self.fits = (
            self.plain_rules
            and None not in codes
            and is_builtin(rules.optimizer, *loops.OPTIMIZERS)
        )
        multiplications = sum(d.n_in * d.n_out for d in layers)
        self.per_row = 3 * multiplications + 1
        self.natural = np.arange(0)  # the order of rows that are not shuffled
        self.table = np.zeros((len(layers) + 1, 6), dtype=np.int64)
        if self.fits:
            place = {e.name: e.offset for e in self.network.layout.entries}
            rates = [self.network.input_dropout, *(d.dropout for d in layers)]
            self.table[:, 5] = [keep_count(r) if r else loops.KEEP_ALL for r in rates]
            self.table[0, :2] = layers[0].n_in
            for i, d in enumerate(layers):
                offsets = place[f"weight_{i}"], place.get(f"bias_{i}", -1)
                self.table[i + 1, :5] = (d.n_in, d.n_out, *offsets, codes[i] or 0)

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
        decay: Array,
        batch: int,
    ) -> Carry:
        """As many steps as there are coefficients, on consecutive batches of resident data."""
        x, y, weight = data
        plain = all(a.flags.c_contiguous and a.flags.writeable for a in (x, y))
        if not (self.fits and plain and weight is None and is_class_number(self.rules.loss, y)):
            rows = None if keys is None else keys.tolist()
            return super().on_steps(
                theta, buffers, moments, total, data, order, start, rows, coefficients, decay, batch
            )
        if theta is not self.theta:
            self.bind(theta)
            self._make_room(min(batch, x.shape[0]), theta.dtype)
        dtype, rules, empty = theta.dtype, self.rules, self.gradient[:0]
        if order is None:
            if self.natural.shape[0] != x.shape[0]:
                self.natural = np.arange(x.shape[0])
            order = self.natural
        m, v = (*moments, empty, empty)[:2]
        pairs = np.asarray([(*c, 0.0)[:2] for c in coefficients], dtype=dtype).T.copy()
        if keys is None:
            keys = np.zeros((pairs.shape[1], len(self.table), 2), dtype=np.uint32)
        code, hyper = loops.OPTIMIZERS[rules.optimizer.name], self.hyper
        value = _run(
            (theta, self.gradient, m, v),
            (x, y, order, start, batch),
            (self.table, self.scales, keys),
            (pairs[0], pairs[1], code, hyper, float(rules.l2), self.n_weights),
            (self.a_space, self.g_space, self.words_space, self.labels),
        )
        return theta, buffers, moments, total + dtype.type(value)

    def _make_room(self, rows: int, dtype: Any) -> None:
        widths = self.table[:, 1]
        self.scales = (65536 / self.table[:, 5]).astype(dtype)
        self.a_space = np.empty(rows * int(widths.sum()), dtype=dtype)
        self.g_space = np.empty(rows * int(widths[1:-1].sum()), dtype=dtype)
        self.words_space = np.empty(-(-int(widths.max()) // 4), dtype=np.uint64)
        self.labels = np.empty(rows, dtype=np.int64)
        self.hyper = hyper_parameters(self.rules.optimizer, dtype)
