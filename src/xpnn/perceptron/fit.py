"""Epochs of the perceptron rule until each binary problem stops, as scikit-learn stops it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.perceptron.choice import (
    Data,
    Rule,
    State,
    dense_rows,
    permutation,
    select_epoch,
)
from xpnn.training.interrupt import interruptible

_CHUNK = 8192  # rows scored at a time


class Held(NamedTuple):
    """The rows held out for early stopping."""

    x: Any
    y: Array
    weight: Array


@dataclass(frozen=True)
class Plan:
    """What a fit does, apart from the rule.

    Parameters
    ----------
    max_iter : int
    tol : float
        -inf never stops early.
    patience : int
        Epochs without an improvement by `tol`, before a problem stops.
    seed : int or None
        Of the order of the samples; None keeps the order given.
    keep_best : bool
        Return the best weights seen at the end of an epoch: with fewest training mistakes, or
        with rows held out, of the best score there.
    verbose : bool
    """

    max_iter: int
    tol: float = -np.inf
    patience: int = 5
    seed: int | None = None
    keep_best: bool = False
    verbose: bool = False


@dataclass
class Fitted:
    """One binary problem, when it stopped."""

    coef: Array
    intercept: Array
    mean: Array
    mean_intercept: Array
    n_iter: int


@dataclass
class _Progress:
    """Of one binary problem."""

    best: float = np.inf
    waited: int = 0
    result: Fitted | None = None

    def update(self, badness: float, plan: Plan) -> bool:
        """Whether there was no improvement for too long."""
        stalled = plan.tol > -np.inf and badness > self.best - plan.tol
        self.waited = self.waited + 1 if stalled else 0
        self.best = min(self.best, badness)
        return self.waited >= plan.patience


def fit_problems(
    state: State,
    data: Data,
    learned: np.ndarray,
    held: Held | None,
    rule: Rule,
    plan: Plan,
    backend: Backend,
) -> tuple[list[Fitted], dict[str, list[float]]]:
    """Train all binary problems side by side; each leaves when it stops.

    Parameters
    ----------
    state : State
    data : Data
    learned : ndarray of bool, shape (n,)
        Which samples to learn; the others are held out.
    held : Held or None
    rule : Rule
    plan : Plan
    backend : Backend

    Returns
    -------
    list of Fitted
        One for each problem.
    history : dict of str to list of float
        Mean loss and number of mistakes of each epoch, summed over the problems still learning.

    Raises
    ------
    ValueError
        When a weight is no longer finite; begins with scikit-learn's sentence.
    """
    xp = backend.xp
    epoch = select_epoch(xp, rule)
    progress = [_Progress() for _ in range(int(data.labels.shape[0]))]
    active = list(range(len(progress)))
    step = permutation(len(learned), plan.seed) if plan.seed is not None else None
    order = np.arange(len(learned))
    pocket = _Pocket(state, plan.keep_best)
    history: dict[str, list[float]] = {"loss": [], "mistakes": []}
    with interruptible() as interrupted:  # Ctrl-C ends an epoch and keeps the weights
        for number in range(1, plan.max_iter + 1):
            if step is not None or number == 1:
                order = order if step is None else order[step]
                chosen = order if learned.all() else order[learned[order]]
                visit = chosen if rule.sparse else backend.asarray(chosen)
            met = state.t
            state, sums = epoch(state, data, visit, rule, xp, interrupted)
            count = max(1.0, state.t - met)
            loss, objective, mistakes = _read(sums, state, number, backend)
            history["loss"].append(float(loss.sum()) / count)
            history["mistakes"].append(float(mistakes.sum()))
            if plan.verbose:
                tqdm.write(
                    f"Epoch {number}: average loss {history['loss'][-1]:.6g}, "
                    f"{mistakes.sum():.0f} mistakes, {len(active)} problem(s) still learning"
                )
            if held is not None:
                scores = _held_score(state, data, held, xp)
                pocket.offer(-scores, state, xp)
                badness = -backend.to_numpy(scores).astype(np.float64)
            else:
                if plan.keep_best:
                    pocket.offer(_training_mistakes(state, data, visit, xp), state, xp)
                badness = objective / count
            last = number == plan.max_iter or interrupted()
            done = [
                progress[k].update(float(b), plan) or last
                for k, b in zip(active, badness, strict=True)
            ]
            if not any(done):
                continue
            best = pocket.weights(state, xp)
            for i in (i for i, d in enumerate(done) if d):
                mean = (state.mean[i, :], state.mean_intercept[i])
                progress[active[i]].result = Fitted(best[0][i, :], best[1][i], *mean, number)
            stay = [i for i, d in enumerate(done) if not d]
            if not stay:
                break
            keep = backend.asarray(np.asarray(stay))
            active = [active[i] for i in stay]
            state, data = _select(state, data, keep, xp)
            pocket.select(keep, xp)
    if interrupted():
        warn_user("Training interrupted by user.")
    return [p.result for p in progress if p.result is not None], history


class _Pocket:
    """The weights of the best epoch so far, each problem its own; nothing is read on the host."""

    def __init__(self, state: State, used: bool) -> None:
        self.used = used
        self.coef, self.intercept = state.coef, state.intercept
        self.badness: Array = None

    def offer(self, badness: Array, state: State, xp: Any) -> None:
        if not self.used:
            return
        coef = state.weights(xp)
        if self.badness is None:
            self.badness, self.coef, self.intercept = badness, coef, state.intercept
            return
        better = badness < self.badness
        self.badness = xp.where(better, badness, self.badness)
        self.coef = xp.where(better[:, None], coef, self.coef)
        self.intercept = xp.where(better, state.intercept, self.intercept)

    def weights(self, state: State, xp: Any) -> tuple[Array, Array]:
        """What to return of a problem that stops now."""
        return (self.coef, self.intercept) if self.used else (state.weights(xp), state.intercept)

    def select(self, keep: Array, xp: Any) -> None:
        if self.used:
            self.coef = xp.take(self.coef, keep, axis=0)
            self.intercept, self.badness = (
                xp.take(a, keep, axis=0) for a in (self.intercept, self.badness)
            )


def _select(state: State, data: Data, keep: Array, xp: Any) -> tuple[State, Data]:
    """The problems that go on."""
    fields = ("coef", "intercept", "clipped", "mean", "mean_intercept")
    rows = {name: xp.take(getattr(state, name), keep, axis=0) for name in fields}
    state = state._replace(norms=xp.take(state.norms, keep, axis=1), **rows)
    return state, data._replace(
        labels=xp.take(data.labels, keep, axis=0),
        class_weight=xp.take(data.class_weight, keep, axis=1),
    )


def _read(sums: Array, state: State, number: int, backend: Backend) -> np.ndarray:
    """The epoch's sums and whether the weights are finite, in one look at the device."""
    xp = backend.xp
    finite = xp.all(xp.isfinite(state.coef)) & xp.all(xp.isfinite(state.intercept))
    flags = xp.reshape(xp.astype(finite, sums.dtype), (1,))
    host = backend.to_numpy(xp.concat([flags, xp.reshape(sums, (-1,))])).astype(np.float64)
    if not host[0]:
        raise ValueError(
            f"Floating-point under-/overflow occurred at epoch #{number}. Scaling input data with "
            "StandardScaler or MinMaxScaler might help."
        )
    values: np.ndarray = host[1:].reshape(3, -1)
    return values


