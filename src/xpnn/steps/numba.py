"""The in-place operations compiled by numba."""

from typing import Any

import numpy as np

from xpnn.arrays.random import keep_count
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import Drop
from xpnn.steps import numba_loops as loops
from xpnn.steps.numba_losses import softmax_cross_entropy
from xpnn.steps.numpy import NumpyOps, builtin_name, is_builtin, is_class_number
from xpnn.steps.operations import Update
from xpnn.steps.rules import Rules

_NO_KEY = np.uint32(0)


def drop_arguments(drop: Drop | None, dtype: Any) -> tuple[Any, ...]:
    """Kept draws, their scale, the key's words and the first row, as the loops take them."""
    if drop is None:
        return loops.KEEP_ALL, dtype.type(1), _NO_KEY, _NO_KEY, 0
    kept = keep_count(drop.rate)
    k0, k1 = drop.key
    return kept, dtype.type(65536 / kept), np.uint32(k0), np.uint32(k1), drop.first_row


def hyper_parameters(optimizer: Any, dtype: Any) -> np.ndarray:
    """Beta_1 or the momentum, beta_2, epsilon, and what the betas leave of 1."""
    b1 = getattr(optimizer, "beta_1", getattr(optimizer, "momentum", 0.0))
    b2, epsilon = getattr(optimizer, "beta_2", 0.0), getattr(optimizer, "epsilon", 0.0)
    return np.asarray([b1, b2, epsilon, 1.0 - b1, 1.0 - b2], dtype=dtype)


class NumbaOps(NumpyOps):
    """The operations as compiled loops; what has no loop goes NumPy's way."""

    def __init__(self, xp: Namespace) -> None:
        super().__init__(xp)
        self._empty = {d: np.empty(0, dtype=d) for d in (np.dtype("f4"), np.dtype("f8"))}

    def _words(self, units: int) -> np.ndarray:
        return self.space("words64", loops.word_room(units), np.uint64)

    def drop_inputs(self, x: Array, drop: Drop) -> Array:
        """Inverted dropout of a batch, in place."""
        loops.drop_rows(x, *drop_arguments(drop, x.dtype), self._words(x.shape[1]))
        return x

    def activate(
        self, z: Array, b: Array | None, activation: Any, drop: Drop | None
    ) -> tuple[Array, Any]:
        """Bias, activation and dropout in one pass, in place."""
        code = loops.CODES.get(builtin_name(activation))
        if code is None:
            return super().activate(z, b, activation, drop)
        bias = self._empty[z.dtype] if b is None else b
        loops.activate(z, bias, code, *drop_arguments(drop, z.dtype), self._words(z.shape[1]))
        return z, None

    def pull_back(
        self,
        g: Array,
        y: Array,
        saved: Any,
        activation: Any,
        drop: Drop | None,
        db: Array | None,
    ) -> Array:
        """The gradient with respect to z, and the bias's, in one pass."""
        code = loops.CODES.get(builtin_name(activation))
        if code is None:
            return super().pull_back(g, y, saved, activation, drop, db)
        sums = self._empty[g.dtype] if db is None else db
        loops.pull_back(g, y, sums, code, *drop_arguments(drop, g.dtype), self._words(g.shape[1]))
        return g

    def loss(
        self,
        z: Array,
        b: Array | None,
        y: Array,
        weight: Array | None,
        loss: Any,
        db: Array | None,
    ) -> tuple[Array, Array]:
        """Softmax cross-entropy of class numbers in one pass, in place."""
        if weight is not None or not is_class_number(loss, y):
            return super().loss(z, b, y, weight, loss, db)
        n, none, real = z.shape[0], self._empty[z.dtype], z.dtype.type
        bias, sums = none if b is None else b, none if db is None else db
        over = real(max(n, 1))
        value = softmax_cross_entropy(z, bias, y, np.arange(n), none, over, sums)
        return real(value / over), z

    def update(self, rules: Rules, u: Update) -> tuple[tuple[Array, ...], Any]:
        """One pass over the flat vectors."""
        n_weights, l2, theta, gradient = rules.n_weights, u.l2, u.theta, u.gradient
        optimizer, penalty = rules.optimizer, None
        if n_weights is None or not is_builtin(optimizer, *loops.OPTIMIZERS):
            return super().update(rules, u)
        if l2:
            w = theta[:n_weights]
            penalty = (0.5 * l2) * np.dot(w, w)
        dtype = theta.dtype
        rate, shrink = (*u.coefficients, 0.0)[:2]
        m, v = (*u.moments, *[self._empty[dtype]] * 2)[:2]
        loops.update(
            loops.OPTIMIZERS[optimizer.name],
            theta,
            gradient,
            m,
            v,
            dtype.type(rate),
            dtype.type(shrink),
            hyper_parameters(optimizer, dtype),
            dtype.type(l2),
            n_weights,
        )
        return u.moments, penalty
