"""From an estimator's parameters to the parts of a run: network, optimizer, schedule, config."""

from dataclasses import replace
from functools import lru_cache
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.utils import check_random_state

from xpnn._warnings import warn_user
from xpnn.model.network import Network, PeriodicEmbedding, Scale, multilayer_perceptron
from xpnn.parts.activations import Activation
from xpnn.parts.losses import Loss
from xpnn.parts.optimizers import get_optimizer
from xpnn.parts.schedules import Schedule, get_schedule
from xpnn.training.state import TrainingConfig

_SKLEARN_SCHEDULES = ("constant", "invscaling", "adaptive")  # scikit-learn: for sgd alone
_STOCHASTIC_ONLY = {"dropout": 0.0, "input_dropout": 0.0, "clip_norm": None, "max_norm": None}


def hidden_sizes(value: Any, name: str = "hidden_layer_sizes") -> list[Any]:
    """Sizes of the hidden layers as a list; a number stands for one layer."""
    sizes = list(value) if hasattr(value, "__iter__") else [value]
    if any(isinstance(size, Real) and size <= 0 for size in sizes):
        raise ValueError(f"{name} must be > 0, got {sizes}.")
    if any(not isinstance(size, Integral) or isinstance(size, bool) for size in sizes):
        raise ValueError(f"{name} must be whole numbers, got {sizes}.")
    return sizes


def make_network(est: Any, n_features: int, loss: Loss) -> Network:
    """The network that the parameters describe."""
    activation = est.activation
    if _is_sequence(activation):
        activation = list(activation)
    before: tuple[Any, ...] = ()
    if est.embedding is not None:
        embedding = PeriodicEmbedding(n_features)
        before, n_features = (embedding, Scale(embedding.n_out)), embedding.n_out
    network = multilayer_perceptron(
        [n_features, *hidden_sizes(est.hidden_layer_sizes), est.n_outputs_],
        activation,
        dropout=float(est.dropout),
        input_dropout=float(est.input_dropout),
        normalization=est.normalization,
        link=loss.link,
        members=int(est.members),
    )
    return replace(network, layers=(*before, *network.layers)) if before else network


def same_layout(est: Any, loss: Loss) -> Network:
    """The network that the parameters describe now, of a fitted estimator."""
    network = make_network(est, est.n_features_in_, loss)
    before, now = ([e.shape for e in n.layout.entries] for n in (est.network_, network))
    layouts = [(n.layout, n.buffer_layout) for n in (est.network_, network)]
    if layouts[0] != layouts[1]:
        raise ValueError(
            "hidden_layer_sizes, normalization, embedding or members has changed: the network has "
            f"parameters of shapes {before}, and now would need {now}. Change them back to go on, "
            "or start anew: fit with warm_start=False, or a clone()."
        )
    return network


def _is_sequence(activation: Any) -> bool:
    """Whether it is one activation for each layer; (value, derivative) is a single one."""
    if not isinstance(activation, list | tuple):
        return False
    functions = [callable(f) and not isinstance(f, Activation) for f in activation]
    return isinstance(activation, list) or not (len(functions) == 2 and all(functions))


def make_optimizer(est: Any) -> Any:
    """The optimizer that the parameters name."""
    solver = est.solver
    if not isinstance(solver, str):
        return solver
    if solver == "sgd":
        if est.momentum == 0:
            return get_optimizer("sgd")
        rule = "nesterov" if est.nesterovs_momentum else "momentum"
        return get_optimizer(rule, momentum=float(est.momentum))
    params = {}
    if solver in ("adam", "adamw"):
        params = {name: float(getattr(est, name)) for name in ("beta_1", "beta_2", "epsilon")}
    if solver == "adamw":
        params["weight_decay"] = float(est.weight_decay)
    return get_optimizer(solver, **params)


