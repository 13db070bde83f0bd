"""The sums of a process's shards of a batch, compiled from C, each in one thread."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array
from xpnn.parts.optimizers import SGD
from xpnn.steps import threads
from xpnn.steps.compiled.plan import rows_in_one_piece
from xpnn.steps.compiled.steps import CompiledSteps, no_others
from xpnn.steps.cut import Cut, Piece, Shapes
from xpnn.steps.rules import Batch, Carry, Rows, Rules

_FEWEST_PRODUCTS = 1_000_000  # multiplications of a shard: starting a thread takes its time
_NOTHING = np.empty(0)


class CompiledShards:
    """The vectors of shards, each computed by compiled code in one thread.

    Parameters
    ----------
    count : int
        This process's shards.
    sparse : bool
        Whether the features are a SciPy CSR matrix.
    """

    by_member = True

    def __init__(self, rules: Rules, shapes: Shapes, count: int, sparse: bool) -> None:
        self.rules, self.shapes, self.sparse, self.count = rules, shapes, sparse, count
        self.single = Rules(rules.network.one_member, rules.loss, SGD())  # no penalty of a shard
        self.steps: dict[tuple[int, int, int], CompiledSteps] = {}
        self.vectors: list[np.ndarray] = []
        self.given: Batch | None = None
        self.columns: dict[tuple[int, int], tuple[Any, np.ndarray]] = {}

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys as they are."""
        return keys

    def suitable(self, theta: Array, data: Batch) -> bool:
        """Whether compiled code can work on these arrays."""
        probe = CompiledSteps(self.single, no_others, sparse=self.sparse)
        x, y, weight = data
        one = weight if weight is None or weight.ndim == 1 else weight[:, 0]
        return x.ndim == 2 and probe.suitable(theta, x, y, one)

    def __call__(self, carry: Carry, rows: Rows, cut: Cut, key: Any, _: Any) -> list[np.ndarray]:
        """Each shard's vector; the memory is used again in the next step."""
        m, theta = self.shapes.members, carry.theta
        data = self._prepared(rows.data, theta)
        if not self.vectors:
            self.vectors = list(np.zeros((self.count, self.shapes.size), dtype=theta.dtype))
            self.apart = np.empty((m, self.shapes.parameters), dtype=theta.dtype)
            self.members = list(self.apart)  # the same objects in every step
        thetas = [theta]
        if m > 1:
            self.apart[...], thetas = self.rules.network.layout.by_member(theta, np), self.members
        tasks = [(i, j) for i in range(self.count) for j in range(m)]

        def work(t: int) -> float:
            self._one(*tasks[t], thetas, Rows(data, *rows[1:]), cut, key)
            return 0.0

        one = next(iter(self.steps.values()), None)
        size = max(p.size for p in cut.pieces)
        large = one is not None and one.rules.per_row * size >= _FEWEST_PRODUCTS
        in_threads(work, len(tasks), min(threads.blas_threads(), len(tasks)) if large else 1)
        return self.vectors

    def _one(
        self, i: int, m: int, thetas: list[np.ndarray], rows: Rows, cut: Cut, key: Any
    ) -> None:
        """A member's part of a shard's vector."""
        vector, (members, parameters), piece = self.vectors[i], self.shapes, cut.pieces[i]
        at = self.shapes.head + m * parameters
        gradient = vector[at : at + parameters]
        gradient[...] = 0.0
        vector[1] = piece.size
        loss, share = 2 + m, 2 + members + m
        if not piece.size:
            vector[loss] = vector[share] = 0.0
            return
        steps = self.steps.get((i, m, piece.size))
        if steps is None:
            steps = CompiledSteps(self.single, no_others, sparse=self.sparse)
            steps.most_threads, steps.gradient = 1, gradient
            self.steps[i, m, piece.size] = steps
        order = self._column(rows.order, m, 0)
        weight = self._column(rows.data.weight, m, 1)
        data = Batch(rows.data.x, rows.data.y, weight)
        steps.plan.first_row = piece.first_row
        keys = None if key is None else key[None] + np.asarray([0, m], dtype=np.uint32)
        carry = Carry(thetas[m], _NOTHING, (), np.zeros((), dtype=vector.dtype))
        steps.on_rows(carry, Rows(data, order, piece.start, piece.size), keys, [(0.0,)])
        vector[loss] = steps.plan.total
        vector[share] = piece.size if weight is None else _share(weight, order, piece)

    def _prepared(self, data: Batch, theta: Array) -> Batch:
        """The data once as compiled code takes them, for all shards."""
        if self.given is None or any(a is not b for a, b in zip(data, self.given, strict=True)):
            x, y, weight = self.given = data
            self.steps.clear()
            if not self.sparse:
                x = rows_in_one_piece(x, theta.dtype)
            y = np.ascontiguousarray(y, dtype=np.int64 if y.ndim == 1 else theta.dtype)
            if weight is not None:
                weight = np.ascontiguousarray(weight, dtype=theta.dtype)
            self.ready = Batch(x, y, weight)
        return self.ready

    def _column(self, a: Any, m: int, kind: int) -> Any:
        """A member's column of an order or of weights, the same array while they are the same."""
        if a is None or a.ndim == 1:
            return a
        known = self.columns.get((kind, m))
        if known is None or known[0] is not a:
            known = self.columns[kind, m] = a, np.ascontiguousarray(a[:, m])
        return known[1]


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


def _share(weight: np.ndarray, order: np.ndarray | None, piece: Piece) -> float:
    here: Any = slice(piece.start, piece.start + piece.size)
    return float(weight[here if order is None else order[here]].sum())
