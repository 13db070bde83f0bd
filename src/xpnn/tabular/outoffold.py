"""What members say of the rows that they have not seen."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.model.network import Network
from xpnn.parts.losses import Loss
from xpnn.tabular.folds import held_rows
from xpnn.tabular.ownrows import Shards
from xpnn.training.data import predict_in_chunks
from xpnn.training.state import TrainingState

_LEAST = 1e-30  # of a rate, before its logarithm
_AT_ONCE = 1 << 20  # inputs of a look at the rows that a member has not seen


def _nothing() -> None:
    """Between two pieces of a look that goes on whatever happens."""


class Task(NamedTuple):
    """What is learned from, on the host."""

    x: np.ndarray  # (n, n_in); of processes with rows of their own, those rows
    target: np.ndarray  # as the loss takes it
    weight: np.ndarray | None
    loss: Loss
    classes: bool  # whether probabilities are predicted, or numbers

    def of_rows(self, rows: np.ndarray) -> "Task":
        """The same of some rows."""
        weight = None if self.weight is None else self.weight[rows]
        return self._replace(x=self.x[rows], target=self.target[rows], weight=weight)


class Held(NamedTuple):
    """Looks at a state by the rows that each member has not seen; of processes each by some."""

    network: Network
    task: Task
    x: Any  # of the rows here, on the device or the host
    backend: Backend
    folds: np.ndarray  # (repeats, n)
    shards: Shards | None = None
    between: Callable[[], None] = _nothing  # two pieces of a look that is not shared; may raise

    def of_rows(self, rows: np.ndarray) -> "Held":
        """The same of some rows, of one process that has all of them."""
        task = self.task.of_rows(rows)
        return self._replace(task=task, x=task.x, folds=self.folds[:, rows])

    def look(self, state: TrainingState) -> tuple[float, np.ndarray]:
        """The score of a state, the lower the better, and the predictions out of fold."""
        with np.errstate(all="ignore"):
            held = self._predictions(state)
            return self.score(held), held

    def score(self, held: np.ndarray) -> float:
        """That of predictions out of fold."""
        return score_of(held.mean(axis=0), self.task)

    def _predictions(self, state: TrainingState) -> np.ndarray:
        x, backend = self.x, self.backend
        given = self.network, state.theta, state.buffers
        if self.shards is None:
            return held_predictions(*given, x, self.folds, backend, self.between)
        # shard by shard: the bits of a product may depend on how many rows it has
        own, first = [np.empty((len(self.folds), 0, self.network.n_out))], self.shards.first
        for a, b in self.shards.own:
            if a < b:
                rows = x[a - first : b - first, ...]
                own.append(held_predictions(*given, rows, self.folds[:, a:b], backend))
        found = self.shards.comm.gather_rows(np.moveaxis(np.concatenate(own, axis=1), 1, 0))
        return np.ascontiguousarray(np.moveaxis(found, 0, 1))


def held_predictions(
    network: Network,
    theta: Array,
    buffers: Array,
    x: Any,
    folds: np.ndarray,
    backend: Backend,
    between: Callable[[], None] = _nothing,
) -> np.ndarray:
    """Predictions of each member for the rows of its fold.

    Parameters
    ----------
    theta, buffers : arrays on the backend's device
    x : array of shape (n, n_in)
        There, or on the host.
    folds : ndarray of int, shape (repeats, n)
    between : callable, default=nothing
        Called before each piece of the rows; what it raises ends the look.

    Returns
    -------
    ndarray of float64, shape (repeats, n, n_out)
    """
    xp, one = backend.xp, network.one_member
    found = np.empty((*folds.shape, network.n_out), dtype=np.float64)
    with backend.device_context():
        each = network.layout.by_member(theta, xp), network.buffer_layout.by_member(buffers, xp)
        count = network.members // len(folds)
        for m, at in enumerate(held_rows(folds, count)):
            weights, state = (a[m, ...] for a in each)
            pieces = -(-at.size * x.shape[1] // _AT_ONCE) or 1  # x may be a mapped file
            for rows in np.array_split(at, pieces):
                if not len(rows):
                    continue
                between()
                some = x[rows] if isinstance(x, np.ndarray) else _taken(x, rows, backend)
                out = predict_in_chunks(one, weights, state, some, backend, "forward")
                found[m // count, rows] = backend.to_numpy(out)
    flat: np.ndarray = network.link(found.reshape(-1, network.n_out), np)
    return flat.reshape(found.shape)


def score_of(prediction: np.ndarray, task: Task) -> float:
    """The loss of probabilities or numbers; the lower the better.

    Parameters
    ----------
    prediction : ndarray of shape (n, n_out)
    """
    if task.classes:
        return log_loss(prediction, task.target, task.weight)
    output = prediction if task.loss.link == "identity" else np.log(np.maximum(prediction, _LEAST))
    return float(task.loss(output, task.target, task.weight, np)[0])


def log_loss(probability: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> float:
    """The mean of -log of the probability of the true class.

    Parameters
    ----------
    probability : ndarray of shape (n, n_classes)
    codes : ndarray of int, shape (n,)
    weight : ndarray of shape (n,), or None

    Examples
    --------
    >>> round(log_loss(np.array([[0.5, 0.5]]), np.array([1]), None), 4)
    0.6931
    """
    return float(np.average(log_losses(probability, codes), weights=weight))


def log_losses(probability: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The terms of `log_loss`, one a row."""
    losses: np.ndarray = -np.log(np.maximum(probability[np.arange(len(codes)), codes], 1e-15))
    return losses


def _taken(x: Array, at: np.ndarray, backend: Backend) -> Array:
    wide = "int64" in backend.dtypes
    index = backend.asarray(at, dtype="int64" if wide else "int32")
    return backend.xp.take(x, index, axis=0)