def _right(x: Any, y: Array, coef: Array, intercept: Array, labels: Array, xp: Any) -> Array:
    """Which answers are right, (n, K)."""
    score = x @ xp.matrix_transpose(coef) + intercept
    return (score > 0) == (y[:, None] == labels)


def _held_score(state: State, data: Data, held: Held, xp: Any) -> Array:
    """Accuracy of each problem on the rows held out, (K,).

    scikit-learn forgets the scale of the weight vector here, which matters with an L2 penalty;
    so does this, to stop in the same epoch.
    """
    right = _right(held.x, held.y, state.coef, state.intercept, data.labels, xp)
    return xp.sum(xp.astype(right, held.weight.dtype) * held.weight[:, None], axis=0) / xp.sum(
        held.weight
    )


def _training_mistakes(state: State, data: Data, visit: Array, xp: Any) -> Array:
    """Weight of the training samples that each problem has wrong, (K,)."""
    coef, total = state.weights(xp), xp.zeros_like(state.intercept)
    n = int(visit.shape[0])
    for first in range(0, n, _CHUNK):
        x, at = dense_rows(data, visit[first : min(n, first + _CHUNK)], coef, xp)
        right = _right(x, xp.take(data.y, at), coef, state.intercept, data.labels, xp)
        weight = xp.take(data.weight, at)[:, None]
        total = total + xp.sum(xp.astype(~right, coef.dtype) * weight, axis=0)
    return total
