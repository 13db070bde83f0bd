"""What the parameters of both networks are: named, typed and bounded once."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from xpnn.arrays.backend import Backend
from xpnn.estimators._device import OnDevice
from xpnn.model.normalization import KINDS
from xpnn.parts.activations import ACTIVATIONS, ALIASES, Activation
from xpnn.parts.initializers import INITIALIZERS, Initializer
from xpnn.parts.schedules import SCHEDULES, Schedule

STOCHASTIC = ("sgd", "adam", "adamw", "rmsprop", "adagrad")

_AT_LEAST_0 = [Interval(Real, 0, None, closed="left")]
_ABOVE_0 = [Interval(Real, 0, None, closed="neither")]
_ABOVE_0_OR_NONE = [*_ABOVE_0, None]
_FRACTION = [Interval(Real, 0, 1, closed="left")]
_COUNT = [Interval(Integral, 1, None, closed="left")]


class NetworkParameters(OnDevice):
    """The parameters that classifier and regressor share; scikit-learn's come first."""

    hidden_layer_sizes: Any
    activation: Any
    solver: Any
    alpha: float
    batch_size: Any
    learning_rate: Any
    learning_rate_init: float
    power_t: float
    max_iter: int
    loss: Any
    shuffle: bool
    random_state: Any
    tol: float
    verbose: Any
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: float
    input_dropout: float
    normalization: Any
    l1: float
    weight_decay: float
    clip_norm: float | None
    max_norm: float | None
    initializer: Any
    monitor: Any
    callbacks: Any
    device: Any
    dtype: Any

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", *_COUNT],
        "activation": [StrOptions({*ACTIVATIONS, *ALIASES}), Activation, callable, tuple, list],
        "solver": [
            StrOptions({*STOCHASTIC, "lbfgs"}),
            HasMethods(["init", "coefficients", "update"]),
        ],
        "alpha": _AT_LEAST_0,
        "batch_size": [StrOptions({"auto"}), *_COUNT],
        "learning_rate": [StrOptions(set(SCHEDULES)), Schedule, callable],
        "learning_rate_init": _ABOVE_0,
        "power_t": _AT_LEAST_0,
        "max_iter": _COUNT,
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": _AT_LEAST_0,
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": _FRACTION,
        "beta_1": _FRACTION,
        "beta_2": _FRACTION,
        "epsilon": _ABOVE_0,
        "n_iter_no_change": [*_COUNT, Options(Real, {np.inf})],
        "max_fun": _COUNT,
        "dropout": _FRACTION,
        "input_dropout": _FRACTION,
        "normalization": [StrOptions(set(KINDS)), None],
        "l1": _AT_LEAST_0,
        "weight_decay": _AT_LEAST_0,
        "clip_norm": _ABOVE_0_OR_NONE,
        "max_norm": _ABOVE_0_OR_NONE,
        "initializer": [StrOptions(set(INITIALIZERS)), Initializer, callable],
        "monitor": [str, callable],
        "callbacks": ["array-like", callable, None],
        "device": [str, Backend, None],
        "dtype": [StrOptions({"float32", "float64"}), None],
    }

    def _store(self, given: dict[str, Any]) -> None:
        """Keep the arguments of `__init__`, untouched, as scikit-learn has it."""
        for name in self._get_param_names():
            setattr(self, name, given[name])
