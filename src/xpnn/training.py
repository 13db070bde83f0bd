"""The training loop: epochs of shuffled mini-batches, validation, stopping, history.

Nothing inside an epoch waits for the device: the loss is summed there and read once an epoch.
A call works on copies, so the state that it was given is as it was whatever happens.
"""

import math
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from array_api_compat import device

from xpnn import kernels
from xpnn._numeric import positive_sum
from xpnn._typing import Array, Namespace
from xpnn.callbacks import Callback, Callbacks, EpochEnd
from xpnn.data import Dataset
from xpnn.losses import Loss
from xpnn.network import Network
from xpnn.optimizers import clip_by_global_norm, max_norm, penalty
from xpnn.random import SHUFFLE, host_generator, step_keys
from xpnn.schedules import Progress
from xpnn.state import DivergedError, Outcome, TrainingConfig, TrainingState, Weights, copied

Validation = Callable[[Array, Array], dict[str, float]]
"""Metrics of (theta, buffers) on held-out rows: ``val_loss``, ``val_score`` and others."""


def train(
    network: Network,
    state: TrainingState,
    data: Dataset,
    config: TrainingConfig,
    *,
    validation: Validation | None = None,
    callbacks: Iterable[Callback] = (),
) -> TrainingState:
    """Train for some epochs.

    Parameters
    ----------
    network : Network
    state : TrainingState
        Where to start; not changed.
    data : Dataset
    config : TrainingConfig
    validation : callable, default=None
        Called after each epoch with theta and buffers.
    callbacks : iterable of callables
        Called after each epoch with an `EpochEnd`.

    Returns
    -------
    TrainingState
        After the last epoch, or of the best one with `config.restore_best`.

    Raises
    ------
    DivergedError
        When the loss or a weight becomes NaN or infinite; its `state` is of the last good epoch.
    """
    calls, xp = Callbacks(callbacks), data.backend.xp
    with (
        data.backend.device_context(),
        np.errstate(all="ignore"),  # a divergence is reported once, by name
        _interruptible() as interrupted,
    ):
        start = state.copy(xp)
        if start.monitor != config.monitor:  # values of another metric don't compare
            start.monitor, start.best, start.stale = config.monitor, -math.inf, 0
            start.best_weights = None
        run = _Run(network, start, data, config, validation)
        try:
            calls.begin(config.epochs)
            for epoch in range(1, config.epochs + 1):
                if not run.epoch(interrupted):
                    run.outcome = "interrupted"
                    break
                metrics = run.read_metrics()
                end = EpochEnd(epoch, config.epochs, metrics, run.message, run.snapshot)
                if calls.epoch(end) or interrupted():
                    run.outcome = "interrupted" if interrupted() else "stopped"
                if run.outcome != "finished":
                    break
        finally:
            calls.end()
        return run.result()


