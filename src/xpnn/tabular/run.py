"""One training of all members, from its start to its end."""

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend
from xpnn.distributed.communicator import Communicator
from xpnn.model.network import Network
from xpnn.parts.schedules import Schedule
from xpnn.steps.threads import one_blas_thread
from xpnn.tabular.folds import member_rows
from xpnn.tabular.outoffold import Held, Task
from xpnn.tabular.ownrows import Shards
from xpnn.tabular.plan import CALM, ENOUGH, FALLING, LITTLE, Plan
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


class Trained(NamedTuple):
    """One training, from its start to its end."""

    held: Held
    plan: Plan
    end: TrainingState


def train_members(
    recipe: Recipe,
    folds: np.ndarray,
    backend: Backend,
    dtype: str,
    seed: int,
    shards: Shards | None,
    time_limit: float | None,
    network: Network,
    task: Task,
    *,
    unseen: np.ndarray | None = None,
    callbacks: Iterable[Any] = (),
    spent: float = 0.0,
    keeper: Keeper | None = None,
    than: float = math.inf,
) -> Trained:
    """Train all members at once; parameters are those of `fit_members`, and `Plan`'s `than`."""
    data = _to_learn(task, recipe, folds, backend, dtype, shards)
    held = Held(network, task, data.arrays[0], backend, folds, shards)
    comm = None if shards is None else shards.comm
    plan = Plan(recipe.epochs, held.look, time_limit, **_terms(recipe, task, backend, comm, than))
    if comm is None and keeper is None:  # a checkpoint there would go on to other bits
        plan.look = held._replace(between=plan.between).look
    plan.began -= spent
    config = _config(network, recipe, task, plan)
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
    return Trained(held, plan, end)


def _terms(
    recipe: Recipe, task: Task, backend: Backend, comm: Communicator | None, than: float
) -> dict[str, Any]:
    """What a plan goes by."""
    found: dict[str, Any] = {"move": backend.asarray, "than": than}
    if task.classes:
        found |= {"enough": ENOUGH, "little": LITTLE * _loss_of_shares(task) * recipe.longer}
    elif task.loss.name == "squared_error":
        found |= {"calm": CALM, "falling": FALLING * recipe.longer}
    if comm is not None:
        found["agreed"] = comm.broadcast
    return found


def _config(network: Network, recipe: Recipe, task: Task, plan: Plan) -> TrainingConfig:
    return TrainingConfig(
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


def _loss_of_shares(task: Task) -> float:
    """The log-loss of who knows nothing but how frequent classes are."""
    counts = np.bincount(task.target, weights=task.weight)
    shares = counts[counts > 0] / counts.sum()
    return -float(shares @ np.log(shares))
