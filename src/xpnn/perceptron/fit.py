"""Epochs of the perceptron rule until each binary problem stops, as scikit-learn stops it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.distributed.communicator import Communicator
from xpnn.perceptron.answers import Held, held_score, more_mistakes
from xpnn.perceptron.choice import finite_and_sums, select_epoch
from xpnn.perceptron.ownrows import SharedSamples, shared_mistakes
from xpnn.perceptron.reference import Data, Rule, State
from xpnn.perceptron.restart import Problems, fit_record, of_problems, restore_fit
from xpnn.perceptron.samples import BlockSamples, Piece, Samples
from xpnn.perceptron.shared import SharedBatches
from xpnn.training.agreement import agree
from xpnn.training.checkpoint import Keeper, Record, listening
from xpnn.training.interrupt import any_of, interruptible


@dataclass(frozen=True)
class Plan:
    """What a fit does, apart from the rule."""

    max_iter: int
    tol: float = -np.inf  # -inf never stops early
    patience: int = 5  # epochs without an improvement by `tol`, before a problem stops
    seed: int | None = None  # of the order of the samples; None keeps the order given
    keep_best: bool = False
    """Whether to return the best weights at the end of an epoch: with fewest training mistakes, or
    with rows held out, of the best score there."""
    verbose: bool = False
    comm: Communicator | None = None  # the processes that fit together


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
    samples: Samples | BlockSamples | SharedSamples,
    problems: Problems,
    held: Held | None,
    rule: Rule,
    plan: Plan,
    backend: Backend,
    keeper: Keeper | None = None,
) -> tuple[list[Fitted], dict[str, list[float]], bool]:
    """Train all binary problems side by side; each leaves when it stops.

    Parameters
    ----------
    samples : Samples, BlockSamples or SharedSamples
    keeper : Keeper, default=None
        Gets checkpoints, in the middle of an epoch too, and may have one to go on from.

    Returns
    -------
    list of Fitted
        One for each problem.
    history : dict of str to list of float
        Mean loss and number of mistakes of each epoch, summed over the problems still learning.
    interrupted : bool
        Whether Ctrl-C has ended it.

    Raises
    ------
    ValueError
        When a weight is no longer finite; begins with scikit-learn's sentence.
    """
    fit = _Fit(state, samples, problems, held, rule, plan, backend)
    # Ctrl-C ends an epoch and keeps the weights.
    with interruptible() as interrupted, listening(keeper):
        if keeper is None:
            fit.run(interrupted)
        else:
            fit.keep(keeper)
            fit.run(any_of(interrupted, lambda: keeper.terminated))
            keeper.stop_if_terminated()
    results = [p.result for p in fit.progress if p.result is not None]
    return results, fit.history, agree(plan.comm, interrupted())


class _Fit:
    """A fit between two pieces of its samples: all that moves."""

    def __init__(
        self,
        state: State,
        samples: Samples | BlockSamples | SharedSamples,
        problems: Problems,
        held: Held | None,
        rule: Rule,
        plan: Plan,
        backend: Backend,
    ) -> None:
        self.state, self.samples, self.problems, self.held = state, samples, problems, held
        self.rule, self.plan, self.backend, self.xp = rule, plan, backend, backend.xp
        self.run_epoch = select_epoch(self.xp, rule)
        self.progress = [_Progress() for _ in range(int(problems.labels.shape[0]))]
        self.active = list(range(len(self.progress)))
        self.pocket = _Pocket(state, plan.keep_best)
        self.history: dict[str, list[float]] = {"loss": [], "mistakes": []}
        self.number, self.at = 0, 0  # whole epochs, and the rows of this one that are done
        self.sums: Array = None  # of these rows
        self.save: Callable[[bool], None] = lambda always: None

    def keep(self, keeper: Keeper) -> None:
        """Go on from the keeper's checkpoint, if it has one; from now on give it checkpoints."""
        if keeper.found is not None:
            with keeper.reading():
                restore_fit(self, keeper.found, self.backend, Fitted)

        def make() -> Record:
            return fit_record(self)

        def save(always: bool) -> None:
            if always or keeper.due(self.steps, self.number):
                keeper.save(self.steps, self.number, make)

        keeper.start(self.steps, self.number, make)
        self.save = save

    @property
    def steps(self) -> int:
        """Batches that were learned from."""
        samples = self.samples
        return self.number * samples.batches(samples.n) + samples.batches(self.at)

    def run(self, interrupted: Callable[[], bool]) -> None:
        """Epochs until all problems have stopped."""
        while self.active:
            whole = self.epoch(interrupted)
            count, self.at = self.at, 0
            self.judge(self.measure(self.sums, max(1, count)))
            ended = agree(self.plan.comm, interrupted())
            if whole:
                self.samples.end_epoch()
                self.save(ended or not self.active)
            if ended or not whole:
                self.finish(range(len(self.active)))

    def epoch(self, interrupted: Callable[[], bool]) -> bool:
        """Visit the rows that are left of an epoch; False when that was to end before the last."""
        pieces = self.samples.pieces(self.number, self.at)
        self.sums = self.sums if self.at else None
        begun = self.at
        with closing(pieces):
            for piece in pieces:
                if self.at > begun:
                    self.save(False)
                state, sums = self.run_epoch(
                    self.state, self.data(piece), piece.visit, self.rule, self.xp, interrupted,
                    sums=self.sums, **self.shared(piece, interrupted),
                )  # fmt: skip
                done = round(state.t - self.state.t)
                ended = agree(self.plan.comm, interrupted())
                last = self.at + done == self.samples.n
                if ended and not last:
                    self.save(True)  # as it was before this piece
                self.state, self.sums, self.at = state, sums, self.at + done
                if ended and not last:
                    break
        self.number += 1
        return self.at == self.samples.n

    def shared(self, piece: Piece, stop: Callable[[], bool]) -> dict[str, Any]:
        """Of several processes, the batches that they share."""
        comm = self.plan.comm
        if comm is None:
            return {}
        return {"shared": SharedBatches(comm, stop, self.samples.shares, piece.steps)}

    def data(self, piece: Piece) -> Data:
        """Samples as the problems see them that still learn."""
        return Data(piece.x, piece.y, piece.weight, *self.problems)

    def measure(self, sums: Array, count: float) -> np.ndarray:
        """Each active problem's badness after an epoch, and the history of all."""
        loss, objective, mistakes = _read(sums, self.state, self.number, self.backend)
        self.history["loss"].append(float(loss.sum()) / count)
        self.history["mistakes"].append(float(mistakes.sum()))
        if self.plan.verbose:
            tqdm.write(
                f"Epoch {self.number}: average loss {self.history['loss'][-1]:.6g}, "
                f"{mistakes.sum():.0f} mistakes, {len(self.active)} problem(s) still learning"
            )
        if self.held is not None:
            scores = held_score(self.state, self.problems, self.held, self.xp)
            self.pocket.offer(-scores, self.state, self.xp)
            badness: np.ndarray = -self.backend.to_numpy(scores).astype(np.float64)
            return badness
        if self.plan.keep_best:
            self.pocket.offer(self.mistakes(), self.state, self.xp)
        per_row: np.ndarray = objective / count
        return per_row

    def mistakes(self) -> Array:
        """The weight of the samples that each active problem has wrong, after an epoch."""
        wrong, samples = self.xp.zeros_like(self.state.intercept), self.samples
        with closing(samples.pieces(self.number - 1, 0)) as pieces:
            if isinstance(samples, SharedSamples):
                given = ((self.data(piece), piece) for piece in pieces)
                return shared_mistakes(samples, self.state, given, self.xp)
            for piece in pieces:
                wrong = more_mistakes(wrong, self.state, self.data(piece), piece.visit, self.xp)
        return wrong

    def judge(self, badness: np.ndarray) -> None:
        """Which problems stop after an epoch."""
        last = self.number == self.plan.max_iter
        done = [
            self.progress[k].update(float(b), self.plan) or last
            for k, b in zip(self.active, badness, strict=True)
        ]
        self.finish([i for i, d in enumerate(done) if d])

    def finish(self, places: Sequence[int]) -> None:
        """End the active problems at these places."""
        if not places:
            return
        state, best = self.state, self.pocket.weights(self.state, self.xp)
        for i in places:
            mean = (state.mean[i, :], state.mean_intercept[i])
            result = Fitted(best[0][i, :], best[1][i], *mean, self.number)
            self.progress[self.active[i]].result = result
        stay = [i for i in range(len(self.active)) if i not in set(places)]
        self.active = [self.active[i] for i in stay]
        if stay:
            keep = self.backend.asarray(np.asarray(stay))
            self.state = _select(state, keep, self.xp)
            self.problems = of_problems(self.problems, keep, self.xp)
            self.pocket.select(keep, self.xp)


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


def _select(state: State, keep: Array, xp: Any) -> State:
    """The problems that go on."""
    fields = ("coef", "intercept", "clipped", "mean", "mean_intercept")
    rows = {name: xp.take(getattr(state, name), keep, axis=0) for name in fields}
    return state._replace(norms=xp.take(state.norms, keep, axis=1), **rows)


def _read(sums: Array, state: State, number: int, backend: Backend) -> np.ndarray:
    """The epoch's sums and whether the weights are finite, in one look at the device."""
    host = backend.to_numpy(finite_and_sums(state, sums, backend.xp)).astype(np.float64)
    if not host[0]:
        raise ValueError(
            f"Floating-point under-/overflow occurred at epoch #{number}. Scaling input data with "
            "StandardScaler or MinMaxScaler might help, and so may a smaller eta0, or smaller "
            "weights of samples or classes."
        )
    values: np.ndarray = host[1:].reshape(3, -1)
    return values
