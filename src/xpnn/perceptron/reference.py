"""One epoch of the perceptron rule, sample by sample, as scikit-learn computes it.

The rule is sequential: each sample is scored by the weights that the samples before it left. A
score that is zero in exact arithmetic is a mistake or none by the rounding of its sum, and one
decision that differs changes all that follow. So the order of every addition is part of the rule,
and is that of scikit-learn: products in the dtype of the weights, summed feature after feature in
float64; steps added to the weights one by one; the intercept in float64, for float32 too.

This file is the definition, in NumPy; `numpy`, `compiled` and `cupy` give its bits faster. Arrays
of other libraries come to the host for it (see `choice.place`). Batches of several rows are in
`batches`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.training.interrupt import never

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Rule:
    """What an epoch does; Python numbers only."""

    eta: float = 1.0  # size of a step
    alpha: float = 0.0  # strength of the penalty; 0 is none
    l1_ratio: float = 0.0  # its L1 share
    fit_intercept: bool = True
    batch_size: int = 1  # the perceptron rule; more rows are all scored by the weights before them
    average: bool = False  # keep the mean of the weights after each sample
    sparse: bool = False
    """X is sparse: steps of the intercept are a hundredth, as in scikit-learn, and a penalty
    touches and measures the weights of features present in a sample."""
    zero_is_positive: bool = False  # Rosenblatt's step for a score of 0; else that is always wrong

    @property
    def shrink(self) -> float:
        """The factor of the weights in each sample."""
        return max(0.0, 1.0 - (1.0 - self.l1_ratio) * self.eta * self.alpha)

    @property
    def l1_step(self) -> float:
        """How much further each sample clips."""
        return self.l1_ratio * self.eta * self.alpha

    @property
    def bias(self) -> float:
        """The factor of the intercept's steps."""
        return (0.01 if self.sparse else 1.0) if self.fit_intercept else 0.0


class State(NamedTuple):
    """What goes from epoch to epoch. K rows: one binary problem each.

    The weights are ``coef * scale``; scikit-learn scores early stopping by ``coef`` alone.
    """

    coef: Array  # (K, n_features)
    intercept: Array  # (K,)
    norms: Array  # (2, K): squared L2 norm and L1 norm of the weights, as scikit-learn tracks them
    clipped: Array  # (K, n_features): how much the L1 penalty has clipped off each weight
    mean: Array  # (K, n_features), with Rule.average
    mean_intercept: Array  # (K,)
    scale: float = 1.0
    clip: float = 0.0  # how much it would have clipped off a weight that never reached 0
    t: float = 1.0  # samples seen, plus 1

    def weights(self, xp: Namespace) -> Array:
        """The weights, (K, n_features), in a new array."""
        return xp.asarray(self.coef, copy=True) if self.scale == 1.0 else self.coef * self.scale


class Data(NamedTuple):
    """The samples. An epoch visits the rows that its `order` names."""

    x: Any  # (n, n_features), or a SciPy CSR matrix on the host
    y: Array  # (n,) integer class codes
    weight: Array  # (n,)
    labels: Array  # (K,): the code that is positive in each of the K problems
    class_weight: Array  # (2, K): of the negative and of the positive samples


def initial_state(coef: Array, intercept: Array, xp: Namespace, penalized: bool = True) -> State:
    """The state of a fit that begins with these weights; only a penalty asks for their norms."""
    parts = [xp.zeros_like(coef[:, 0])] * 2
    if penalized:
        parts = [xp.sum(coef * coef, axis=1), xp.sum(xp.abs(coef), axis=1)]
    norms = xp.stack(parts)
    zeros = xp.zeros_like(coef)
    return State(coef, intercept, norms, zeros, zeros, xp.zeros_like(intercept))


def epoch(
    state: State,
    data: Data,
    order: Array,
    rule: Rule,
    xp: Namespace,
    stop: Stop = never,
    sums: Array | None = None,
) -> tuple[State, Array]:
    """Visit the rows of `order` once, in turn: an epoch, or some rows of it.

    Parameters
    ----------
    state : State
        Unchanged.
    data : Data
        Unchanged.
    order : integer array of shape (m,)
        On the device of the weights; on the host if `data.x` is sparse.
    stop : callable
        Looked at often enough that Ctrl-C acts at once: whether to leave the other rows.
    sums : array of shape (3, K), default=None
        Those of the epoch's rows before; unchanged.

    Returns
    -------
    state : State
    sums : array of shape (3, K)
        Over the epoch's samples, each scored before it is learned: loss ``max(0, -y score)``, loss
        plus penalty, and the number of mistakes.
    """
    walk = Walk(state, data, rule, sums)
    for row in order.tolist():
        if stop():
            break
        walk.visit(row)
    return walk.state(), walk.sums


