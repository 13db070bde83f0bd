"""One epoch of the perceptron rule, one-versus-rest for all classes at once, on any array library.

The rule is sequential: each sample meets the weights that the samples before it left. A block of
rows is nevertheless done with matrix products. With the scores ``s`` of the block by the weights
before it and its Gram matrix ``G``, sample i is scored ``s_i + sum_{j<i} G_ij c_j``, where ``c_j``
is the step that sample j took: 0 where it was right. Repeating ``c = step * [y (s + tril(G, -1) c)
<= 0]`` settles at least one more row each time, in practice a whole block in two to five sweeps.

Penalties with an L1 part clip the weights after every sample and run sample by sample: slow here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import device, is_numpy_namespace

from xpnn.arrays.numeric import at_least, at_most
from xpnn.arrays.typing import Array, Namespace

BLOCK = 32
SWEEPS = 12  # without a look at the result; a block that needs more makes the epoch run again


@dataclass(frozen=True)
class Rule:
    """What an epoch does; Python numbers only.

    Parameters
    ----------
    eta : float
        Size of a step.
    alpha, l1_ratio : float
        Strength of the penalty (0: none) and its L1 share.
    fit_intercept : bool
    batch_size : int
        1 is the perceptron rule; more rows are all scored by the weights before them.
    average : bool
        Keep the mean of the weights after each sample.
    sparse : bool
        X is sparse: steps of the intercept are a hundredth, as in scikit-learn, and a penalty
        touches and measures the weights of features present in a sample.
    zero_is_positive : bool
        Rosenblatt's step: a score of exactly 0 is a positive answer. Else it is always wrong.
    """

    eta: float = 1.0
    alpha: float = 0.0
    l1_ratio: float = 0.0
    fit_intercept: bool = True
    batch_size: int = 1
    average: bool = False
    sparse: bool = False
    zero_is_positive: bool = False

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
        return self.coef * self.scale


class Data(NamedTuple):
    """The samples. An epoch visits the rows that its `order` names."""

    x: Any  # (n, n_features), or a SciPy CSR matrix on the host
    y: Array  # (n,) integer class codes
    weight: Array  # (n,)
    labels: Array  # (K,): the code that is positive in each of the K problems
    class_weight: Array  # (2, K): of the negative and of the positive samples


def initial_state(coef: Array, intercept: Array, rule: Rule, xp: Namespace) -> State:
    """The state of a fit that begins with these weights."""
    norms = xp.stack([xp.sum(coef * coef, axis=1), xp.sum(xp.abs(coef), axis=1)])
    zeros = xp.zeros_like(coef)
    return State(coef, intercept, norms, zeros, zeros, xp.zeros_like(intercept))


def epoch(state: State, data: Data, order: Array, rule: Rule, xp: Namespace) -> tuple[State, Array]:
    """Visit the rows of `order` once.

    Parameters
    ----------
    state : State
        Unchanged.
    data : Data
        Unchanged.
    order : integer array of shape (m,)
        On the device of the weights; on the host if `data.x` is sparse.
    rule : Rule
    xp : namespace

    Returns
    -------
    state : State
    sums : array of shape (3, K)
        Over the samples, each met before it is learned: loss ``max(0, -y score)``, loss plus
        penalty, and the number of mistakes.
    """
    start = state._replace(coef=state.weights(xp), scale=1.0)
    if by_batches(rule):
        end, sums = _batches(start, data, order, rule, xp)
    else:
        host = is_numpy_namespace(xp)  # looks at each sweep, for nothing waits there
        sweeps = BLOCK if host else SWEEPS
        end, sums, unsettled = _blocks(start, data, order, rule, xp, host, sweeps)
        if not host and bool(unsettled):
            end, sums, _ = _blocks(start, data, order, rule, xp, host, BLOCK)
    scale = scale_after(state.scale, rule, int(order.shape[0]), end.coef.dtype, xp)
    return end._replace(coef=end.coef / scale, scale=scale), sums


def by_batches(rule: Rule) -> bool:
    """Whether the weights must be at hand after every sample, or the rule has batches anyway."""
    clips = rule.l1_step > 0.0 or (rule.sparse and rule.alpha > 0.0)
    return rule.batch_size > 1 or clips


def dense_rows(data: Data, rows: Array, like: Array, xp: Namespace) -> tuple[Array, Array]:
    """Dense rows of X beside `like`, and the row numbers on its device."""
    if isinstance(data.x, type(data.y)):
        return xp.take(data.x, rows, axis=0), rows
    x = xp.asarray(data.x[rows].toarray(), dtype=like.dtype, device=device(like))
    rows = rows.astype(np.int32)  # CSR and its row numbers are on the host; some have no int64
    return x, xp.asarray(rows, device=device(like))


def _blocks(
    state: State, data: Data, order: Array, rule: Rule, xp: Namespace, host: bool, sweeps: int
) -> tuple[State, Array, Array]:
    """Penalty none or l2, sample by sample in effect, block by block in fact."""
    w, b = state.coef, state.intercept
    move = _mover(w, xp)
    decay = _Decay(rule.shrink, BLOCK)
    between, earlier = move(decay.between), move(rule.bias * np.tri(BLOCK, k=-1))
    before, after, seen = move(decay.before), move(decay.after), move(decay.seen)
    squares, rising = move(decay.squares), move(np.arange(BLOCK, 0.0, -1.0))
    norm, mean, mean_b, t = state.norms[0, :], state.mean, state.mean_intercept, state.t
    sums = xp.zeros_like(state.norms)
    sums = [sums[0, :], sums[0, :], sums[0, :]]
    unsettled = xp.zeros_like(b[0]) > 0
    for x, sign, step in _rows(data, order, BLOCK, rule, w, xp):
        m = int(x.shape[0])
        gram = x @ xp.matrix_transpose(x)
        pull = gram * between[:m, :m] + earlier[:m, :m]
        first = (x @ xp.matrix_transpose(w)) * before[:m, None] + b
        score, c = first, xp.zeros_like(first)
        for _ in range(min(sweeps, m) + 1):
            last, score = c, first + pull @ c
            c = xp.where(_wrong(sign, score, rule), step, xp.zeros_like(step))
            if host and not (c != last).any():
                break
        unsettled = unsettled | xp.any(c != last)
        missed = _wrong(sign, score, rule)
        loss = xp.sum(at_least(-sign * score, 0.0, xp), axis=0)
        sums[0] = sums[0] + loss
        sums[2] = sums[2] + xp.sum(xp.astype(missed, w.dtype), axis=0)
        sums[1] = sums[1] + loss
        if rule.alpha > 0.0:
            margin = score - b - earlier[:m, :m] @ c
            length = xp.sum(x * x, axis=1)[:, None]
            gained = 2.0 * rule.shrink * c * margin + c * c * length
            total = norm * decay.norm_sum(m) + squares[BLOCK - m :] @ gained
            sums[1] = sums[1] + (0.5 * rule.alpha * (1.0 - rule.l1_ratio)) * total
            norm = norm * rule.shrink ** (2 * m) + (after[BLOCK - m :] ** 2) @ gained
        if rule.average:
            path = decay.iterates(m) * w + xp.matrix_transpose(c * seen[BLOCK - m :, None]) @ x
            path_b = m * b + rule.bias * (rising[BLOCK - m :] @ c)
            done = t - 1.0
            mean = (mean * done + path) / (done + m)
            mean_b = (mean_b * done + path_b) / (done + m)
        w = w * rule.shrink**m + xp.matrix_transpose(c * after[BLOCK - m :, None]) @ x
        b = b + rule.bias * xp.sum(c, axis=0)
        t += m
    norms = xp.stack([norm, state.norms[1, :]])
    end = state._replace(coef=w, intercept=b, norms=norms, mean=mean, mean_intercept=mean_b, t=t)
    return end, xp.stack(sums), unsettled


def _batches(
    state: State, data: Data, order: Array, rule: Rule, xp: Namespace
) -> tuple[State, Array]:
    """Every penalty; the rows of a batch are all scored by the weights before it."""
    w, b, clipped, clip, t = state.coef, state.intercept, state.clipped, state.clip, state.t
    square, absolute = state.norms[0, :], state.norms[1, :]
    mean, mean_b = state.mean, state.mean_intercept
    sums = [xp.zeros_like(b), xp.zeros_like(b), xp.zeros_like(b)]
    l2, l1 = 0.5 * rule.alpha * (1.0 - rule.l1_ratio), rule.alpha * rule.l1_ratio
    for x, sign, step in _rows(data, order, rule.batch_size, rule, w, xp):
        m = int(x.shape[0])
        score = x @ xp.matrix_transpose(w) + b
        missed = _wrong(sign, score, rule)
        c = xp.where(missed, step, xp.zeros_like(step))
        loss = xp.sum(at_least(-sign * score, 0.0, xp), axis=0)
        sums[0] = sums[0] + loss
        sums[1] = sums[1] + loss + m * (l2 * square + l1 * absolute)
        sums[2] = sums[2] + xp.sum(xp.astype(missed, w.dtype), axis=0)
        decay = rule.shrink**m
        w = w * decay + xp.matrix_transpose(c) @ x
        b = b + rule.bias * xp.sum(c, axis=0)
        if rule.alpha > 0.0:
            present = xp.any(x != 0, axis=0) if rule.sparse else x[0, :] == x[0, :]
            known = xp.where(present, w, xp.zeros_like(w))
            moved = xp.any(c != 0, axis=0)
            square = xp.where(moved, xp.sum(known * known, axis=1), square * decay**2)
            absolute = xp.where(moved, xp.sum(xp.abs(known), axis=1), absolute * decay)
            if rule.l1_step > 0.0:
                clip += rule.l1_step * m
                lower = at_least(w - (clip + clipped), 0.0, xp)
                upper = at_most(w + (clip - clipped), 0.0, xp)
                cut = xp.where(w > 0, lower, xp.where(w < 0, upper, w))
                cut = xp.where(present, cut, w)
                clipped, w = clipped + (cut - w), cut
        if rule.average:
            share = m / (t - 1.0 + m)
            mean = mean + (w - mean) * share
            mean_b = mean_b + (b - mean_b) * share
        t += m
    norms = xp.stack([square, absolute])
    return State(w, b, norms, clipped, mean, mean_b, 1.0, clip, t), xp.stack(sums)


def _rows(
    data: Data, order: Array, size: int, rule: Rule, w: Array, xp: Namespace
) -> Iterator[tuple[Array, Array, Array]]:
    """Blocks of rows, with the sign and the step of each sample in each problem."""
    n = int(order.shape[0])
    for first in range(0, n, size):
        x, at = dense_rows(data, order[first : min(n, first + size)], w, xp)
        positive = xp.take(data.y, at)[:, None] == data.labels
        sign = 2.0 * xp.astype(positive, w.dtype) - 1.0
        of_class = xp.where(positive, data.class_weight[1, :], data.class_weight[0, :])
        yield x, sign, (rule.eta * sign) * (of_class * xp.take(data.weight, at)[:, None])


def _wrong(sign: Array, score: Array, rule: Rule) -> Array:
    margin = sign * score
    if rule.zero_is_positive:
        return (margin < 0) | ((margin == 0) & (sign < 0))
    return margin <= 0


def _mover(like: Array, xp: Namespace) -> Any:
    """A function that puts host numbers beside an array, in its dtype."""

    def move(values: Any) -> Array:
        name = "float32" if like.dtype == xp.float32 else "float64"
        return xp.asarray(np.asarray(values).astype(name), device=device(like))

    return move


class _Decay:
    """Powers of the factor that an L2 penalty puts on the weights in each of `n` samples.

    Of a shorter block, the last entries of `after`, `seen` and `squares` are taken.
    """

    def __init__(self, shrink: float, n: int) -> None:
        i = np.arange(n)
        lag = i[:, None] - i[None, :]
        self.shrink = shrink
        self.before = shrink ** i.astype(float)  # on the weights, when sample i is scored
        self.after = self.before[::-1]  # on the step of sample i, at the block's end
        power = shrink ** np.maximum(lag - 1, 0).astype(float)
        self.between = np.where(lag > 0, power, 0.0)  # on step j when sample i is scored
        self.seen = np.cumsum(self.before)[::-1]  # of step i, in the sum of all later weights
        squares = np.concatenate([[0.0], np.cumsum(self.before**2)[:-1]])
        self.squares = squares[::-1]  # of the gain of sample i, in the sum of squared norms

    def norm_sum(self, m: int) -> float:
        return float(np.sum(self.before[:m] ** 2))

    def iterates(self, m: int) -> float:
        return float(np.sum(self.before[:m]) * self.shrink)


def scale_after(scale: float, rule: Rule, n: int, dtype: Any, xp: Namespace) -> float:
    """The scale that scikit-learn's weight vector has after `n` samples.

    It multiplies the scale in each sample and folds it into the weights when it gets tiny.
    """
    if rule.shrink == 1.0:
        return scale
    if rule.shrink == 0.0:
        return 1.0
    floor, log_shrink = scale_floor(dtype, xp), math.log(rule.shrink)
    left = math.floor(math.log(floor / scale) / log_shrink) + 1
    if n < left:
        return float(scale * rule.shrink**n)
    period = math.floor(math.log(floor) / log_shrink) + 1
    return float(rule.shrink ** ((n - left) % period))


def scale_floor(dtype: Any, xp: Namespace) -> float:
    """Below this scale, scikit-learn folds the scale into the weights."""
    return 1e-6 if dtype == xp.float32 else 1e-9
