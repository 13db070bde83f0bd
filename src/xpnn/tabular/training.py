"""One training: members that are folds, and what they say of the rows that they have not seen."""

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend
from xpnn.arrays.random import SPLIT, host_generator
from xpnn.arrays.typing import Array
from xpnn.model.network import Network
from xpnn.parts.schedules import Schedule
from xpnn.steps.threads import one_blas_thread
from xpnn.tabular.blend import blend_weights, last_by_half
from xpnn.tabular.folds import member_rows
from xpnn.tabular.linear import linear_parameters, takes_lines
from xpnn.tabular.outoffold import Held, Task, log_losses, score_of
from xpnn.tabular.ownrows import Shards
from xpnn.tabular.plan import CALM, ENOUGH, FALLING, LITTLE, Plan, Valley
from xpnn.tabular.recipe import Recipe, groups_of, initial_parameters, make_optimizer
from xpnn.training.checkpoint import Keeper
from xpnn.training.data import Dataset
from xpnn.training.loop import train
from xpnn.training.ownrows import OwnRows
from xpnn.training.state import DivergedError, TrainingConfig, TrainingState

_CURE = (  # numbers and targets are scaled already, and the recipe is not the user's
    "look for extreme values in the table, or pass dtype='float64', or for a regression "
    "loss='huber'"
)

JUDGES = 4_096
"""Rows that judge, after Ctrl-C, what training ended with: all would keep the result waiting."""

_SURE = 2.0  # standard errors of what a linear model of classes gains


class Kept(NamedTuple):
    """A valley that counts: its parameters, on the device, and how much."""

    theta: Array
    buffers: Array
    weight: float


class Fitted(NamedTuple):
    """What training has found."""

    kept: list[Kept]
    folds: np.ndarray  # (repeats, n)
    held: np.ndarray | None  # predictions out of fold of those that count, (repeats, n, n_out);
    # None where there was no time for them
    valleys: dict[int, tuple[float, float]]  # epoch: score out of fold, weight
    history: dict[str, list[float]]
    outcome: str  # how training ended


def fit_members(
    network: Network,
    recipe: Recipe,
    task: Task,
    folds: np.ndarray,
    backend: Backend,
    dtype: str,
    seed: int,
    *,
    unseen: np.ndarray | None = None,
    callbacks: Iterable[Any] = (),
    time_limit: float | None = None,
    spent: float = 0.0,
    keeper: Keeper | None = None,
    shards: Shards | None = None,
    lines: csr_array | None = None,
) -> Fitted:
    """Train all members at once, and blend the valleys by their predictions out of fold.

    Parameters
    ----------
    network : Network
        With `recipe.members`.
    recipe : Recipe
    task : Task
    folds : ndarray of int, shape (repeats, n)
        Of the rows of all processes, see `folds_of`.
    backend : Backend
    dtype : str
    seed : int
        The one that folds were made by.
    unseen : ndarray of bool, shape (members, n_in), default=None
        Inputs that a member is not to see.
    callbacks : iterable of callable
    time_limit : float, default=None
        Seconds.
    spent : float, default=0.0
        Seconds of these that are gone already.
    keeper : Keeper, default=None
        Gets checkpoints, and may have one to go on from; `seed` has to be that one's then.
    shards : Shards, default=None
        Of the processes that train these members together.
    lines : scipy.sparse.csr_array of shape (n_in, n_lines), default=None
        What a linear model sees of the inputs, which is then one more candidate of the blend.

    Raises
    ------
    DivergedError
        When a weight becomes NaN or infinite before any valley.
    """
    data = _to_learn(task, recipe, folds, backend, dtype, shards)
    held = Held(network, task, data.arrays[0], backend, folds, shards)
    comm = None if shards is None else shards.comm
    of_plan: dict[str, Any] = {"move": backend.asarray}
    if task.classes:
        of_plan |= {"enough": ENOUGH, "little": LITTLE * _loss_of_shares(task) * recipe.longer}
    elif task.loss.name == "squared_error":
        of_plan |= {"calm": CALM, "falling": FALLING * recipe.longer}
    if comm is not None:
        of_plan["agreed"] = comm.broadcast
    plan = Plan(recipe.epochs, held.look, time_limit, **of_plan)
    plan.began -= spent
    config = TrainingConfig(
        loss=task.loss,
        optimizer=make_optimizer(),
        learning_rate=recipe.learning_rate,
        schedule=Schedule("cycles", plan.rate),
        decay=Schedule("cycles", plan.decay, per="epoch"),
        dropout=Schedule("cycles", plan.dropout, per="epoch"),
        epochs=plan.most,
        batch_size=recipe.batch_size,
        groups=groups_of(network),
        patience=math.inf,
    )
    with backend.device_context():
        theta, buffers = (
            backend.asarray(a, dtype=dtype) for a in initial_parameters(network, seed, unseen)
        )
        moments = config.optimizer.init(theta, backend.xp)
    start = TrainingState(theta, buffers, moments, seed)
    try:
        with _few_threads(backend):
            about: dict[str, Any] = {"callbacks": [*callbacks, plan], "stop": plan.late}
            about |= {"expected": plan.expected, "keeper": keeper, "comm": comm}
            end = train(network, start, data, config, consume=True, **about)
        if plan.is_over and end.outcome == "stopped":  # by the plan itself
            end.outcome = "finished"
    except DivergedError as error:
        error = DivergedError(error.epoch, error.learning_rate, error.state, _CURE)
        if error.state is None:  # nothing was learned: the estimator stays as it was
            raise error from None
        warn_user(f"{error} What was best before is kept.")
        end = error.state
    if end.outcome == "interrupted" and comm is None and folds.shape[1] > JUDGES:
        return _judged_by_some(held, plan, end)
    valleys = plan.finish(end)
    straight = [] if lines is None or not plan.done else _straight(held, lines, end)
    return _blended(task, valleys, straight, folds, end)