class Walk:
    """An epoch under way: the K problems side by side, the weights a vector times a scale."""

    def __init__(self, state: State, data: Data, rule: Rule, sums: Array | None = None) -> None:
        self.real = state.coef.dtype.type
        self.rule, self.data = rule, data if not rule.sparse else data._replace(x=_merged(data.x))
        self.coef = np.array(state.coef, order="C")
        self.intercept = np.array(state.intercept, np.float64)
        self.norms, self.clipped = np.array(state.norms, self.real), np.array(state.clipped)
        self.mean = np.array(state.mean, np.float64)
        self.mean_intercept = np.array(state.mean_intercept, np.float64)
        self.scale, self.clip, self.t = self.real(state.scale), state.clip, state.t
        # The mean of the weights is (mean + drift * coef) / share (Bottou 2012, 5.1).
        self.drift, self.share = 0.0, 1.0
        self.sums = np.zeros((3, self.coef.shape[0])) if sums is None else np.array(sums)

    def visit(self, row: int) -> Array:
        """Score one sample and learn it.

        Returns
        -------
        array of shape (K,)
            The step of the intercept, but for its factor: 0 where the answer was right.
        """
        rule, data = self.rule, self.data
        x, at = self._features(row)
        positive = data.y[row] == data.labels
        sign = np.where(positive, 1.0, -1.0)
        margin = sign * self._scores(x, at)
        missed = (margin < 0) | ((margin == 0) & ~(positive & rule.zero_is_positive))
        loss = np.where(missed, -margin, 0.0)
        self.sums += (loss, loss, missed)
        if rule.alpha > 0.0:
            self._shrink()
        of_class = np.where(positive, data.class_weight[1], data.class_weight[0])
        update = np.where(missed, rule.eta * sign * (of_class * data.weight[row]), 0.0)
        for k in np.flatnonzero(update).tolist():
            self._learn(k, x, at, update[k])
        if rule.l1_step > 0.0:
            self._clip(at)
        if rule.average:
            if self.t > 1.0:
                self.share /= 1.0 - 1.0 / self.t
            self.drift += self.share * float(self.scale) / self.t
            self.mean_intercept += (self.intercept - self.mean_intercept) / self.t
        self.t += 1.0
        return update

    def state(self) -> State:
        """The state after the samples visited so far."""
        mean = self.mean
        if self.rule.average:
            mean = (mean + self.drift * self.coef.astype(np.float64)) / self.share
        arrays = (self.coef, self.intercept, self.norms, self.clipped, mean, self.mean_intercept)
        return State(*arrays, float(self.scale), self.clip, self.t)

    def _features(self, row: int) -> tuple[Array, Any]:
        """Values of a row, and their columns."""
        x = self.data.x
        if not self.rule.sparse:
            return x[row], slice(None)
        entries = slice(x.indptr[row], x.indptr[row + 1])
        return x.data[entries], x.indices[entries]

    def _scores(self, x: Array, at: Any) -> Array:
        """What the K problems answer, (K,)."""
        score = in_order(self.coef[:, at] * x)
        return (score * float(self.scale)).astype(self.real) + self.intercept

    def _shrink(self) -> None:
        """The L2 part of the penalty, and the norms that the objective counts."""
        rule, factor = self.rule, self.real(self.rule.shrink)
        square = (np.sqrt(self.norms[0]) ** 2).astype(np.float64)
        l2, l1 = 0.5 * rule.alpha * (1.0 - rule.l1_ratio), rule.alpha * rule.l1_ratio
        self.sums[1] += l2 * square + l1 * self.norms[1].astype(np.float64)
        self.scale = self.scale * factor
        self.norms[0] *= factor * factor
        self.norms[1] *= factor
        if self.scale < scale_floor(self.coef.dtype):
            if rule.average:
                self.mean = (self.mean + self.drift * self.coef.astype(np.float64)) / self.share
                self.drift, self.share = 0.0, 1.0
            self.coef *= self.scale
            self.scale = self.real(1.0)

    def _learn(self, k: int, x: Array, at: Any, update: float) -> None:
        """Add a step to the weights of one problem."""
        step = self.real(update) / self.scale
        moved = x.astype(np.float64) * float(step)
        w = (self.coef[k, at] + moved).astype(self.real)
        self.coef[k, at] = w
        self.intercept[k] += update * self.rule.bias
        if self.rule.alpha > 0.0:
            scale = float(self.scale)
            self.norms[0, k] = in_order(w * w) * float(self.scale * self.scale)
            self.norms[1, k] = in_order(np.abs(w)) * scale
        if self.rule.average:
            self.mean[k, at] -= self.drift * moved

    def _clip(self, at: Any) -> None:
        """The L1 part of the penalty: each weight in use catches up with what is to be clipped."""
        self.clip += self.rule.l1_step
        scale = float(self.scale)
        z, q = (a[:, at].astype(np.float64) for a in (self.coef, self.clipped))
        lower = np.maximum(0.0, z - (self.clip + q) / scale)
        upper = np.minimum(0.0, z + (self.clip - q) / scale)
        w = np.where(z > 0, lower, np.where(z < 0, upper, z)).astype(self.real)
        self.coef[:, at] = w
        self.clipped[:, at] = q + scale * (w - z)
        if self.rule.average:
            self.mean[:, at] -= self.drift * (w - z)


def in_order(products: Array) -> Array:
    """Sums of the last axis, one addition after the other, in float64.

    ``sum`` adds in pairs or by many accumulators, as it likes; a running sum cannot.
    """
    if products.shape[-1] == 0:
        return np.zeros(products.shape[:-1])
    return np.add.accumulate(products, axis=-1, dtype=np.float64)[..., -1]


def _merged(x: Any) -> Any:
    """The CSR matrix, without columns named twice in a row."""
    if x.has_canonical_format:
        return x
    merged = x.copy()
    merged.sum_duplicates()
    return merged if merged.nnz < x.nnz else x  # not sorted is no harm: the order is the user's


def scale_floor(dtype: Any) -> float:
    """Below this scale, scikit-learn folds the scale into the weights."""
    return 1e-6 if dtype == np.float32 else 1e-9
