"""Training steps of several networks of one shape, each compiled as a single network's are."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array
from xpnn.model.layout import Layout
from xpnn.steps import threads
from xpnn.steps.compiled.steps import CompiledSteps, are_same, by_others
from xpnn.steps.rules import Batch, Carry, Coefficients, Rows, Rules, Steps

_FEWEST_PRODUCTS = 1_000_000  # multiplications of a member's call: starting a thread takes its time


class CompiledMembers:
    """`Steps` of one call of fit, of several members.

    Each member has vectors of its own, which are read and written in every call: its parameters
    lie apart in those that all share.

    Parameters
    ----------
    rules : Rules
        With `known_rules`, for one member.
    otherwise : callable
        Makes the steps for data that do not fit.
    sparse : bool, default=False
        Whether the features are a SciPy CSR matrix, which is resident, too.
    """

    def __init__(self, rules: Rules, otherwise: Callable[[], Steps], sparse: bool = False) -> None:
        self.takes_sparse = sparse
        self.rules, self.make_others = rules, otherwise
        self.others: Steps | None = None
        self.single = one_member(rules)
        self.members = [
            CompiledSteps(self.single, _no_others, sparse) for _ in range(rules.network.members)
        ]
        self.apart: list[np.ndarray] = []  # theta, moments and buffers: (members, size) each
        self.own: list[Carry] = []  # each member's, views of these
        self.known: tuple[Any, ...] = ()  # data that were looked at
        self.suits = False
        self.weights: np.ndarray | None = None  # (n, members), and its columns
        self.columns: list[np.ndarray] = []

    def stride(self, batch: int) -> int:
        """How many steps one call takes, so that Ctrl-C is seen soon."""
        return max(1, self.members[0].stride(batch) // len(self.members))

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys, a uint32 array (steps, layers + 1, 2), as `on_rows` takes them."""
        return keys

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a batch, which is not written into."""
        if not self._suitable(carry.theta, batch):
            others = self.others = self.others or self.make_others()
            words = None if key is None else others.words(key[None])[0]
            return others.on_batch(carry, batch, words, coefficients)
        rows = Rows(batch, None, 0, batch.x.shape[0])
        return self.on_rows(carry, rows, None if key is None else key[None], [coefficients])

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """As many steps on consecutive batches as there are coefficients."""
        if not self._suitable(carry.theta, rows.data):
            others = self.others = self.others or self.make_others()
            return by_others(others, self.takes_sparse, carry, rows, keys, coefficients)
        layout, statistics = self.rules.network.layout, self.rules.network.buffer_layout
        together = [(layout, v) for v in (carry.theta, *carry.moments)]
        together.append((statistics, carry.buffers))
        self._make_room(together)
        for (where, v), own in zip(together, self.apart, strict=True):
            _apart(where, v, own)

        def train(m: int) -> float:
            about = self._rows_of(rows, m), _keys_of(keys, m), coefficients
            return float(self.members[m].on_rows(self.own[m], *about).total)

        found = sum(in_threads(train, len(self.members), self._workers(rows, len(coefficients))))
        for (where, v), own in zip(together, self.apart, strict=True):
            _together(where, v, own)
        total = carry.total + carry.theta.dtype.type(found / len(self.members))
        return carry._replace(total=total)

    def _make_room(self, together: Sequence[tuple[Layout, np.ndarray]]) -> None:
        """Vectors of each member's own, the same in every call, so that its plan stays."""
        kinds = [(v.size, v.dtype) for _, v in together]
        if kinds == [(a.size, a.dtype) for a in self.apart]:
            return
        k = len(self.members)
        self.apart = [np.empty((k, size // k), dtype=dtype) for size, dtype in kinds]
        self.own = []
        for m in range(k):
            theta, *moments, buffers = (a[m] for a in self.apart)
            self.own.append(Carry(theta, buffers, tuple(moments), np.zeros((), theta.dtype)))

    def _rows_of(self, rows: Rows, m: int) -> Rows:
        """A member's own rows and weights."""
        (x, y, weight), order = rows.data, rows.order
        if weight is not None and weight.ndim > 1:
            if self.weights is not weight:
                self.weights, self.columns = weight, list(np.ascontiguousarray(weight.T))
            weight = self.columns[m]
        if order is not None and order.ndim > 1:
            order = np.ascontiguousarray(order[:, m])
        return rows._replace(data=Batch(x, y, weight), order=order)

    def _workers(self, rows: Rows, steps: int) -> int:
        """How many members learn at a time: one where its steps are shared by threads already."""
        one, batch = self.members[0], min(rows.size, len(rows.data.y))
        if one.threads(batch) > 1 or one.per_row * batch * steps < _FEWEST_PRODUCTS:
            return 1
        return min(threads.blas_threads(), len(self.members))

    def _suitable(self, theta: Array, data: Batch) -> bool:
        """Whether compiled steps can work on these arrays; they are looked at once."""
        if are_same(data, self.known):
            return self.suits
        self.known, (x, y, weight) = tuple(data), data
        one = weight if weight is None or weight.ndim == 1 else weight[:, 0]
        # each member's own rows, gathered by others, have one dimension more
        self.suits = x.ndim == 2 and self.members[0].suitable(theta, x, y, one)
        return self.suits


def in_threads(work: Callable[[int], float], count: int, workers: int) -> list[float]:
    """The results of work(0), work(1), ..., by some threads that take turns.

    Each has its products to itself; where that cannot be had now, one thread does all.
    """
    found: list[Any] = [None] * count
    left, errors = iter(range(count)), list[BaseException]()

    def take() -> None:
        try:
            for i in left:
                if errors:
                    return
                found[i] = work(i)
        except BaseException as error:  # told where all of it is waited for
            errors.append(error)

    if workers < 2:
        return [work(i) for i in range(count)]
    with threads.blas_turn() as alone:
        others = [threading.Thread(target=take) for _ in range((workers - 1) * alone)]
        for t in others:
            t.start()
        take()
        for t in others:
            t.join()
    if errors:
        raise errors[0]
    return found


def one_member(rules: Rules) -> Rules:
    """The rules of a member by itself."""
    return replace(rules, network=rules.network.one_member)


def _keys_of(keys: np.ndarray | None, m: int) -> np.ndarray | None:
    """A member's keys: its number is added to the low word, see `member_key`."""
    return None if keys is None else keys + np.asarray([0, m], dtype=np.uint32)


def _apart(layout: Layout, v: np.ndarray, own: np.ndarray) -> None:
    """A row a member, into `own`, of what lies together by its entries."""
    for at, piece, e in _pieces(layout, len(own)):
        own[:, at:piece] = v[e.offset : e.offset + e.size].reshape(len(own), -1)


def _together(layout: Layout, v: np.ndarray, own: np.ndarray) -> None:
    """The inverse of `_apart`, in place."""
    for at, piece, e in _pieces(layout, len(own)):
        v[e.offset : e.offset + e.size].reshape(len(own), -1)[...] = own[:, at:piece]


def _pieces(layout: Layout, members: int) -> Any:
    at = 0
    for e in layout.entries:
        yield at, at + e.size // members, e
        at += e.size // members


def _no_others() -> Any:
    raise AssertionError("data that do not fit have gone elsewhere")
