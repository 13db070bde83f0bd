"""The training loop: epochs of shuffled mini-batches, validation, stopping, history.

Nothing inside an epoch waits for the device: the loss is summed there and read once an epoch.
A call works on copies, so the state that it was given is as it was whatever happens, unless the
caller has no more use for it.
"""

import math
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn._warnings import warn_user
from xpnn.arrays.numeric import zero_beside
from xpnn.arrays.random import step_keys
from xpnn.arrays.typing import Array
from xpnn.distributed.communicator import Communicator
from xpnn.model.network import Network
from xpnn.parts.schedules import Progress, constant
from xpnn.steps.rules import Carry, Rows, StepInterrupted
from xpnn.steps.scores import loss_and_finite
from xpnn.training.agreement import agree, asked_by_any, first_says, one_thread_a_product
from xpnn.training.callbacks import Callback, Callbacks, EpochEnd
from xpnn.training.checkpoint import Keeper, listening
from xpnn.training.data import Dataset
from xpnn.training.interrupt import any_of, interruptible
from xpnn.training.portions import Draw, Portion
from xpnn.training.restart import restore_run, run_record
from xpnn.training.state import (
    DivergedError,
    Outcome,
    TrainingConfig,
    TrainingState,
    Weights,
    apart,
    copied,
)
from xpnn.training.stepping import calls_of, check_single_rows, steps_of, without_dropout
from xpnn.training.together import is_unobserved, take_epochs
from xpnn.training.windows import Windows
from xpnn.training.work import Work

_KEYS_AHEAD = 2048  # steps

Validation = Callable[[Array, Array], dict[str, float]]
"""Metrics of (theta, buffers) on held-out rows: ``val_loss``, ``val_score`` and others."""


def train(
    network: Network,
    state: TrainingState,
    data: Dataset | Windows,
    config: TrainingConfig,
    *,
    validation: Validation | None = None,
    callbacks: Iterable[Callback] = (),
    consume: bool = False,
    stop: Callable[[], bool] | None = None,
    expected: Callable[[], int] | None = None,
    keeper: Keeper | None = None,
    comm: Communicator | None = None,
) -> TrainingState:
    """Train for some epochs.

    Parameters
    ----------
    state : TrainingState
        Where to start; not changed, unless `consume`.
    validation : callable, default=None
        Called after each epoch with theta and buffers.
    callbacks : iterable of callables
        Called after each epoch with an `EpochEnd`.
    consume : bool, default=False
        Train in the state's own arrays, which saves their memory; whatever happens, it is lost.
    stop : callable () -> bool, default=None
        Asked between steps; True ends training there, in the middle of an epoch too.
    expected : callable () -> int, default=None
        How many epochs it will be, as far as the caller knows, for callbacks; None is all.
    keeper : Keeper, default=None
        Gets checkpoints, and may have one to go on from; then `state` is where the training that
        it is of began.
    comm : Communicator, default=None
        The processes that train this network together; each calls this function.

    Returns
    -------
    TrainingState
        After the last epoch, or of the best one with `config.restore_best`.

    Raises
    ------
    DivergedError
        When the loss or a weight becomes NaN or infinite; its `state` is of the last good epoch.
    """
    work, xp, callbacks = Work(data.backend), data.backend.xp, tuple(callbacks)
    calls = Callbacks(callbacks, work.outside)
    measure = None if validation is None else work.outside()(first_says(comm, validation))
    one = one_thread_a_product(comm, data.backend)
    with work, interruptible() as interrupted, listening(keeper), one:
        start = state if consume else state.copy(xp)
        if start.monitor != config.monitor:  # values of another metric don't compare
            start.monitor, start.best, start.stale = config.monitor, -math.inf, 0
            start.best_weights = None
        if keeper is not None:
            interrupted = any_of(interrupted, lambda: keeper.terminated)
        run = _Run(network, start, data, config, measure, comm, interrupted)
        if keeper is not None:
            run.keep(keeper, callbacks)
        snapshot = work.inside()(run.snapshot)
        ended = interrupted if stop is None else any_of(interrupted, stop)
        ended = asked_by_any(run, ended, comm)
        epochs = expected or (lambda: config.epochs)
        with calls.during(epochs()):
            run.unobserved = is_unobserved(run, (callbacks, keeper))
            while run.outcome == "finished" and run.done < config.epochs:
                if not run.epoch(ended):
                    now = agree(comm, interrupted())
                    run.outcome = "interrupted" if now else "stopped"
                    run.settled = "finished" if now else "stopped"
                    break
                metrics, asked = run.read_metrics(), False
                if callbacks:
                    end = EpochEnd(run.done, epochs(), metrics, run.message, snapshot, interrupted)
                    asked = calls.epoch(end)
                asked, now = agree(comm, asked), agree(comm, interrupted())
                run.end_epoch(asked=asked, interrupted=now)
            run.save()
        return run.result()


