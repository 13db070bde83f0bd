"""Which answers of a perceptron are right: of rows held out, and of all that it learns from."""

from __future__ import annotations

from typing import Any, NamedTuple

from xpnn.arrays.backend import backend_of
from xpnn.arrays.typing import Array
from xpnn.perceptron.batches import dense_rows, rows_at_once
from xpnn.perceptron.reference import Data, State
from xpnn.perceptron.restart import Problems
from xpnn.training.data import is_sparse

_CHUNK = 8192  # rows scored at a time


class Held(NamedTuple):
    """The rows held out for early stopping."""

    x: Any
    y: Array
    weight: Array

    def right(self, state: State, problems: Problems, xp: Any) -> Array:
        """Which answers are right, (n, K)."""
        where, found = (state.coef, state.intercept, problems.labels, xp), []
        n = int(self.x.shape[0])
        size = rows_at_once(self.x.shape[1], _CHUNK) if is_sparse(self.x) else n
        for first in range(0, n, size):  # rows of a sparse matrix become dense a few at a time
            last = min(n, first + size)
            x, y = self.x[first:last, ...], self.y[first:last, ...]
            x = backend_of(state.coef).asarray(x.toarray()) if is_sparse(self.x) else x
            found.append(_right(x, y, *where))
        return found[0] if len(found) == 1 else xp.concat(found)


def held_score(state: State, problems: Problems, held: Any, xp: Any) -> Array:
    """Accuracy of each problem on the rows held out, (K,).

    scikit-learn forgets the scale of the weight vector here, which matters with an L2 penalty;
    so does this, to stop in the same epoch.
    """
    right, weight = held.right(state, problems, xp), held.weight
    return xp.sum(xp.astype(right, weight.dtype) * weight[:, None], axis=0) / xp.sum(weight)


def more_mistakes(total: Array, state: State, data: Data, visit: Array, xp: Any) -> Array:
    """The total, and the weight of the samples that each problem has wrong, (K,)."""
    coef = state.weights(xp)
    n = int(visit.shape[0])
    size = rows_at_once(coef.shape[1], _CHUNK)
    for first in range(0, n, size):
        x, at = dense_rows(data, visit[first : min(n, first + size)], coef, xp)
        right = _right(x, xp.take(data.y, at), coef, state.intercept, data.labels, xp)
        weight = xp.take(data.weight, at)[:, None]
        total = total + xp.sum(xp.astype(~right, coef.dtype) * weight, axis=0)
    return total


def _right(x: Any, y: Array, coef: Array, intercept: Array, labels: Array, xp: Any) -> Array:
    score = x @ xp.matrix_transpose(coef) + intercept
    return (score > 0) == (y[:, None] == labels)