def _judged_by_some(held: Held, plan: Plan, end: TrainingState) -> Fitted:
    """What some rows choose of the valleys and of what training ended with."""
    n = held.folds.shape[1]
    rows = np.sort(host_generator(end.seed, SPLIT, 1).choice(n, JUDGES, replace=False))
    some = held.of_rows(rows)
    own = [v.held[:, rows] for v in plan.valleys]
    plan.valleys = [
        v._replace(score=some.score(h), held=h) for v, h in zip(plan.valleys, own, strict=True)
    ]
    plan.look = some.look
    found = _blended(some.task, plan.finish(end), [], held.folds, end)
    return found._replace(held=None)


def _straight(held: Held, lines: csr_array, end: TrainingState) -> list[Valley]:
    """Linear models of the members' rows as a valley before the first epoch, if they are any."""
    task, folds, shards = held.task, held.folds, held.shards
    n = folds.shape[1]
    plain = task.classes or task.loss.name == "squared_error"
    if not plain or not takes_lines(held.network, n, lines, task.classes):
        return []
    x = task.x
    if shards is not None and shards.apart:
        x = shards.comm.gather_rows(x)
    seen = lines.toarray(order="F")
    theta = linear_parameters(held.network, x, task.target, task.weight, folds, seen)
    if theta is None:
        return []
    if shards is not None:  # another machine's may differ in the last bits
        theta = shards.comm.gather_rows(theta[None])[0]
    backend = held.backend
    with backend.device_context():
        dtype = backend.to_numpy(end.theta[:1]).dtype.name
        state = TrainingState(backend.asarray(theta, dtype=dtype), end.buffers, (), 0)
    score, out = held.look(state)
    return [Valley(0, score, state, out)] if math.isfinite(score) else []


def _to_learn(
    task: Task,
    recipe: Recipe,
    folds: np.ndarray,
    backend: Backend,
    dtype: str,
    shards: Shards | None,
) -> Dataset:
    """The rows that each member learns from."""
    real = backend.float_dtype(dtype)
    if shards is None or not shards.apart:
        rows = member_rows(folds, recipe.folds)
        given = task.x, task.target, task.weight
        return Dataset(*given, backend, real, checked=True, rows=rows)
    here = slice(shards.first, shards.first + len(task.x))
    weight = None if task.weight is None else task.weight[here]
    own = [member_rows(folds[:, a:b], recipe.folds) + (a - here.start) for a, b in shards.own]
    given = task.x, task.target[here], weight
    return OwnRows(*given, backend, real, shards.comm, checked=True, rows=own)


def _few_threads(backend: Backend) -> AbstractContextManager[Any]:
    """One BLAS thread for small products: more are no faster, and far slower on a busy machine.

    Compiled steps have threads of their own, and know that this limit is xpnn's.
    """
    return one_blas_thread() if backend.name == "numpy" else nullcontext()


def _blended(
    task: Task,
    valleys: list[Valley],
    straight: list[Valley],
    folds: np.ndarray,
    end: TrainingState,
) -> Fitted:
    predictions = [v.held.mean(axis=0) for v in (*valleys, *straight)]
    scores = partial(score_of, task=task)
    weights = blend_weights(predictions, scores)
    if straight:
        alone = blend_weights(predictions[:-1], scores)
        weights, without = last_by_half(weights, alone), np.append(alone, 0.0)
        if task.classes and not _surely_better(predictions, weights, without, task):
            weights = without
    found = list(zip((*valleys, *straight), weights.tolist(), strict=True))
    kept = [Kept(v.state.theta, v.state.buffers, w) for v, w in found if w]
    held = np.asarray(sum(w * v.held for v, w in found))
    told = {v.epoch: (v.score, w) for v, w in found if w or v.epoch or v is valleys[0]}
    history = {name: list(curve) for name, curve in end.history.items()}
    return Fitted(kept, folds, held, told, history, end.outcome)


def _surely_better(
    predictions: list[np.ndarray], weights: np.ndarray, others: np.ndarray, task: Task
) -> bool:
    """Whether classes' log-loss is lower by more than twice the standard error of that."""
    whole = np.asarray(predictions)
    losses = (log_losses(np.tensordot(w, whole, 1), task.target) for w in (others, weights))
    gain = np.subtract(*losses)
    shares = np.ones(len(gain)) if task.weight is None else task.weight
    shares = shares / shares.sum()
    mean = float(shares @ gain)
    return mean > _SURE * float(np.sqrt(shares**2 @ (gain - mean) ** 2))


def _loss_of_shares(task: Task) -> float:
    """The log-loss of who knows nothing but how frequent classes are."""
    counts = np.bincount(task.target, weights=task.weight)
    shares = counts[counts > 0] / counts.sum()
    return -float(shares @ np.log(shares))
