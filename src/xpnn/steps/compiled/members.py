"""Training steps of several networks of one shape, compiled: one call takes many steps of all."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array
from xpnn.model.layout import Layout
from xpnn.steps import threads
from xpnn.steps.compiled import library
from xpnn.steps.compiled.calls import Calls
from xpnn.steps.compiled.plan import address, function
from xpnn.steps.compiled.pool import Pool
from xpnn.steps.compiled.steps import COSTS, CompiledSteps, are_same, no_others
from xpnn.steps.rules import Batch, Carry, Coefficients, Rows, Rules

_FEWEST_PRODUCTS = 1_000_000  # multiplications of a member's call: waking a thread takes its time


class Crew(ctypes.Structure):
    """The `crew` of crew.h; all of it numbers of 64 bits and addresses."""

    _fields_ = [  # ctypes wants a list
        *((name, ctypes.c_int64) for name in ("members", "pieces")),
        *((name, ctypes.c_void_p) for name in ("plan", "piece", "done", "taken", "pool")),
        ("parts", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("stop", "order")),
        *((name, ctypes.c_int64) for name in ("columns", "start", "steps", "coefficients_of_step")),
        *((name, ctypes.c_void_p) for name in ("coefficients", "keys")),
        ("total", ctypes.c_double),
    ]


class CompiledMembers(Calls):
    """`Steps` of one call of fit, of several members; the parameters are those of `Calls`.

    Each member has vectors of its own, which are read and written in every call: its parameters
    lie apart in those that all share.
    """

    def _begin(self) -> None:
        self.members = [
            CompiledSteps(one_member(self.rules), no_others, self.takes_sparse)
            for _ in range(self.rules.network.members)
        ]
        for member in self.members:
            member.watch = self.watch
        self.looked_at: tuple[Any, ...] = ()  # data, and whether they fit
        self.crew = Crew(members=len(self.members))

    def stride(self, batch: int) -> int:
        """How many steps one call takes, so that Ctrl-C is seen soon."""
        return max(1, self.members[0].stride(batch) // len(self.members))

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a batch, which is not written into."""
        if not self._suitable(carry.theta, batch):
            others = self._made_others()
            words = None if key is None else others.words(key[None])[0]
            return others.on_batch(carry, batch, words, coefficients)
        rows = Rows(batch, None, 0, batch.x.shape[0])
        return self.on_rows(carry, rows, None if key is None else key[None], [coefficients])

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """As many steps on consecutive batches as there are coefficients."""
        if not self._suitable(carry.theta, rows.data):
            return self._by_others(carry, rows, keys, coefficients)
        factors = np.array(coefficients, dtype=np.float64)
        self._prepare(carry, rows)
        self._aim(rows, keys, factors)
        if not self._call(rows, len(factors), carry.theta.dtype):  # not in several threads now
            self.most_threads, self.known = 1, ()
            self._prepare(carry, rows)
            self._call(rows, len(factors), carry.theta.dtype)
        return carry._replace(total=carry.total + carry.theta.dtype.type(self.crew.total))

    def threads(self) -> int:
        """How many threads learn at a time."""
        return min(self.most_threads, threads.blas_threads())

    def _aim(self, rows: Rows, keys: Any, factors: np.ndarray) -> None:
        """Say which steps the next call does."""
        crew, order = self.crew, rows.order
        self.held["call"] = factors, keys, order
        crew.coefficients, crew.coefficients_of_step = address(factors), factors.shape[1]
        crew.start, crew.steps, crew.keys = rows.start, len(factors), address(keys)
        crew.order, crew.columns = address(order), 1 if order is None else order[:1].size

    def _call(self, rows: Rows, steps: int, dtype: np.dtype) -> bool:
        """The crew's steps, in as many threads as pay; False if several cannot be had now."""
        crew, one = self.crew, self.members[0]
        work = one.rules.per_row * min(rows.size, max(rows.of_epoch, 1)) * steps
        pool = self.pool if work >= _FEWEST_PRODUCTS else None
        crew.pool, crew.parts = (None, 1) if pool is None else (pool.handle, pool.parts)
        run, at = function("members", dtype), ctypes.addressof(crew)
        return self._in_threads(
            lambda: run(at),
            several=max(crew.parts, one.plan.parts) > 1,
            limits_blas=one.limits_blas,
            watched=crew.stop is not None,
        )

    def _prepare(self, carry: Carry, rows: Rows) -> None:
        """Fill the plans and the crew in, once for all calls with the same arrays."""
        known = (carry.theta, carry.buffers, *carry.moments, *rows.data, rows.size)
        alive = self.pool is not None and self.pool.alive
        if are_same(known, self.known) and alive:
            return
        self.known, crew, k = known, self.crew, len(self.members)
        most = self.threads()
        layout, statistics = self.rules.network.layout, self.rules.network.buffer_layout
        shared = [(layout, v) for v in (carry.theta, *carry.moments)]
        shared.append((statistics, carry.buffers))
        apart = self.held["apart"] = [np.empty((k, v.size // k), dtype=v.dtype) for _, v in shared]
        pieces = [p for (e, v), own in zip(shared, apart, strict=True) for p in _pieces(e, v, own)]
        for m, (member, data) in enumerate(
            zip(self.members, self._data_of(rows.data), strict=True)
        ):
            theta, *moments, buffers = (a[m] for a in apart)
            own = Carry(theta, buffers, tuple(moments), np.zeros((), theta.dtype))
            member.most_threads = max(1, most // k)
            member.prepare(own, rows._replace(data=data))
        if self.pool is None or not self.pool.alive or self.pool.parts != min(most, k):
            self.pool = Pool(library(), min(most, k))
        for member in self.members:
            if member.plan.parts == 1:  # so products are cut alike on any number of threads
                member.plan.alone = 0
        table = self.held["table"] = np.asarray(pieces, dtype=np.int64)
        plans = [ctypes.addressof(member.plan) for member in self.members]
        turns = self.held["turns"] = np.asarray(plans, dtype=np.int64), np.zeros((2, k), np.int64)
        crew.plan, crew.done, crew.taken = (address(a) for a in (turns[0], *turns[1]))
        crew.pieces, crew.piece = len(table), address(table)
        one = self.members[0]
        crew.stop = self.watch.address if one.rules.is_long(one.plan.batch, COSTS, k) else None

    def _data_of(self, data: Batch) -> Iterator[Batch]:
        """Of each member, the rows and its own weights."""
        x, y, weight = data
        for m in range(len(self.members)):
            one = weight
            if weight is not None and weight.ndim > 1:
                one = np.ascontiguousarray(weight[:, m])
            yield Batch(x, y, one)

    def _suitable(self, theta: Array, data: Batch) -> bool:
        """Whether compiled steps can work on these arrays; they are looked at once."""
        if are_same(data, self.looked_at):
            return self.suits
        self.looked_at, (x, y, weight) = tuple(data), data
        one = weight if weight is None or weight.ndim == 1 else weight[:, 0]
        # each member's own rows, gathered by others, have one dimension more
        self.suits = x.ndim == 2 and self.members[0].suitable(theta, x, y, one)
        return self.suits


def one_member(rules: Rules) -> Rules:
    """The rules of a member by itself."""
    return replace(rules, network=rules.network.one_member)


def _pieces(layout: Layout, shared: np.ndarray, own: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Each entry of a vector as crew.h has it."""
    at, (members, stride), item = 0, own.shape, shared.itemsize
    for e in layout.entries:
        size = e.size // members
        if size:
            here = own.ctypes.data + at * item
            yield shared.ctypes.data + e.offset * item, here, size, stride
        at += size
