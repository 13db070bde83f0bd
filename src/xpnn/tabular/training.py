"""One training: members that are folds, and what they say of the rows that they have not seen."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import device

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.model.network import Network
from xpnn.parts.losses import Loss
from xpnn.parts.schedules import Schedule
from xpnn.tabular.folds import make_folds, member_rows
from xpnn.tabular.plan import Plan, Valley
from xpnn.tabular.recipe import Recipe, groups_of, initial_parameters, make_optimizer
from xpnn.training.data import Dataset, predict_in_chunks
from xpnn.training.loop import train
from xpnn.training.state import DivergedError, TrainingConfig, TrainingState


class Task(NamedTuple):
    """What is learned from, on the host."""

    x: np.ndarray  # (n, n_in)
    target: np.ndarray  # as the loss takes it
    weight: np.ndarray | None
    strata: np.ndarray  # (n,), what folds are alike in
    loss: Loss
    averages: bool  # whether predictions are averaged (classes), or outputs


class Fitted(NamedTuple):
    """What training has found."""

    theta: Array
    buffers: Array
    folds: np.ndarray  # (repeats, n)
    raw: np.ndarray  # outputs out of fold, (repeats, n, n_out)
    valley: int  # the epoch whose weights these are
    scores: dict[int, float]  # of each valley
    history: dict[str, list[float]]


def fit_members(
    network: Network,
    recipe: Recipe,
    task: Task,
    backend: Backend,
    dtype: str,
    seed: int,
    *,
    callbacks: Iterable[Any] = (),
    time_limit: float | None = None,
) -> Fitted:
    """Train all members at once, and keep the valley whose outputs out of fold are best.

    Parameters
    ----------
    network : Network
        With `recipe.members`.
    recipe : Recipe
    task : Task
    backend : Backend
    dtype : str
    seed : int
    callbacks : iterable of callable
    time_limit : float, default=None
        Seconds.

    Returns
    -------
    Fitted

    Raises
    ------
    DivergedError
        When a weight becomes NaN or infinite before any valley.
    """
    folds = make_folds(task.strata, recipe.folds, recipe.repeats, seed)
    rows = member_rows(folds, recipe.folds)
    data = Dataset(
        task.x,
        task.target,
        task.weight,
        backend,
        backend.float_dtype(dtype),
        checked=True,
        rows=rows,
    )
    held = Held(network, task, data, folds, recipe)
    plan = Plan(recipe.epochs, held.look, time_limit)
    config = TrainingConfig(
        loss=task.loss,
        optimizer=make_optimizer(),
        learning_rate=recipe.learning_rate,
        schedule=Schedule("cycles", plan.rate),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        groups=groups_of(network),
        patience=math.inf,
    )
    with backend.device_context():
        theta, buffers = (
            backend.asarray(a, dtype=dtype) for a in initial_parameters(network, seed)
        )
        moments = config.optimizer.init(theta, backend.xp)
    start = TrainingState(theta, buffers, moments, seed)
    try:
        end = train(network, start, data, config, callbacks=[*callbacks, plan], consume=True)
    except DivergedError as error:
        if error.state is None or not plan.valleys:
            raise
        end = error.state
    best = plan.best(end)
    return _fitted(best, plan, folds, end)


def _fitted(best: Valley, plan: Plan, folds: np.ndarray, end: TrainingState) -> Fitted:
    scores = {valley.epoch: valley.score for valley in plan.valleys}
    state = best.state
    return Fitted(state.theta, state.buffers, folds, best.raw, best.epoch, scores, end.history)


class Held:
    """Outputs of each member for the rows of its fold.

    With one fold there is nothing to hold out: each member is asked for all rows.
    """

    def __init__(
        self, network: Network, task: Task, data: Dataset, folds: np.ndarray, recipe: Recipe
    ) -> None:
        self.network, self.task, self.data = network, task, data
        self.folds, self.count = folds, recipe.folds

    def look(self, state: TrainingState) -> tuple[float, np.ndarray]:
        """The score of a state, the lower the better, and the raw outputs out of fold."""
        raw = self.outputs(state.theta, state.buffers, self.data.arrays[0])
        return self.score(raw), raw

    def outputs(self, theta: Array, buffers: Array, x: Any) -> np.ndarray:
        """Raw outputs out of fold, on the host, (repeats, n, n_out)."""
        backend, network = self.data.backend, self.network
        xp, one = backend.xp, network.one_member
        with backend.device_context():
            each = network.layout.by_member(theta, xp), network.buffer_layout.by_member(buffers, xp)
            found = np.empty((*self.folds.shape, network.n_out), dtype=np.float64)
            for m in range(network.members):
                repeat, fold = divmod(m, self.count)
                at = np.flatnonzero(self.folds[repeat] == fold)
                some = x[at] if isinstance(x, np.ndarray) else _taken(x, at, backend)
                own = (a[m, ...] for a in each)
                out = predict_in_chunks(one, *own, some, backend, "forward")
                found[repeat, at] = backend.to_numpy(out)
        return found

    def score(self, raw: np.ndarray) -> float:
        """The loss of the repeats' mean: of their probabilities, or of their outputs."""
        return mean_score(raw, self.task, self.network)


def mean_score(raw: np.ndarray, task: Task, network: Network) -> float:
    """The loss of `mean_prediction`.

    Parameters
    ----------
    raw : ndarray of shape (repeats, n, n_out)
    task : Task
    network : Network
    """
    with np.errstate(all="ignore"):
        prediction = mean_prediction(raw, task, network)
        if task.averages:
            return log_loss(prediction, task.target, task.weight)
        return float(task.loss(prediction, task.target, task.weight, np)[0])


def mean_prediction(raw: np.ndarray, task: Task, network: Network) -> np.ndarray:
    """The mean over repeats of probabilities, or of outputs, shape (n, n_out).

    Parameters
    ----------
    raw : ndarray of shape (repeats, n, n_out)
    task : Task
    network : Network
    """
    if not task.averages:
        mean: np.ndarray = raw.mean(axis=0)
        return mean
    flat = network.link(raw.reshape(-1, raw.shape[-1]), np)
    probability: np.ndarray = flat.reshape(raw.shape).mean(axis=0)
    return probability


def log_loss(probability: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> float:
    """The mean of -log of the probability of the true class.

    Parameters
    ----------
    probability : ndarray of shape (n, n_classes)
    codes : ndarray of int, shape (n,)
    weight : ndarray of shape (n,), or None

    Returns
    -------
    float

    Examples
    --------
    >>> round(log_loss(np.array([[0.5, 0.5]]), np.array([1]), None), 4)
    0.6931
    """
    true = probability[np.arange(len(codes)), codes]
    return float(np.average(-np.log(np.maximum(true, 1e-15)), weights=weight))


def _taken(x: Array, at: np.ndarray, backend: Backend) -> Array:
    wide = "int64" in backend.dtypes
    index = backend.xp.asarray(
        at.astype(np.int64 if wide else np.int32), device=device(x)
    )
    return backend.xp.take(x, index, axis=0)


