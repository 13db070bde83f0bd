"""One epoch of the perceptron rule in batches of several rows, on any array library.

All rows of a batch are scored by the weights before it, so a batch is a few matrix products. Those
add in an order of their own on each library, and a sum that is zero in exact arithmetic comes out
as some rounding error. So a score that rounding could have moved off zero counts as zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from array_api_compat import device

from xpnn.arrays.backend import backend_of
from xpnn.arrays.numeric import at_least, at_most
from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron.reference import Data, Rule, State, Stop
from xpnn.perceptron.shared import SharedBatches
from xpnn.training.data import CHUNK_ELEMENTS
from xpnn.training.interrupt import never


def epoch(
    state: State,
    data: Data,
    order: Array,
    rule: Rule,
    xp: Namespace,
    stop: Stop = never,
    sums: Array | None = None,
    shared: SharedBatches | None = None,
) -> tuple[State, Array]:
    """`reference.epoch` with ``rule.batch_size`` rows at a time; every penalty."""
    stop = stop if shared is None else shared.told
    w, b = state.weights(xp), state.intercept
    clipped, clip, t = state.clipped, state.clip, state.t
    square, absolute = state.norms[0, :], state.norms[1, :]
    mean, mean_b = state.mean, state.mean_intercept
    begun = xp.zeros((3, *b.shape), dtype=b.dtype, device=device(b)) if sums is None else sums
    total = [begun[i, :] for i in range(3)]
    l2, l1 = 0.5 * rule.alpha * (1.0 - rule.l1_ratio), rule.alpha * rule.l1_ratio
    cut = _cut if shared is None else shared.cut
    for m, visits in cut(order, rule.batch_size):
        if stop():
            break
        parts = [of_rows(data, visit, rule, w, b, xp) for visit in visits]
        found = parts[0] if shared is None else shared.total(parts, w)
        push, push_b, loss, missed, moved, present = found
        total[0] = total[0] + loss
        total[1] = total[1] + loss + m * (l2 * square + l1 * absolute)
        total[2] = total[2] + missed
        decay = rule.shrink**m
        w = w * decay + push
        b = b + rule.bias * push_b
        if rule.alpha > 0.0:
            present = present > 0
            known = xp.where(present, w, xp.zeros_like(w))
            moved = moved > 0
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
    return State(w, b, norms, clipped, mean, mean_b, 1.0, clip, t), xp.stack(total)


def _cut(order: Array, size: int) -> Iterator[tuple[int, list[Array]]]:
    """The number of rows of each batch, and which they are."""
    n = int(order.shape[0])
    for first in range(0, n, size):
        last = min(n, first + size)
        yield last - first, [order[first:last]]


def of_rows(
    data: Data, visit: Array, rule: Rule, w: Array, b: Array, xp: Namespace
) -> tuple[Array, ...]:
    """What some rows of a batch add up to, scored by the weights before it.

    The steps of weights (K, d) and of intercepts, losses, mistakes and steps that are not zero,
    (K,) each; and of each feature (d,) how many rows have it, where that matters.
    """
    if not visit.shape[0]:  # of a shard that has none in this batch
        none, k = xp.zeros_like, xp.zeros_like(b)
        return none(w), k, k, k, k, none(w[0, :])
    x, at = dense_rows(data, visit, w, xp)
    positive = xp.take(data.y, at)[:, None] == data.labels
    sign = 2.0 * xp.astype(positive, w.dtype) - 1.0
    of_class = xp.where(positive, data.class_weight[1, :], data.class_weight[0, :])
    step = (rule.eta * sign) * (of_class * xp.take(data.weight, at)[:, None])
    score = _scores(x, w, b, xp.max(xp.abs(step), axis=0), xp)
    missed = _wrong(sign, score, rule)
    c = xp.where(missed, step, xp.zeros_like(step))
    loss = xp.sum(at_least(-sign * score, 0.0, xp), axis=0)
    mistakes = xp.sum(xp.astype(missed, w.dtype), axis=0)
    moved = xp.sum(xp.astype(c != 0, w.dtype), axis=0)
    present = xp.sum(xp.astype(x != 0, w.dtype), axis=0) if rule.sparse else xp.ones_like(w[0, :])
    return xp.matrix_transpose(c) @ x, xp.sum(c, axis=0), loss, mistakes, moved, present


def _wrong(sign: Array, score: Array, rule: Rule) -> Array:
    margin = sign * score
    if rule.zero_is_positive:
        return (margin < 0) | ((margin == 0) & (sign < 0))
    return margin <= 0


def _scores(x: Array, w: Array, b: Array, step: Array, xp: Namespace) -> Array:
    """Scores (m, K), exactly 0 where they are no further from it than rounding goes.

    A sum of n products is wrong by about ``sqrt(n) eps`` times their size (Higham and Mary 2019).
    The weights are such sums themselves, of steps: of weights that cancelled, the size is a step's.
    """
    score = x @ xp.matrix_transpose(w) + b
    n = int(x.shape[0]) + int(x.shape[1])
    apart = 8.0 * n**0.5 * float(xp.finfo(w.dtype).eps)
    length = xp.sum(x * x, axis=1) ** 0.5
    weights = xp.sum(w * w, axis=1) ** 0.5 + step * xp.max(length)
    size = length[:, None] * weights + (xp.abs(b) + step)
    return xp.where(xp.abs(score) > apart * size, score, xp.zeros_like(score))


def rows_at_once(features: int, most: int) -> int:
    """How many rows are made dense or scored at a time: fewer of wide ones."""
    return max(1, min(most, CHUNK_ELEMENTS // max(features, 1)))


def dense_rows(data: Data, rows: Array, like: Array, xp: Namespace) -> tuple[Array, Array]:
    """Dense rows of X beside `like`, and the row numbers on its device."""
    if isinstance(data.x, type(data.y)):
        return xp.take(data.x, rows, axis=0), rows
    backend = backend_of(like)  # CSR and its row numbers are on the host; some have no int64
    x = backend.asarray(data.x[rows].toarray(), dtype=like.dtype)
    return x, backend.asarray(rows, dtype="int32")
