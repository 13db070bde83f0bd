"""What training starts from, goes by and ends with: plain data that the loops share."""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from xpnn.arrays.backend import Backend, dtype_name
from xpnn.arrays.typing import Array, Namespace
from xpnn.parts.losses import Loss
from xpnn.parts.optimizers import Adam
from xpnn.parts.schedules import Schedule, get_schedule
from xpnn.training.history import Curve, History, copied_history

Outcome = Literal["finished", "converged", "stopped", "interrupted", "diverged"]

Weights = tuple[Array, Array, tuple[Array, ...]]
"""theta, buffers and the optimizer's moments."""

_NUMBERS: dict[str, type[int] | type[float]] = {"epochs": int, "batch_size": int}
_NUMBERS |= dict.fromkeys(("learning_rate", "l1", "l2", "clip_norm", "max_norm"), float)


_CURE = (
    "scale the inputs (StandardScaler) and a regression's target, lower learning_rate_init, or "
    "clip the gradient (clip_norm)"
)


class DivergedError(ValueError):
    """The loss or a weight became NaN or infinite.

    Attributes
    ----------
    epoch : int
        The epoch, from 1, in which it happened; of L-BFGS the iteration.
    learning_rate : float or None
        None of L-BFGS.
    cure : str
        What may help.
    state : TrainingState or None
        Of the last good epoch, with moments to start from; None when there was none.
    """

    def __init__(
        self,
        epoch: int,
        learning_rate: float | None,
        state: "TrainingState | None",
        cure: str = _CURE,
    ) -> None:
        lbfgs = learning_rate is None
        when = f"iteration {epoch} of L-BFGS" if lbfgs else f"epoch {epoch}"
        super().__init__(
            "Solver produced non-finite parameter weights. The input data may contain large "
            f"values and need to be preprocessed. It happened in {when}"
            f"{'' if lbfgs else f' at learning rate {learning_rate:g}'}: {cure}."
        )
        self.epoch, self.learning_rate, self.state, self.cure = epoch, learning_rate, state, cure

    def __reduce__(self) -> Any:
        return type(self), (self.epoch, self.learning_rate, self.state, self.cure)


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; plain values, all checked by who makes it.

    Parameters
    ----------
    loss : Loss
    optimizer : object of xpnn.optimizers
    learning_rate : float
        The base that the schedule varies.
    schedule : Schedule
    decay : Schedule or None
        Of the optimizer's weight decay, asked for once an epoch; None is without.
    dropout : Schedule or None
        Whether the network's dropout is on, 1 or 0, asked for once an epoch; None is 1.
    epochs, batch_size : int
    shuffle : bool
    l1, l2 : float
        Penalties on the weights, divided by the batch's rows (or sum of weights).
    clip_norm : float or None
        Largest norm of the whole gradient.
    max_norm : float or None
        Largest norm of a neuron's incoming weights.
    groups : mapping of str to Group, default=()
        How groups of parameters learn, where not as `xpnn.network.GROUPS` says.
    own_rows : bool, default=False
        Whether each member of the network sees the rows in an order of its own.
    monitor : str
        Which metric of the history has to improve: "loss" and "val_loss" fall, all others rise.
    restore_best : bool
        Whether the weights of the best monitored epoch are the result.
    incremental : bool
        Whether calls go on from each other: then the best weights are the result only of the
        call in which training has converged.
    tol : float
        An improvement smaller than this is none.
    patience : float
        Epochs in a row without improvement before stopping, or before an adaptive schedule
        lowers the rate; may be infinite.

    Examples
    --------
    >>> from xpnn.parts.losses import get_loss
    >>> TrainingConfig(get_loss("huber"), epochs=5).optimizer
    Adam(beta_1=0.9, beta_2=0.999, epsilon=1e-08)
    """

    loss: Loss
    optimizer: Any = field(default_factory=Adam)
    learning_rate: float = 0.001
    schedule: Schedule = field(default_factory=lambda: get_schedule("constant"))
    decay: Schedule | None = None
    dropout: Schedule | None = None
    epochs: int = 200
    batch_size: int = 200
    shuffle: bool = True
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float | None = None
    max_norm: float | None = None
    groups: Any = ()
    own_rows: bool = False
    monitor: str = "loss"
    restore_best: bool = False
    incremental: bool = False
    tol: float = 1e-4
    patience: float = 10

    def __post_init__(self) -> None:
        for name, kind in _NUMBERS.items():  # kernels take Python's, and no NumPy float32 for one
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, kind(value))


@dataclass
class TrainingState:
    """All that a later call needs to go on where an earlier one stopped.

    Attributes
    ----------
    theta, buffers : array
    moments : tuple of arrays
        The optimizer's state.
    seed : int
        64 bits: of shuffles and dropout masks.
    step, samples, epoch : int
        Steps, rows seen and epochs done over all calls.
    t : int
        Steps that the optimizer's moments have seen.
    plateaus : int
        How often an adaptive schedule lowered the rate.
    stale : int
        Epochs in a row without improvement.
    monitor : str
        The metric that `stale` and `best` are about.
    best : float
        The best monitored value, negated for losses.
    best_weights : tuple or None
        Of the best epoch, between incremental calls; without moments.
    history : dict of str to Curve
        Every metric of every epoch; NaN where it was not measured. Given lists become curves.
    outcome : str
        How the last call ended.

    Examples
    --------
    >>> import numpy as np
    >>> TrainingState(np.zeros(3), np.zeros(0), (), seed=7).step
    0
    """

    theta: Array
    buffers: Array
    moments: tuple[Array, ...]
    seed: int
    step: int = 0
    t: int = 0
    samples: int = 0
    epoch: int = 0
    plateaus: int = 0
    stale: int = 0
    monitor: str = "loss"
    best: float = -math.inf
    best_weights: Weights | None = None
    history: History = field(default_factory=dict)
    outcome: Outcome = "finished"

    def __post_init__(self) -> None:
        for name, curve in self.history.items():
            if not isinstance(curve, Curve):
                self.history = {**self.history, name: Curve(curve)}

    def moved(self, source: Backend, target: Backend, dtype: str | None = None) -> "TrainingState":
        """The state on another device, or in another dtype; itself where it is so already."""
        if source is target and dtype in (None, dtype_name(self.theta.dtype)):
            return self

        def move(weights: Weights) -> Weights:
            theta, buffers, moments = weights
            return (
                target.asarray(theta, dtype=dtype),
                target.asarray(buffers, dtype=dtype),
                tuple(target.asarray(m, dtype=dtype) for m in moments),
            )

        best = None if self.best_weights is None else move(self.best_weights)
        return self.with_weights(move(self.weights), best_weights=best)

    @property
    def weights(self) -> Weights:
        """theta, buffers and moments."""
        return self.theta, self.buffers, self.moments

    def with_weights(self, weights: Weights, **changes: Any) -> "TrainingState":
        """The same state with other arrays."""
        theta, buffers, moments = weights
        return replace(self, theta=theta, buffers=buffers, moments=moments, **changes)

    def scalars(self) -> dict[str, Any]:
        """All but the arrays, as plain data."""
        history = {name: list(curve) for name, curve in self.history.items()}
        return {name: getattr(self, name) for name in SCALARS} | {"history": history}

    def record(self, metrics: dict[str, float]) -> None:
        """Add an epoch to the history: NaN for what was measured in other epochs only."""
        if not metrics.keys() <= self.history.keys():
            epochs = max(map(len, self.history.values()), default=0)
            for name in metrics:
                self.history.setdefault(name, Curve([math.nan] * epochs))
        for name, curve in self.history.items():
            curve.append(metrics.get(name, math.nan))

    def copy(self, xp: Namespace) -> "TrainingState":
        """A state that shares no memory with this one."""
        history = copied_history(self.history)
        return self.with_weights(copied(self.weights, xp), history=history)


_ARRAYS = ("theta", "buffers", "moments", "best_weights")
SCALARS = tuple(f.name for f in fields(TrainingState) if f.name not in _ARRAYS)
"""The state's fields that are plain data."""


def copied(weights: Weights, xp: Namespace) -> Weights:
    """Weights that share no memory with these."""
    theta, buffers, *moments = [
        a.copy() if isinstance(a, np.ndarray) else xp.asarray(a, copy=True)
        for a in (weights[0], weights[1], *weights[2])
    ]
    return theta, buffers, tuple(moments)


def apart(theta: Array, moments: tuple[Array, ...], xp: Any) -> tuple[Array, ...]:
    """Moments that share no array with theta or each other: a user's rule may begin with theta."""
    found: list[Array] = []
    for m in moments:
        shared = any(m is a for a in (theta, *found))
        found.append(xp.asarray(m, copy=True) if shared else m)
    return tuple(found)