class _Run:
    """One call of `train`: the state as it moves, and what was best and last good."""

    def __init__(
        self,
        network: Network,
        state: TrainingState,
        data: Dataset,
        config: TrainingConfig,
        validation: Validation | None,
    ) -> None:
        self.network, self.state, self.data, self.config = network, state, data, config
        self.validation, self.xp = validation, data.backend.xp
        self.outcome: Outcome = "finished"
        self.good: Weights | None = None
        self.best = state.best_weights
        if config.restore_best and math.isfinite(state.best) and self.best is None:
            self.best = copied(state.weights, self.xp)  # an earlier call's best are its result
        self.message = ""
        self.validated: tuple[str, ...] = () if validation is None else ("val_loss", "val_score")
        self.total: Array = None
        self.rate = config.learning_rate
        self.first = state.step, state.epoch
        self.decay = data.backend.asarray(network.layout.mask("weight"), dtype=state.theta.dtype)
        c = config
        rules = (c.loss, c.optimizer, c.l1, c.l2, c.clip_norm, c.max_norm)
        self.on_batch, self.on_rows = _steps(network, *rules, self.xp)

    def progress(self, plateaus: int = 0) -> Progress:
        """Where the run stands, after so many more plateaus."""
        s, c = self.state, self.config
        steps = -(-self.data.n // c.batch_size) * c.epochs
        step, epoch = s.step - self.first[0], s.epoch - self.first[1]
        samples = s.samples if s.t else 0  # a new start of the optimizer is one of its rate
        return Progress(step, epoch, samples, steps, c.epochs, s.plateaus + plateaus)

    def epoch(self, interrupted: Callable[[], bool]) -> bool:
        """All batches once; False when Ctrl-C ended it between two steps."""
        s, c, data, xp = self.state, self.config, self.data, self.xp
        order = None
        if c.shuffle:
            shuffled = host_generator(s.seed, SHUFFLE, s.epoch).permutation(data.n)
            order = data.place(shuffled)
        keys = self._keys(-(-data.n // c.batch_size))
        self.total = xp.zeros((), dtype=s.theta.dtype, device=device(s.theta))
        self.rate = c.schedule(c.learning_rate, self.progress())
        for i, start in enumerate(range(0, data.n, c.batch_size)):
            if interrupted():
                return False
            size = min(c.batch_size, data.n - start)
            if i and c.schedule.per == "step":
                self.rate = c.schedule(c.learning_rate, self.progress())
            carry = (s.theta, s.buffers, s.moments, self.total)
            rule = (
                None if keys is None else keys[i],
                c.optimizer.coefficients(self.rate, s.t + 1),
                self.decay,
            )
            if data.resident:
                carry = self.on_rows(*carry, data.arrays, order, start, *rule, size)
            else:
                carry = self.on_batch(*carry, data.fetch(order, start, size), *rule)
            s.theta, s.buffers, s.moments, self.total = carry
            s.step, s.t = s.step + 1, s.t + 1
        s.epoch, s.samples = s.epoch + 1, s.samples + data.n
        return True

    def _keys(self, n_steps: int) -> Any:
        if not self.network.draws:
            return None
        s = self.state
        keys = step_keys(s.seed, s.step, n_steps, len(self.network.layers) + 1)
        return kernels.host_words(keys, self.xp)

    def read_metrics(self) -> dict[str, float]:
        """The epoch's one look at the device, and what follows from it."""
        s, xp = self.state, self.xp
        finite = xp.astype(xp.all(xp.isfinite(s.theta)), self.total.dtype)
        on_host = self.data.backend.to_numpy(xp.stack([self.total / self.data.n, finite]))
        loss, finite = (float(value) for value in on_host)
        metrics = {"loss": loss, "learning_rate": self.rate}
        if not (math.isfinite(loss) and finite):
            self.outcome = "diverged"
            metrics |= dict.fromkeys(self.validated, math.nan)
        elif self.validation is not None:
            measured = self.validation(s.theta, s.buffers)
            metrics, self.validated = metrics | measured, tuple(measured)
        for name, value in metrics.items():
            s.history.setdefault(name, []).append(value)
        if self.outcome != "diverged":
            self.good = copied((s.theta, s.buffers, s.moments), xp)
            self._judge(metrics[self.config.monitor])
        return metrics

    def _judge(self, value: float) -> None:
        """Count epochs without improvement, as scikit-learn does, and keep the best."""
        s, c = self.state, self.config
        value = -value if c.monitor.endswith("loss") else value
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
                self.message += " Stopping."

    def snapshot(self) -> TrainingState:
        """The state of the last good epoch; shares no memory with what training goes on to write.

        `good` itself is replaced, never written into.
        """
        return self.state if self.good is None else self.state.with_weights(self.good)

    def result(self) -> TrainingState:
        """The state that the call ends with."""
        s = self.state
        if self.outcome == "diverged":
            good = None if self.good is None else s.with_weights(self.good)
            error = DivergedError(len(s.history["loss"]), self.rate, good)
            if not (self.config.restore_best and self.best):
                raise error
            warnings.warn(f"{error} The best weights are restored.", stacklevel=3)
        if self.outcome == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=3)
        s.outcome = self.outcome
        if self.config.restore_best and self.best is not None:
            if self.config.incremental and self.outcome == "finished":
                s.best_weights = self.best
                return s
            s = s.with_weights(self.best, best_weights=None)
        return s


Carry = tuple[Array, Array, tuple[Array, ...], Array]


@kernels.remembered
def _steps(
    network: Network,
    loss: Loss,
    optimizer: Any,
    l1: float,
    l2: float,
    clip_norm: float | None,
    limit: float | None,
    xp: Namespace,
) -> tuple[Callable[..., Carry], Callable[..., Carry]]:
    """A training step on a batch, and one on rows of resident data.

    Both take (theta, buffers, moments, total) first, may destroy them, and return their
    successors: the caller rebinds.
    """

    def on_batch(
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        batch: tuple[Array, Array, Array | None],
        keys: Any,
        coefficients: tuple[float, ...],
        decay: Array,
    ) -> Carry:
        x, y, weight = batch
        value, gradient, buffers = network.loss_and_gradient(
            theta, buffers, x, y, weight, loss, xp, keys=keys
        )
        if l1 or l2:
            rows = x.shape[0] if weight is None else positive_sum(weight, xp)
            penalty_value, penalty_gradient = penalty(theta * decay, l1, l2, xp)
            value = value + penalty_value / rows
            gradient = gradient + penalty_gradient / rows
        if clip_norm is not None:
            gradient = clip_by_global_norm(gradient, clip_norm, xp)
        theta, moments = optimizer.update(theta, gradient, moments, coefficients, decay, xp)
        if limit is not None:
            theta = _limit_weights(network, theta, limit, xp)
        return theta, buffers, moments, total + value * x.shape[0]

    def on_rows(
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        data: tuple[Array, Array, Array | None],
        order: Array | None,
        start: int,
        keys: Any,
        coefficients: tuple[float, ...],
        decay: Array,
        size: int,
    ) -> Carry:
        batch = kernels.select(xp).gather(data, order, start, size, xp)
        return on_batch(theta, buffers, moments, total, batch, keys, coefficients, decay)

    return (
        kernels.compiled(on_batch, xp, donate=(0, 2, 3)),
        kernels.compiled(on_rows, xp, donate=(0, 2, 3), static=(10,)),
    )


def _limit_weights(network: Network, theta: Array, limit: float, xp: Namespace) -> Array:
    parts = network.layout.split(theta, xp)
    for e in network.layout.entries:
        if e.role == "weight":
            parts[e.name] = max_norm(parts[e.name], limit, xp)
    return network.layout.join(parts, xp)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag that is looked at between two steps.

    A second one acts as it would have outside. Only the main thread gets signals, and a signal
    that is ignored stays ignored.
    """
    seen: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT) if main else None
    if not callable(previous):
        yield lambda: False
        return

    def note(signum: int, frame: Any) -> None:
        if seen:
            previous(signum, frame)
        seen.append(signum)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, previous)