def make_schedule(est: Any) -> Schedule:
    """The schedule that the parameters name."""
    name = est.learning_rate if isinstance(est.learning_rate, str) else None
    if name in _SKLEARN_SCHEDULES and est.solver != "sgd":
        return get_schedule("constant")
    if name == "invscaling":
        return get_schedule("invscaling", power_t=float(est.power_t))
    return get_schedule(est.learning_rate)


def make_config(
    est: Any, n: int, loss: Loss, optimizer: Any, monitor: str, *, stopping: bool, incremental: bool
) -> TrainingConfig:
    """How to train on `n` rows."""
    return TrainingConfig(
        loss=loss,
        optimizer=optimizer,
        learning_rate=float(est.learning_rate_init),
        schedule=make_schedule(est),
        epochs=1 if incremental else int(est.max_iter),
        batch_size=_batch_size(est, n),
        shuffle=bool(est.shuffle),
        l1=float(est.l1),
        l2=float(est.alpha),
        clip_norm=None if est.clip_norm is None else float(est.clip_norm),
        max_norm=None if est.max_norm is None else float(est.max_norm),
        groups=est.groups or (),
        monitor=monitor,
        restore_best=stopping,
        incremental=incremental,
        tol=float(est.tol),
        patience=float(est.n_iter_no_change),
    )


def _batch_size(est: Any, n: int) -> int:
    if est.solver == "lbfgs":
        return n
    if est.batch_size == "auto":
        return min(200, n)
    if est.batch_size > n:
        warn_user(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
        )
    return min(int(est.batch_size), n)


def check_lbfgs(est: Any) -> None:
    """Refuse what a full-batch solver cannot do."""
    for name, off in _STOCHASTIC_ONLY.items():
        if getattr(est, name) != off:
            raise ValueError(
                f"{name}={getattr(est, name)!r} needs a stochastic solver, such as 'adam': "
                f"solver='lbfgs' minimizes one fixed function. Use {name}={off!r} with it."
            )


def warn_of_max_iter(max_iter: int) -> None:
    """Warn, in scikit-learn's words, of a training that took all its epochs."""
    warn_user(
        f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization "
        "hasn't converged yet.",
        ConvergenceWarning,
    )


def warn_of_few_rows(n: int, fewest: int) -> None:
    """Warn, in scikit-learn's words, of a score that so few rows do not have."""
    if n < fewest:
        warn_user(
            "R^2 score is not well-defined with less than two samples.", UndefinedMetricWarning
        )


def warn_of_lbfgs(result: Any, max_iter: int) -> None:
    """Warn, in scikit-learn's words, of a minimization that has not converged."""
    if result.status == 0:
        return
    done = min(result.nit, max_iter)
    more = ""
    if done == max_iter:
        more = (
            f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
        )
    warn_user(
        f"lbfgs failed to converge after {done} iteration(s) (status={result.status}):\n"
        f"{result.message}\n{more}\nYou might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html",
        ConvergenceWarning,
    )


def draw_seed(random_state: Any) -> int:
    """64 bits from scikit-learn's kinds of random state."""
    if type(random_state) is int:
        return _seed_of(random_state)
    high, low = check_random_state(random_state).randint(0, 2**32, size=2, dtype=np.uint32)
    return int(high) << 32 | int(low)


@lru_cache(maxsize=16)
def _seed_of(random_state: int) -> int:
    """The same of a number, which takes NumPy's old generator 0.1 ms: a search has one for all."""
    return draw_seed(np.random.RandomState(random_state))


def place_moments(est: Any, optimizer: Any, *, restart: bool) -> None:
    """Give its state the optimizer's moments; a new start also forgets a lowered learning rate."""
    state, kind = est._state, None if optimizer is None else type(optimizer)
    if restart or est._moments_of is not kind:
        with est._backend.device_context():
            moments = () if optimizer is None else optimizer.init(state.theta, est._backend.xp)
        est._state = replace(state, moments=moments, t=0, plateaus=0)
    est._moments_of = kind
