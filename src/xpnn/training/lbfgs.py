"""L-BFGS-B: SciPy steers on the host, the loss and its gradient are computed on the device.

An evaluation moves one parameter vector to the device, and one vector back that holds the loss
and the gradient.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from xpnn.arrays.compiling import compiled, remembered
from xpnn.arrays.numeric import positive_sum
from xpnn.arrays.typing import Array, Namespace
from xpnn.distributed.communicator import Communicator
from xpnn.model.network import Network, make_groups
from xpnn.model.normalization import MOMENTUM
from xpnn.parts.losses import SUMS, Loss
from xpnn.parts.regularization import penalty
from xpnn.steps.compiled.sums import CompiledSums
from xpnn.steps.rules import Rules, StepInterrupted
from xpnn.training.agreement import agree, one_thread_a_product
from xpnn.training.callbacks import Callback, Callbacks, EpochEnd
from xpnn.training.checkpoint import Keeper, listening
from xpnn.training.data import CHUNK_ELEMENTS, Dataset
from xpnn.training.interrupt import any_of, interruptible
from xpnn.training.loop import Validation
from xpnn.training.state import DivergedError, TrainingConfig, TrainingState
from xpnn.training.sums import SharedSums
from xpnn.training.tape import Tape
from xpnn.training.windows import Windows
from xpnn.training.work import Work

_CURE = (
    "scale the inputs (StandardScaler) and a regression's target, raise alpha, or take "
    "solver='adam'"
)


def train_lbfgs(
    network: Network,
    state: TrainingState,
    data: Dataset | Windows,
    config: TrainingConfig,
    *,
    max_fun: int,
    validation: Validation | None = None,
    callbacks: Iterable[Callback] = (),
    keeper: Keeper | None = None,
    comm: Communicator | None = None,
) -> tuple[TrainingState, Any]:
    """Minimize the loss over all rows at once.

    Parameters
    ----------
    network : Network
        Without dropout.
    state : TrainingState
        Where to start; not changed.
    config : TrainingConfig
        Its loss, penalties, `epochs` (here iterations) and `tol` (of the projected gradient).
    max_fun : int
        Most evaluations.
    validation, callbacks
        As for `xpnn.training.loop.train`, after each iteration.
    keeper : Keeper, default=None
        As for `xpnn.training.loop.train`; its steps are evaluations, its epochs iterations.

    Returns
    -------
    state : TrainingState
        The minimum found; the start, if nothing better was; after Ctrl-C where it stood.
    result : scipy.optimize.OptimizeResult or None
        None where a callback or Ctrl-C stopped it.

    Raises
    ------
    DivergedError
        When the loss or a weight is NaN or infinite.

    References
    ----------
    C. Zhu, R. H. Byrd, P. Lu and J. Nocedal (1997), "Algorithm 778: L-BFGS-B", ACM Transactions
    on Mathematical Software 23.
    """
    from scipy.optimize import minimize

    work = Work(data.backend)
    calls = Callbacks(callbacks, work.outside)
    measure = None if validation is None else work.outside()(validation)
    one_thread = one_thread_a_product(comm, data.backend)
    with work, interruptible() as interrupted, listening(keeper), one_thread:
        start, tape = state.copy(data.backend.xp), None
        if keeper is not None:
            tape = Tape(keeper, start, data.backend)
            start, interrupted = tape.state, any_of(interrupted, lambda: keeper.terminated)
        run = _Run(network, start, data, config, interrupted, tape, comm)
        result = None
        with calls.during(config.epochs), suppress(_Stopped, StepInterrupted):
            result = minimize(
                run.evaluate,
                run.start,
                method="L-BFGS-B",
                jac=True,
                callback=lambda x: run.iteration(x, measure, calls, work),
                options={"maxfun": max_fun, "maxiter": config.epochs, "gtol": config.tol},
            )
        if tape is not None:
            tape.end()
        return run.finish(result), result


def _check_network(network: Network, groups: Any, n: int, comm: Communicator | None) -> None:
    """Refuse what one line search over all rows cannot train."""
    if network.members > 1:
        raise ValueError(
            f"the network has {network.members} members, which one line search cannot serve: "
            "use a stochastic solver, such as 'adam'."
        )
    slow = [name for name, group in groups if group.rate != 1.0 or group.by_fan_in]
    if slow:
        raise ValueError(
            f"groups[{slow[0]!r}] has a learning rate of its own, and L-BFGS has none: use a "
            "stochastic solver, such as 'adam', or Group(rate=1.0)."
        )
    if network.buffer_layout.size and n == 1:
        raise ValueError(
            "One row has no variance for normalization='batch': give L-BFGS more rows, or "
            "take normalization='layer'."
        )
    if network.buffer_layout.size and comm is not None:
        raise ValueError(
            "solver='lbfgs' with normalization='batch' needs all rows in one process: "
            "leave comm out, or take solver='adam' or normalization='layer'."
        )


class _Stopped(Exception):
    """A callback or Ctrl-C ends the minimization."""


class _Run:
    """The function that SciPy minimizes, and what is known of its iterations."""

    def __init__(
        self,
        network: Network,
        state: TrainingState,
        data: Dataset | Windows,
        config: TrainingConfig,
        interrupted: Callable[[], bool],
        tape: Tape | None = None,
        comm: Communicator | None = None,
    ) -> None:
        self.tape, self.comm, self.sums = tape, comm, None
        self.network, self.state, self.data, self.config = network, state, data, config
        self.backend, self.xp = data.backend, data.backend.xp
        self.interrupted, self.n_iterations = interrupted, 0
        self.seen: tuple[Array, Array] = (None, None)  # parameters, and their statistics
        self.settled, self.over = None, False
        network.check_activations(state.theta, self.xp)
        self.dtype = state.theta.dtype
        data.check_labels(config.loss, network.n_out)
        groups = make_groups(config.groups, network.layout)
        _check_network(network, groups, data.n, comm)
        rules = Rules(network, config.loss, None, config.l1, config.l2, groups=groups)
        self.factor = rules.factors(self.backend, self.dtype).penalty
        self.zeros = self.xp.zeros_like(state.buffers)
        on_batch, self.on_weights = _functions(network, config.loss, config.l1, config.l2, self.xp)
        self.on_batch, self.size = on_batch, max(1, CHUNK_ELEMENTS // network.widest)
        if self.backend.name == "numpy":
            ends = self.ends if comm is None else None
            self.on_batch = sums = CompiledSums(network, config.loss, on_batch, ends)
            if comm is None and sums.known and isinstance(data, Dataset):
                self.size = max(1, data.n)  # it goes by blocks of its own
        if state.buffers.shape[0]:
            self.size = data.n  # batch normalization: the statistics of all rows
        if comm is not None:
            self.sums = SharedSums(comm, data, self.on_batch, self.size, interrupted)
            self.interrupted = lambda: self.sums is not None and self.sums.told
        self.whole = None
        if comm is None and data.n <= self.size and (data.resident or self.backend.name == "numpy"):
            self.whole = data.some(0, data.n)
        self.start = self.backend.to_numpy(state.theta).astype(np.float64)
        self.last: tuple[np.ndarray, Array, float] | None = None
        self.first_loss = np.nan

    def batches(self) -> Iterator[tuple[Array | None, ...]]:
        if self.whole is not None:
            yield self.whole
            return
        for start in range(0, self.data.n, self.size):
            yield self.data.some(start, min(self.size, self.data.n - start))

    def ends(self) -> bool:
        """Whether Ctrl-C ends an evaluation; not one that the result asks for."""
        return not self.over and self.interrupted()

    def look(self) -> None:
        """End the minimization after Ctrl-C."""
        if self.interrupted():
            raise _Stopped

    def evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient: one vector up, one down."""
        self.look()
        theta = self.backend.asarray(x, dtype=self.state.theta.dtype)
        known = None if self.tape is None else self.tape.again(x)
        loss, gradient = known or self.compute(theta)
        if self.last is None:
            self.first_loss = loss
        self.last = x.copy(), theta, loss
        if self.tape is not None and known is None:
            self.tape.add(x, loss, gradient)
        return loss, gradient

    def compute(self, theta: Array) -> tuple[float, np.ndarray]:
        """What `evaluate` returns, of parameters on the device."""
        total, rows = None, None
        if self.sums is not None:
            total, rows = self.sums(theta, self.zeros)
        for batch in () if self.sums is not None else self.batches():
            self.look()
            part, share, seen = self.on_batch(theta, self.zeros, batch)
            self.seen = theta, seen
            total = part if total is None else total + part
            rows = share if rows is None else rows + share
        vector = self.on_weights(theta, total, rows, self.factor)
        host = self.backend.to_numpy(vector).astype(np.float64)
        return float(host[0]), host[1:]

    def iteration(
        self, x: np.ndarray, validation: Validation | None, calls: Callbacks, work: Work
    ) -> None:
        """After SciPy has accepted a point."""
        if self.last is None or not np.array_equal(self.last[0], x):
            self.evaluate(x)
        assert self.last is not None
        _, theta, loss = self.last  # theta is on the device already
        s, self.n_iterations = self.state, self.n_iterations + 1
        s.theta, s.epoch = theta, s.epoch + 1
        known = None if self.tape is None else self.tape.iteration(self.n_iterations)
        if known is not None:  # the callbacks have heard of it
            s.record(known)
            self.stop_if(self.tape is not None and self.tape.stops_after(self.n_iterations))
            return
        self.settle()
        metrics = {"loss": loss}
        if validation is not None:
            metrics |= validation(s.theta, s.buffers)
        s.record(metrics)
        if self.tape is not None:
            self.tape.metrics.append(metrics)
        snapshot = work.inside()(lambda: s.copy(self.xp))
        end = EpochEnd(
            self.n_iterations, self.config.epochs, metrics, "", snapshot, self.interrupted
        )
        stop = agree(self.comm, calls.epoch(end))
        if self.tape is not None:
            self.tape.stopped = stop
        self.stop_if(stop)

    def stop_if(self, asked: bool) -> None:
        """End the minimization, if a callback has asked for it."""
        if asked:
            self.state.outcome = "stopped"
            raise _Stopped

    def settle(self) -> None:
        """The running statistics of batch normalizations: those of all rows."""
        s, (theta, seen) = self.state, self.seen
        if not s.buffers.shape[0] or self.settled is s.theta:
            return
        if theta is not s.theta:
            *_, seen = self.on_batch(s.theta, self.zeros, next(self.batches()))
        s.buffers, self.settled = seen / MOMENTUM, s.theta

    def finish(self, result: Any) -> TrainingState:
        """The state that the call ends with."""
        s, self.over = self.state, True
        x = self.backend.to_numpy(s.theta) if result is None else result.x
        looked = self.last is not None  # not where Ctrl-C came within the first evaluation
        if (looked and not np.isfinite(self.first_loss)) or not np.isfinite(x).all():
            raise DivergedError(self.n_iterations, None, None, _CURE)
        if result is not None:
            if not result.fun <= self.first_loss:  # a failed line search may end above
                result.x, result.fun = self.start, self.first_loss
            s.theta = self.backend.asarray(result.x, dtype=self.dtype)
            s.outcome = "converged" if result.status == 0 else "finished"
            if self.n_iterations:
                s.history["loss"].amend(float(result.fun))
        elif self.interrupted():
            s.outcome = "interrupted"
        if result is not None or self.n_iterations:
            self.settle()
        return s


@remembered
def _functions(
    network: Network, loss: Loss, l1: float, l2: float, xp: Namespace
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The sum over a batch of loss and gradient, and from sums to the penalized mean or sum."""
    of_means = loss.name not in SUMS

    def on_batch(
        theta: Array, buffers: Array, batch: tuple[Array, Array, Array | None]
    ) -> tuple[Array, Array, Array]:
        x, y, weight = batch
        value, gradient, buffers = network.loss_and_gradient(theta, buffers, x, y, weight, loss, xp)
        share = xp.ones_like(value) * x.shape[0] if weight is None else xp.sum(weight)
        vector = xp.concat([xp.reshape(value, (1,)), gradient])
        return vector * share if of_means else vector, share, buffers

    def on_weights(theta: Array, total: Array, share: Array, factor: Array | None) -> Array:
        rows = positive_sum(share, xp)
        vector = total / rows if of_means else total
        if l1 or l2:
            value, gradient = penalty(theta, l1, l2, xp, factor)
            vector = vector + xp.concat([xp.reshape(value, (1,)), gradient]) / rows
        return vector

    return compiled(on_batch, xp), compiled(on_weights, xp)
