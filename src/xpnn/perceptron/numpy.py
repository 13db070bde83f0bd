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
from xpnn.perceptron.reference import Data, Rule, State, Stop, Walk, in_order, never

BLOCK = 32
CHUNK = 2048
RARE = 0.02  # mistakes a row, below which scoring again is cheaper than a Gram matrix
PENDING = 8  # blocks whose mistakes are kept, with the weights that each met
AGAIN = 256  # rows scored at a time where mistakes are rare


def epoch(
    state: State, data: Data, order: Array, rule: Rule, xp: Namespace, stop: Stop = never
) -> tuple[State, Array]:
    """`reference.epoch` for NumPy arrays and CSR matrices; penalties go there."""
    if rule.alpha > 0.0 or state.scale != 1.0:
        return reference.epoch(state, data, order, rule, xp, stop)
    walk, n, rare = Walk(state, data, replace(rule, average=False)), int(order.shape[0]), False
    for first in range(0, n, CHUNK):
        if stop():
            break
        before = walk.coef.astype(np.float64), walk.intercept.copy()
        chunk = _Chunk(walk, order[first : first + CHUNK])
        if rare:
            chunk.score_again()
        else:
            chunk.by_blocks()
        rare = np.count_nonzero(chunk.taken) < RARE * len(chunk.rows)
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
        x = data.x[rows].toarray() if rule.sparse else np.take(data.x, rows, axis=0)
        self.x = x.astype(np.float64, copy=False)
        positive = data.y[rows][:, None] == data.labels
        self.sign = np.where(positive, 1.0, -1.0)
        of_class = np.where(positive, data.class_weight[1], data.class_weight[0])
        self.update = rule.eta * self.sign * (of_class * data.weight[rows][:, None])
        self.step = self.update.astype(walk.real).astype(np.float64)
        self.taken = np.zeros_like(self.step)  # the updates of the rows that were mistakes
        self.length = np.sqrt(np.einsum("ij,ij->i", self.x, self.x))
        self.pending: list[tuple[Array, ...]] = []  # mistakes whose loss is not counted yet
        # A sum of n products is off by n eps / 2 times that of their absolute values (Higham 2002,
        # 3.1), which the lengths bound; in float32 each product and each new weight is rounded.
        n, eps = x.shape[1] + BLOCK, float(np.finfo(np.float64).eps)
        self.apart = 2.0 * n * eps + 2.0 * BLOCK * float(np.finfo(walk.real).eps)

    def score_again(self) -> None:
        """Visit each row that may be a mistake; after one, score those behind it again."""
        walk, n = self.walk, len(self.rows)
        for first in range(0, n, AGAIN):
            at, last = first, min(n, first + AGAIN)
            longest = float(self.length[first:last].max())
            while at < last:
                score = self.x[at:last] @ walk.coef.T + walk.intercept
                unsure = ~(self.sign[at:last] * score > self._bound(longest)).all(axis=1)
                changed = (i for i in np.flatnonzero(unsure).tolist() if self._visit(at + i))
                at = next((at + i + 1 for i in changed), last)

    def by_blocks(self) -> None:
        """Decide block by block; a block that rounding could change is visited row by row."""
        n, k = self.step.shape
        of_one = (lambda a: a[:, 0]) if k == 1 else (lambda a: a)
        sign, step = of_one(self.sign), of_one(self.step)
        for first, x, pull in self._grams():
            rows = slice(first, first + len(x))
            wrong = self._decide(x, pull, sign[rows], step[rows], rows)
            if wrong is None:
                self._count()
                for i in range(rows.start, rows.stop):
                    self._visit(i)
            elif wrong.any():
                self._learn(first, wrong.reshape(-1, k))
            if len(self.pending) == PENDING:
                self._count()
        self._count()

    def average(self, coef: Array, intercept: Array, seen: float) -> None:
        """Take the weights after each row into their mean; `coef` and `intercept` were before."""
        walk, n = self.walk, len(self.rows)
        left = np.arange(n, 0.0, -1.0)[:, None]  # how many of the weights have the step in them
        moved = (left * self.taken.astype(walk.real)).T @ self.x
        moved_b = walk.rule.bias * (left * self.taken).sum(axis=0)
        walk.mean = (walk.mean * seen + n * coef + moved) / (seen + n)
        walk.mean_intercept = (walk.mean_intercept * seen + n * intercept + moved_b) / (seen + n)

    def _grams(self) -> Iterator[tuple[int, Array, Array]]:
        """First row, rows and pulls of each block; the matrices of many come from one call."""
        n, d = self.x.shape
        whole = n - n % BLOCK
        for start, stop, size in ((0, whole, BLOCK), (whole, n, n - whole)):
            if start == stop:
                continue
            x = self.x[start:stop].reshape(-1, size, d)
            # Not x @ x.T: of one array NumPy makes a symmetric product, slower for ones this small.
            pull = x @ np.ascontiguousarray(x.transpose(0, 2, 1))
            pull += self.walk.rule.bias
            pull *= np.tri(size, k=-1)
            yield from zip(range(start, stop, size), x, pull, strict=True)

    def _decide(self, x: Array, pull: Array, sign: Array, step: Array, rows: slice) -> Array | None:
        """Which rows of a block are mistakes; None where the order of summing could tell."""
        walk = self.walk
        one = sign.ndim == 1
        w, b = (walk.coef[0], float(walk.intercept[0])) if one else (walk.coef.T, walk.intercept)
        score = first = np.dot(x, w) + b
        wrong = sign * score <= 0
        before = bytes(wrong.size)
        while (now := wrong.tobytes()) != before:
            score = first + np.dot(pull, wrong * step)
            wrong, before = sign * score <= 0, now
        longest = float(self.length[rows].max())
        reach = float(np.abs(step).sum(axis=0).max()) if before.strip(b"\0") else 0.0
        return wrong if np.abs(score).min() > self._bound(longest, reach) else None

    def _bound(self, longest: float, reach: float = 0.0) -> float:
        """What no order of summing moves a score by, of rows no longer than `longest`.

        `reach` is the sum of the steps that the weights may still take.
        """
        w, b = self.walk.coef.ravel(), max(map(abs, self.walk.intercept.tolist()))
        length = math.sqrt(float(np.dot(w, w))) + reach * longest
        return self.apart * (longest * length + b + reach) + float(np.finfo(w.dtype).tiny)

    def _visit(self, i: int) -> bool:
        """Visit row `i` of the chunk; whether that changed the weights."""
        self.taken[i] = self.walk.visit(self.rows[i])
        return bool(self.taken[i].any())

    def _learn(self, first: int, wrong: Array) -> None:
        """Add the steps of a block's mistakes to the weights one by one, in order."""
        walk = self.walk
        i, k = wrong.nonzero()
        rows = first + i
        x, update = self.x[rows], self.update[rows, k]
        moved = x * self.step[rows, k][:, None]
        self.taken[rows, k] = update
        met, met_b = np.empty(x.shape, walk.real), np.empty(len(k))
        pairs = zip(k.tolist(), moved, update.tolist(), strict=True)
        for at, (problem, m, u) in enumerate(pairs):
            w = walk.coef[problem]
            met[at], met_b[at] = w, walk.intercept[problem]
            np.add(w, m, out=w, casting="same_kind")
            walk.intercept[problem] += u * walk.rule.bias
        self.pending.append((met, met_b, x, self.sign[rows, k], k))

    def _count(self) -> None:
        """Add the losses of the mistakes to the sums in order, by the weights that each met."""
        if not self.pending:
            return
        walk = self.walk
        met, met_b, x, sign, k = (
            np.concatenate(parts) for parts in zip(*self.pending, strict=True)
        )
        self.pending.clear()
        scores = in_order(met * x.astype(walk.real, copy=False)).astype(walk.real) + met_b
        for sums in walk.sums[:2]:
            np.add.at(sums, k, -sign * scores)
        np.add.at(walk.sums[2], k, 1.0)
