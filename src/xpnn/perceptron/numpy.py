"""One perceptron epoch on NumPy alone, without a penalty: blocks of rows, with the same bits.

With the scores ``s`` of a block by the weights before it and its Gram matrix ``G``, sample i is
scored ``s_i + sum_{j<i} G_ij c_j``, where ``c_j`` is the step that sample j took: 0 where it was
right. Repeating ``c = step * [y (s + tril(G, -1) c) <= 0]`` settles at least one more row each
time, in practice a whole block in two to five sweeps. Where mistakes are rare no Gram matrix is
made: the rows after a mistake are scored again.

Both add in an order of their own. They decide where no order could change the decision; the other
rows are visited one by one, and the weights take the steps one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron import reference
from xpnn.perceptron.reference import Data, Rule, State, Stop, Walk, in_order
from xpnn.training.interrupt import never

BLOCK = 32
CHUNK = 2048  # rows made ready at a time, fewer of wide ones
CACHE = 1 << 20  # bytes of them that stay near
RARE = 0.02  # mistakes a row, below which scoring again is cheaper than a Gram matrix
PENDING = 8  # blocks of which the weights before each mistake are kept
AGAIN = 256  # rows scored at a time where mistakes are rare


def epoch(
    state: State,
    data: Data,
    order: Array,
    rule: Rule,
    xp: Namespace,
    stop: Stop = never,
    sums: Array | None = None,
) -> tuple[State, Array]:
    """`reference.epoch` for NumPy arrays and CSR matrices; penalties go there."""
    if rule.alpha > 0.0 or state.scale != 1.0:
        return reference.epoch(state, data, order, rule, xp, stop, sums)
    walk = Walk(state, data, replace(rule, average=False), sums)
    n, rare = int(order.shape[0]), False
    rows = min(CHUNK, max(1, CACHE // (8 * BLOCK * walk.coef.shape[1])) * BLOCK)
    for first in range(0, n, rows):
        if stop():
            break
        before = walk.coef.astype(np.float64), walk.intercept.copy()
        chunk = _Chunk(walk, order[first : first + rows])
        if rare:
            chunk.score_again()
        else:
            chunk.by_blocks()
        rare = bool(np.count_nonzero(chunk.taken) < RARE * len(chunk.rows))
        if rule.average:
            chunk.average(*before, state.t - 1.0 + first)
        walk.t = state.t + first + len(chunk.rows)
    return walk.state(), walk.sums


class _Chunk:
    """Some rows in float64, and what is known of them before any is learned.

    Of one problem, steps and signs are vectors: those are multiplied faster.
    """

    def __init__(self, walk: Walk, rows: Array) -> None:
        self.walk, self.rows = walk, rows.tolist()
        data, rule = walk.data, walk.rule
        if rule.sparse:
            x = data.x[rows].toarray()
        elif (np.diff(rows) == 1).all():  # in the order given: no copy
            x = data.x[rows[0] : rows[0] + len(rows)]
        else:
            x = np.take(data.x, rows, axis=0)
        self.x = np.ascontiguousarray(x, np.float64)
        positive = data.y[rows][:, None] == data.labels
        self.sign = np.where(positive, 1.0, -1.0)
        of_class = np.where(positive, data.class_weight[1], data.class_weight[0])
        self.update = rule.eta * self.sign * (of_class * data.weight[rows][:, None])
        self.step = self.update.astype(walk.real).astype(np.float64)
        self.taken = np.zeros_like(self.step)  # the updates of the rows that were mistakes
        # Mistakes of some blocks whose loss is not counted yet: problem, rows, and what was wrong.
        self.pending: list[tuple[int, Array, Array, Array]] = []
        # A sum of n products is off by n eps / 2 times that of their absolute values (Higham 2002,
        # 3.1), which the lengths bound; in float32 each product and each new weight is rounded.
        n, eps = x.shape[1] + BLOCK, float(np.finfo(np.float64).eps)
        self.tiny = float(np.finfo(walk.real).tiny)
        self.apart = 2.0 * n * eps + 2.0 * BLOCK * float(np.finfo(walk.real).eps)

    def score_again(self) -> None:
        """Visit each row that may be a mistake; after one, score those behind it again."""
        walk, n = self.walk, len(self.rows)
        for first in range(0, n, AGAIN):
            at, last = first, min(n, first + AGAIN)
            x = self.x[first:last]
            longest = math.sqrt(np.einsum("ij,ij->i", x, x).max())
            while at < last:
                score = self.x[at:last] @ walk.coef.T + walk.intercept
                unsure = ~(self.sign[at:last] * score > self._bound(longest)).all(axis=1)
                changed = (i for i in np.flatnonzero(unsure).tolist() if self._visit(at + i))
                at = next((at + i + 1 for i in changed), last)

    def by_blocks(self) -> None:
        """Decide block by block; a block that rounding could change is visited row by row."""
        for first, wrong in self._blocks():
            if wrong is None:
                self._count()
                for i in range(first, min(first + BLOCK, len(self.rows))):
                    self._visit(i)
            else:
                self._learn(first, wrong)
        self._count()

    def average(self, coef: Array, intercept: Array, seen: float) -> None:
        """Take the weights after each row into their mean; `coef` and `intercept` were before."""
        walk, n = self.walk, len(self.rows)
        left = np.arange(n, 0.0, -1.0)[:, None]  # how many of the weights have the step in them
        moved = (left * self.taken.astype(walk.real)).T @ self.x
        moved_b = walk.rule.bias * (left * self.taken).sum(axis=0)
        walk.mean = (walk.mean * seen + n * coef + moved) / (seen + n)
        walk.mean_intercept = (walk.mean_intercept * seen + n * intercept + moved_b) / (seen + n)

    def _blocks(self) -> Iterator[tuple[int, Array | None]]:
        """First row and mistakes of each block that has any; None if rounding could tell."""
        n, d = self.x.shape
        whole = n - n % BLOCK
        for start, stop, size in ((0, whole, BLOCK), (whole, n, n - whole)):
            if start == stop:
                continue
            x = self.x[start:stop].reshape(-1, size, d)
            # Not x @ x.T: of one array NumPy makes a symmetric product, slower for ones this small.
            pull = x @ np.ascontiguousarray(x.transpose(0, 2, 1))
            longest = np.sqrt(np.diagonal(pull, 0, 1, 2).max(axis=1)).tolist()
            pull += self.walk.rule.bias
            pull *= np.tri(size, k=-1)
            step = self.step[start:stop].reshape(len(x), size, -1)
            sign = self.sign[start:stop].reshape(step.shape)
            reach = np.abs(step).sum(axis=1).max(axis=1).tolist()
            if step.shape[2] == 1:  # a pull on margins: no sign to multiply by later
                pull *= sign
                step, sign = step[:, :, 0], sign[:, :, 0]
            parts = zip(x, pull, sign, step, longest, reach, strict=True)
            for first, part in zip(range(start, stop, size), parts, strict=True):
                wrong, sure = self._decide(*part)
                if not sure:
                    yield first, None
                elif wrong.any():
                    yield first, wrong

    def _decide(
        self, x: Array, pull: Array, sign: Array, step: Array, longest: float, reach: float
    ) -> tuple[Array, bool]:
        """Which rows of a block are mistakes, and whether no order of summing tells otherwise."""
        walk, several = self.walk, sign.ndim == 2
        if several:
            first = np.dot(x, walk.coef.T) + walk.intercept
        else:
            first = np.dot(x, walk.coef[0])
            first += walk.intercept[0]
            first *= sign
        margin = first * sign if several else first.copy()
        wrong, before = margin <= 0, b""
        while (now := wrong.tobytes()) != before:
            np.dot(pull, wrong * step, out=margin)
            margin += first
            if several:
                margin *= sign
            wrong, before = margin <= 0, now
        return wrong, bool(np.abs(margin, out=margin).min() > self._bound(longest, reach))

    def _bound(self, longest: float, reach: float = 0.0) -> float:
        """What no order of summing moves a score by, of rows no longer than `longest`.

        `reach` is the sum of the steps that the weights may still take.
        """
        w, b = self.walk.coef.ravel(), max(map(abs, self.walk.intercept.tolist()))
        length = math.sqrt(np.dot(w, w)) + reach * longest
        bound: float = self.apart * (longest * length + b + reach) + self.tiny
        return bound

    def _visit(self, i: int) -> bool:
        """Visit row `i` of the chunk; whether that changed the weights."""
        self.taken[i] = self.walk.visit(self.rows[i])
        return bool(self.taken[i].any())

    def _learn(self, first: int, wrong: Array) -> None:
        """Add the steps of a block's mistakes to the weights one by one, in order."""
        walk = self.walk
        for k, of_k in enumerate(wrong.reshape(len(wrong), -1).T):
            rows = first + of_k.nonzero()[0]
            path = np.empty((len(rows) + 1, self.x.shape[1]), walk.real)
            path[0], intercept = walk.coef[k], np.empty(len(path))
            for w, step, after in zip(path, self._steps(rows, k), path[1:], strict=False):
                np.add(w, step, out=after)  # in float64, and rounded to the dtype of the weights
            intercept[0] = walk.intercept[k]
            np.multiply(self.update[rows, k], walk.rule.bias, out=intercept[1:])
            np.add.accumulate(intercept, out=intercept)
            walk.coef[k], walk.intercept[k] = path[-1], intercept[-1]
            self.pending.append((k, rows, path[:-1], intercept[:-1]))
        if len(self.pending) >= PENDING * len(walk.coef):
            self._count()

    def _steps(self, rows: Array, k: int) -> Array:
        moved: Array = self.x.take(rows, axis=0)
        moved *= self.step[rows, k][:, None]
        return moved

    def _count(self) -> None:
        """Add the losses of the mistakes to the sums in order, by the weights before each."""
        if not self.pending:
            return
        walk = self.walk
        problems, *parts = zip(*self.pending, strict=True)
        self.pending.clear()
        rows, path, intercept = (np.concatenate(part) for part in parts)
        k = np.repeat(problems, [len(part) for part in parts[0]])
        scores = in_order(path * self.x[rows].astype(walk.real, copy=False)).astype(walk.real)
        loss = -self.sign[rows, k] * (scores + intercept)
        for sums, terms in zip(walk.sums, (loss, loss, np.ones_like(loss)), strict=True):
            np.add.at(sums, k, terms)
        self.taken[rows, k] = self.update[rows, k]