class _Run:
    """One call of `train`: the state as it moves, and what was best and last good."""

    def __init__(
        self,
        network: Network,
        state: TrainingState,
        data: Dataset | Windows,
        config: TrainingConfig,
        validation: Validation | None,
        comm: Communicator | None = None,
        interrupted: Callable[[], bool] | None = None,
    ) -> None:
        self.network, self.state, self.data, self.config = network, state, data, config
        self.validation, self.comm, self.interrupted = validation, comm, interrupted
        self.xp, self.whole = data.backend.xp, network  # with dropout
        network.check_activations(state.theta, self.xp)
        data.check_labels(config.loss, network.n_out)
        self.batch_statistics = bool(network.buffer_layout.size)
        if self.batch_statistics and min(config.batch_size, data.n) == 1:
            check_single_rows(state)
        self.outcome: Outcome = "finished"
        self.settled: Outcome = "finished"  # the outcome, but for an interruption
        self.at = 0  # steps of the epoch that are done
        self.unobserved = False  # whether nobody looks at the weights between epochs
        self.due: Callable[[], bool] | None = None  # whether it is time for a checkpoint
        self.save: Callable[[], None] = lambda: None
        self.good: Weights | None = None
        self.best = state.best_weights
        if config.restore_best and math.isfinite(state.best) and self.best is None:
            # an earlier call's best are its result
            self.best = copied((state.theta, state.buffers, ()), self.xp)
        self.message, self.advice = "", ""
        self.validated: tuple[str, ...] = () if validation is None else ("val_loss", "val_score")
        self.total: Array = None
        self.rate, self.optimizer = float(config.learning_rate), config.optimizer
        self.drawn: tuple[int, np.ndarray] = (0, np.empty((0, 0, 2), dtype=np.uint32))
        self.first = state.step, state.epoch
        state.moments = apart(state.theta, state.moments, self.xp)
        self._take(network)

    @property
    def done(self) -> int:
        """Whole epochs of this call."""
        return self.state.epoch - self.first[1]

    def keep(self, keeper: Keeper, callbacks: tuple[Callback, ...]) -> None:
        """Go on from the keeper's checkpoint, if it has one; from now on give it checkpoints."""
        if keeper.found is not None:
            with keeper.reading():
                restore_run(self, keeper.found, callbacks)

        saved = self.state.step, self.settled

        def save() -> None:
            nonlocal saved
            now = self.state.step, self.settled
            if self.outcome != "diverged" and now != saved:  # the one before it leads there again
                keeper.save(self.state.step, self.state.epoch, lambda: run_record(self, callbacks))
                saved = now
            if self.outcome == "interrupted":
                keeper.stop_if_terminated()

        self.due = lambda: keeper.due(self.state.step, self.state.epoch)
        keeper.start(self.state.step, self.state.epoch, lambda: run_record(self, callbacks))
        self.save, self.advice = save, keeper.advice

    def end_epoch(self, *, asked: bool, interrupted: bool) -> None:
        """After the callbacks of an epoch: whether training goes on."""
        if self.outcome != "diverged":  # that stays, whatever anybody asks for
            self.settled = "stopped" if asked else self.outcome
            self.outcome = "interrupted" if interrupted else self.settled

    def progress(self, plateaus: int = 0) -> Progress:
        """Where the run stands, after so many more plateaus."""
        s, c = self.state, self.config
        steps = -(-self.data.n // c.batch_size) * c.epochs
        step, epoch = s.step - self.first[0], s.epoch - self.first[1]
        samples = s.samples if s.t else 0  # a new start of the optimizer is one of its rate
        return Progress(step, epoch, samples, steps, c.epochs, s.plateaus + plateaus)

    def epoch(self, interrupted: Callable[[], bool]) -> bool:
        """All batches once, or of several epochs; False when Ctrl-C has ended it, or a step."""
        if self.unobserved and not interrupted() and take_epochs(self):
            return True
        s, c, data = self.state, self.config, self.data
        i, n_steps, begun = 0, -(-data.n // c.batch_size), self.at
        if c.dropout is not None:
            self._drop(c.dropout(1.0, self.progress()) > 0)
        keys = self.keys(n_steps - begun)
        if not begun:
            self.total = zero_beside(s.theta, self.xp)
            if c.schedule.function is not constant:
                self.rate = c.schedule(c.learning_rate, self.progress())
        if c.decay is not None:
            now = c.decay(c.optimizer.weight_decay, self.progress())
            self.optimizer = replace(c.optimizer, weight_decay=now)
        draw = Draw(s.seed, s.epoch, self.network.members if c.own_rows else 1, c.shuffle, begun)
        with closing(data.portions(draw, c.batch_size, whole=self.resident)) as portions:
            for portion in portions:
                for k, count in calls_of(portion.steps, self.stride, self.batch_statistics):
                    done = min(count, max(0, begun - i))  # before a checkpoint
                    i, k, count = i + done, k + done, count - done
                    if not count:
                        continue
                    self.at = i
                    if interrupted():
                        return False
                    if self.due is not None and self.due():
                        self.save()
                    words = None if keys is None else keys[i - begun : i - begun + count]
                    before = s.step, s.t, self.rate
                    try:
                        self._advance(portion, k, words, i, count)
                    except StepInterrupted:
                        s.step, s.t, self.rate = before
                        return False
                    i += count
        s.epoch, s.samples, self.at = s.epoch + 1, s.samples + data.n, 0
        return True

    def _drop(self, some: bool) -> None:
        """From now on train with dropout, or without."""
        if not self.whole.draws or some == (self.network is self.whole):
            return
        before = self.steps
        self._take(self.whole if some else without_dropout(self.whole))
        if self.comm is not None:
            self.steps.asks = before.asks

    def _take(self, network: Network) -> None:
        """From now on the steps of this network."""
        self.network, data, c = network, self.data, self.config
        self.steps: Any = steps_of(network, self.state.theta, data, c, self.comm, self.interrupted)
        self.resident = data.resident or bool(getattr(self.steps, "takes_sparse", False))
        self.stride = self.steps.stride(c.batch_size) if self.resident else 1

    def _advance(self, portion: Portion, k: int, words: Any, i: int, count: int) -> None:
        """`count` steps of the portion from its `k`-th on, the epoch's `i`-th; one for each key."""
        s, size = self.state, self.config.batch_size
        rates = self.coefficients(i, count)
        share = min(1.0, (self.data.n - i * size) / size)
        short = self.batch_statistics and share < 1.0
        before = self.xp.asarray(s.buffers, copy=True) if short else None
        carry = Carry(s.theta, s.buffers, s.moments, self.total)
        if self.resident:
            rows = Rows(portion.batch, portion.order, portion.start + k * size, size)
            carry = self.steps.on_rows(carry, rows, words, rates)
        else:
            key = None if words is None else words[0]
            carry = self.steps.on_batch(carry, portion.batch, key, rates[0])
        s.theta, s.buffers, s.moments, self.total = carry
        if short:  # it counts by its size in the running statistics
            s.buffers = before + share * (s.buffers - before)

    def coefficients(self, first: int, count: int) -> list[tuple[float, ...]]:
        """The optimizer's scalars of the epoch's steps from `first` on; these count as done."""
        s, c = self.state, self.config
        rates: list[tuple[float, ...]] = []
        if c.schedule.per != "step":
            rates = [self.optimizer.coefficients(self.rate, s.t + 1 + i) for i in range(count)]
            s.step, s.t = s.step + count, s.t + count
            return rates
        for i in range(first, first + count):
            if i:
                self.rate = c.schedule(c.learning_rate, self.progress())
            rates.append(self.optimizer.coefficients(self.rate, s.t + 1))
            s.step, s.t = s.step + 1, s.t + 1
        return rates

    def keys(self, n_steps: int) -> Any:
        """Dropout keys of an epoch, from a block drawn ahead: short epochs are many."""
        if not self.network.draws:
            return None
        step, (first, keys) = self.state.step, self.drawn
        if not first <= step <= first + len(keys) - n_steps:
            left = n_steps * (self.config.epochs - self.state.epoch + self.first[1])
            ahead = max(n_steps, min(left, _KEYS_AHEAD))
            keys = step_keys(self.state.seed, step, ahead, len(self.network.layers) + 1)
            self.drawn = first, keys = step, keys
        return self.steps.words(keys[step - first : step - first + n_steps])

    def _look(self) -> tuple[float, bool]:
        """The epoch's loss, and whether all weights are finite: its one look at the device."""
        theta, xp = self.state.theta, self.xp
        if isinstance(theta, np.ndarray):  # a finite sum has finite terms, and is had sooner
            finite = math.isfinite(np.add.reduce(theta)) or bool(np.isfinite(theta).all())
            return float(self.total / self.data.n), finite
        seen = loss_and_finite(self.total, self.data.n, theta, xp)
        loss, finite = self.data.backend.to_numpy(seen)
        return float(loss), bool(finite)

    def read_metrics(self) -> dict[str, float]:
        """What an epoch was like, and what follows from it."""
        s = self.state
        loss, finite = self._look()
        metrics = {"loss": loss, "learning_rate": self.rate}
        if not (finite and math.isfinite(loss)):
            self.outcome = "diverged"
            metrics |= dict.fromkeys(self.validated, math.nan)
        elif self.validation is not None:
            measured = self.validation(s.theta, s.buffers)
            metrics, self.validated = metrics | measured, tuple(measured)
        s.record(metrics)
        if self.outcome != "diverged":
            self.good = None  # first, so that its memory is free for its successor
            self.good = copied((s.theta, s.buffers, ()), self.xp)
            self.judge(metrics[self.config.monitor])
        return metrics

    def judge(self, value: float) -> None:
        """Count epochs without improvement, as scikit-learn does, and keep the best."""
        s, c = self.state, self.config
        value = -value if c.monitor in ("loss", "val_loss") else value
        s.stale = 0 if value >= s.best + c.tol else s.stale + 1
        if value > s.best:
            s.best, self.best = value, self.good
        self.message = ""
        if s.stale > c.patience:
            now, lowered = (c.schedule(c.learning_rate, self.progress(k)) for k in (0, 1))
            what = {"loss": "Training loss", "val_score": "Validation score"}.get(
                c.monitor, c.monitor
            )
            self.message = (
                f"{what} did not improve more than tol={c.tol:f} for {c.patience:.0f} consecutive "
                "epochs."
            )
            if lowered < now:
                s.plateaus, s.stale = s.plateaus + 1, 0
                self.message += f" Setting learning rate to {lowered:f}"
            else:
                self.outcome = "converged"
                small = " Learning rate too small." if c.schedule.name == "adaptive" else ""
                self.message += f"{small} Stopping."

    def snapshot(self) -> TrainingState:
        """A copy of the state, or of the last good epoch's after a divergence."""
        if self.outcome == "diverged" and self.good is not None:
            return self._restarted(self.good)
        return self.state.copy(self.xp)

    def _restarted(self, weights: Weights) -> TrainingState:
        """The state with other weights, where the optimizer has to start anew."""
        theta, buffers, _ = weights
        moments = self.config.optimizer.init(theta, self.xp)
        return self.state.with_weights((theta, buffers, moments), t=0)

    def result(self) -> TrainingState:
        """The state that the call ends with."""
        s = self.state
        if self.outcome == "diverged":
            good = None if self.good is None else self._restarted(self.good)
            error = DivergedError(len(s.history["loss"]), self.rate, good)
            if not (self.config.restore_best and self.best):
                raise error
            warn_user(f"{error} The best weights are restored.")
            s = self._restarted(self.best)
        if self.outcome == "interrupted":
            warn_user(f"Training interrupted by user. {self.advice}".strip())
        s.outcome = self.outcome
        if self.config.restore_best and self.best is not None:
            if self.config.incremental and self.outcome == "finished":
                s.best_weights = self.best
                return s
            theta, buffers, _ = self.best  # the optimizer's moments are the last, as scikit-learn's
            s = s.with_weights((theta, buffers, s.moments), best_weights=None)
        return s
