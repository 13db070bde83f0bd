"""Members that are folds: what they learn, and which of it counts, as rows out of fold say."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from xpnn.arrays.backend import Backend
from xpnn.arrays.random import SPLIT, host_generator
from xpnn.arrays.typing import Array
from xpnn.model.network import Network
from xpnn.tabular.blend import blend_weights, last_by_half
from xpnn.tabular.calibration import fit_temperature, tempered
from xpnn.tabular.linear import linear_parameters, takes_lines
from xpnn.tabular.outoffold import Held, Task, log_losses, score_of
from xpnn.tabular.ownrows import Shards
from xpnn.tabular.plain import widened
from xpnn.tabular.plan import Plan, Valley
from xpnn.tabular.recipe import Recipe, make_network
from xpnn.tabular.run import Trained, train_members
from xpnn.training.checkpoint import Keeper
from xpnn.training.state import DivergedError, TrainingState

JUDGES = 4_096
"""Rows that judge, after Ctrl-C, what training ended with: all would keep the result waiting."""

_SURE_OF_LINES = 2.0  # standard errors of what classes gain by linear models
_SURE_OF_PLAIN = 1.5  # and by a second training


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

    def tempered(self, task: Task) -> np.ndarray:
        """Probabilities out of fold, at their best temperature."""
        assert self.held is not None, "of a training that has ended by itself"
        probability = self.held.mean(axis=0)
        return tempered(probability, fit_temperature(probability, task.target, task.weight))


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
    plain: np.ndarray | None = None,
) -> Fitted:
    """Train all members at once, and blend the valleys by their predictions out of fold.

    Parameters
    ----------
    network : Network
        With `recipe.members`.
    folds : ndarray of int, shape (repeats, n)
        Of the rows of all processes, see `folds_of`.
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
    plain : ndarray of int, default=None
        Inputs of a second training of classes, without the others.

    Raises
    ------
    DivergedError
        When a weight becomes NaN or infinite before any valley.
    """
    learn = partial(train_members, recipe, folds, backend, dtype, seed, shards, time_limit)
    held, plan, end = learn(
        network, task, unseen=unseen, callbacks=callbacks, spent=spent, keeper=keeper
    )
    if end.outcome == "interrupted" and shards is None and folds.shape[1] > JUDGES:
        return _judged_by_some(held, plan, end)
    valleys = plan.finish(end)
    straight = [] if lines is None or not plan.done else _straight(held, lines, end)
    found = _blended(task, valleys, straight, folds, end)
    if plain is None or end.outcome != "finished" or not plan.leaves_as_long():
        return found
    return _with_plain_inputs(found, plan, held, recipe, learn, plain, straight)


def _with_plain_inputs(
    first: Fitted,
    plan: Plan,
    held: Held,
    recipe: Recipe,
    learn: Callable[..., Trained],
    plain: np.ndarray,
    straight: list[Valley],
) -> Fitted:
    """A second training, of these inputs alone, where it is surely better out of fold.

    It is short where its first valleys are no better than the first one's. Callbacks and
    checkpoints are of the first one: after a kill the second begins anew, to the same bits.
    """
    whole, task, backend = held.network, held.task, held.backend
    few = make_network(recipe, len(plain), 0, whole.n_out, whole.link)
    some = task._replace(x=np.ascontiguousarray(task.x[:, plain]))
    try:
        _, again, end = learn(few, some, spent=plan.spent, than=plan.halfway)
    except DivergedError:
        return first
    if end.outcome == "interrupted":
        return first._replace(outcome="interrupted")
    if again.halfway >= plan.halfway:
        return first
    valleys = []
    with backend.device_context():
        for v in again.valleys:
            theta = widened(backend.to_numpy(v.state.theta), few, whole, plain)
            theta = backend.asarray(theta, dtype=theta.dtype.name)
            state = TrainingState(theta, v.state.buffers, (), 0, step=v.state.step)
            valleys.append(v._replace(state=state))
    second = _blended(task, valleys, straight, first.folds, end)
    pair = first.tempered(task), second.tempered(task)
    return second if _surely_better(*pair, task, _SURE_OF_PLAIN) else first


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
        before, after = (np.tensordot(w, np.asarray(predictions), 1) for w in (without, weights))
        if task.classes and not _surely_better(before, after, task, _SURE_OF_LINES):
            weights = without
    found = list(zip((*valleys, *straight), weights.tolist(), strict=True))
    kept = [Kept(v.state.theta, v.state.buffers, w) for v, w in found if w]
    held = np.asarray(sum(w * v.held for v, w in found))
    told = {v.epoch: (v.score, w) for v, w in found if w or v.epoch or v is valleys[0]}
    history = {name: list(curve) for name, curve in end.history.items()}
    return Fitted(kept, folds, held, told, history, end.outcome)


def _surely_better(before: np.ndarray, after: np.ndarray, task: Task, sure: float) -> bool:
    """Whether classes' log-loss falls by more than so many standard errors of that."""
    gain = log_losses(before, task.target) - log_losses(after, task.target)
    shares = np.ones(len(gain)) if task.weight is None else task.weight
    shares = shares / shares.sum()
    mean = float(shares @ gain)
    return mean > sure * float(np.sqrt(shares**2 @ (gain - mean) ** 2))
