"""Training steps compiled from C, many in one call: `Steps` on NumPy arrays.

What is built in runs compiled. Data that do not fit the network go to the NumPy steps, which have
the words for it.
"""

import ctypes
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array
from xpnn.steps import threads
from xpnn.steps.compiled import library, tiles
from xpnn.steps.compiled.calls import Calls
from xpnn.steps.compiled.plan import (
    SUFFIXES,
    Plan,
    address,
    fill_loss,
    fill_network,
    fill_optimizer,
    function,
    is_sound_csr,
    keeps_to_thread,
    place_rows,
    product_address,
)
from xpnn.steps.compiled.pool import Pool
from xpnn.steps.rules import (
    Batch,
    Carry,
    Coefficients,
    Costs,
    Rows,
    StepInterrupted,
)

_FEWEST_PRODUCTS = 1_000_000  # multiplications of a thread's share: with less it mostly waits
_FEWEST_ROWS = 32  # of its share
COSTS = Costs(layer=3e4, unit=100, parameter=50)  # float64, normalized, with dropout


class CompiledSteps(Calls):
    """`Steps` of one call of fit, of built-in parts; the parameters are those of `Calls`."""

    def _begin(self) -> None:
        layers = self.rules.network.layers
        self.n_in, self.n_out = layers[0].n_in, layers[-1].n_out
        self.plan = Plan()
        self.limits_blas = False  # whether one thread's products are too large to be cut
        self.gradient: np.ndarray | None = None  # takes the sum of gradients; nothing is learned

    def stride(self, batch: int) -> int:
        """How many steps one call takes, so that Ctrl-C is seen soon."""
        return self.rules.stride(batch, COSTS)

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a batch, which is not written into."""
        rows = Rows(batch, None, 0, batch.x.shape[0])
        return self.on_rows(carry, rows, None if key is None else key[None], [coefficients])

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """As many steps on consecutive batches as there are coefficients."""
        if not self._knows(carry, rows):
            return self._by_others(carry, rows, keys, coefficients)
        factors = np.array(coefficients, dtype=np.float64)
        statistics = carry.buffers.copy() if self.plan.stop else None
        self._aim(rows, keys, factors)
        try:
            if not self._call():  # not in several threads now
                self.most_threads, self.known = 1, ()
                self._knows(carry, rows)
                self._aim(rows, keys, factors)
                self._call()
        except StepInterrupted:
            carry.buffers[...] = statistics
            raise
        total = carry.total + carry.theta.dtype.type(self.plan.total)
        return Carry(carry.theta, carry.buffers, carry.moments, total)

    def on_epochs(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> list[Any] | None:
        """All steps of several epochs, in place: each one's sum of losses.

        None, and nothing done, where they are not compiled or threads cannot be had now.
        """
        if not self._knows(carry, rows):
            return None
        totals = np.empty((self.plan.parts, rows.epochs))
        self._aim(rows, keys, np.array(coefficients, dtype=np.float64))
        self.plan.totals = address(totals)
        done = self._call()
        self.plan.totals = None
        return list(totals.sum(axis=0).astype(carry.theta.dtype)) if done else None

    def _aim(self, rows: Rows, keys: Any, factors: np.ndarray) -> None:
        """Say which steps the next call does."""
        plan = self.plan
        self.held["call"] = factors, keys, rows.order
        plan.coefficients, plan.coefficients_of_step = address(factors), factors.shape[1]
        plan.start, plan.steps = rows.start, len(factors)
        plan.rows = rows.of_epoch
        plan.order, plan.order_stride, plan.keys = address(rows.order), 1, address(keys)

    def _call(self) -> bool:
        """The plan's steps, in as many threads as it says; False if several cannot be had now."""
        return self._in_threads(
            lambda: self.steps(self.at),
            several=self.plan.parts > 1,
            limits_blas=self.limits_blas,
            watched=self.plan.stop is not None and self.plan.steps == 1,
        )

    def _knows(self, carry: Carry, rows: Rows) -> bool:
        """Whether compiled steps can work on these arrays; the plan is made anew for new ones."""
        known = (carry.theta, carry.buffers, *carry.moments, *rows.data, rows.size)
        if are_same(known, self.known) and (self.pool is None or self.pool.alive):
            return self.suits
        self.known, self.suits = known, self.suitable(carry.theta, *rows.data)
        if self.suits:
            self.prepare(carry, rows)
        return self.suits

    def suitable(self, theta: Array, x: Array, y: Array, weight: Array | None) -> bool:
        """Whether shapes and class numbers are right: what is not, the reference has to tell."""
        n = x.shape[0]
        if theta.dtype not in SUFFIXES or isinstance(x, np.ndarray) == self.takes_sparse:
            return False
        if x.shape != (n, self.n_in) or (weight is not None and weight.shape != (n,)):
            return False
        if self.takes_sparse and not is_sound_csr(x, self.n_in):
            return False
        if self.rules.loss.name != "softmax_cross_entropy" or y.ndim == 2:
            return bool(y.shape == (n, self.n_out))
        if y.shape != (n,) or y.dtype.kind not in "iu":
            return False
        return n == 0 or bool(y.min() >= 0 and y.max() < self.n_out)

    def prepare(self, carry: Carry, rows: Rows) -> None:
        """Fill the plan in, once for all calls with the same arrays."""
        plan, held, dtype = self.plan, self.held, carry.theta.dtype
        self._describe(carry)
        plan.rows = rows.of_epoch
        plan.batch = min(rows.size, max(plan.rows, 1))
        held["features"] = place_rows(plan, rows.data.x, dtype)
        plan.labels = int(rows.data.y.ndim == 1)
        y = np.ascontiguousarray(rows.data.y, dtype=np.int64 if plan.labels else dtype)
        weight = rows.data.weight
        if weight is not None:
            weight = np.ascontiguousarray(weight, dtype=dtype)
        held["targets"] = y, weight
        plan.y, plan.weight = address(y), address(weight)
        parts = min(self.most_threads, self.threads(plan.batch))
        if self.pool is None or not self.pool.alive or self.pool.parts != parts:
            self.pool = Pool(library(), parts)
        plan.pool, plan.parts = self.pool.handle, self.pool.parts
        plan.alone = int(plan.parts > 1 or threads.most_blas_threads() == 1)
        self.limits_blas = not plan.alone and not self._keeps_to_thread(plan.batch)
        plan.stop = self.watch.address if self.rules.is_long(plan.batch, COSTS) else None
        self.steps, self.at = function("steps", dtype), ctypes.addressof(plan)
        held["room"] = np.empty(function("room", dtype)(self.at), dtype=np.uint8)
        plan.room = address(held["room"])

    def _describe(self, carry: Carry) -> None:
        """The network, the rules and what is learned."""
        plan, held, rules = self.plan, self.held, self.rules
        held["layers"] = fill_network(plan, rules.network, rules.limits)
        fill_loss(plan, rules.loss)
        fill_optimizer(plan, rules.optimizer)
        plan.l1, plan.l2 = rules.l1, rules.l2
        plan.clip = rules.clip_norm or 0.0
        held["segments"] = np.asarray(rules.segments, dtype=np.float64)
        plan.segments, plan.segment = len(held["segments"]), address(held["segments"])
        plan.product, plan.tiles = product_address(carry.theta.dtype), tiles()
        plan.theta, plan.buffers = address(carry.theta), address(carry.buffers)
        plan.gradient, plan.over = address(self.gradient), 1.0
        plan.moments[:] = [address(m) for m in (*carry.moments, None, None)[:2]]

    def _keeps_to_thread(self, rows: int) -> bool:
        """Whether BLAS shares none of the products of a step among its threads."""
        layers = self.rules.network.layers
        if self.takes_sparse:
            layers = layers[1:]
        wide = max((d.n_in * d.n_out for d in layers), default=0)
        return keeps_to_thread(wide, rows, rows * max((d.n_out for d in layers), default=0))

    def threads(self, rows: int) -> int:
        """How many threads share a step of so many rows."""
        most = min(rows // _FEWEST_ROWS, self.rules.per_row * rows // _FEWEST_PRODUCTS)
        return 1 if most < 2 else max(1, min(threads.blas_threads(), most))


def are_same(arrays: Sequence[Any], known: Sequence[Any]) -> bool:
    """Whether these are the arrays, each the very same, that were looked at before."""
    return len(arrays) == len(known) and all(map(operator.is_, arrays, known))


def no_others() -> Any:
    """Where data that do not fit have gone elsewhere before."""
    raise AssertionError("data that do not fit have gone elsewhere")
