"""What the parameters of both networks are: named, typed and bounded once."""

from numbers import Integral, Real
from typing import Any, ClassVar

from xpnn.estimators._checks import (
    ARRAY_LIKE,
    BOOL,
    CALLABLE,
    DEVICE,
    DTYPE,
    INFINITY,
    NONE,
    RANDOM_STATE,
    VERBOSE,
    Checks,
    among,
    instance,
    methods,
    number,
)
from xpnn.estimators._device import OnDevice
from xpnn.model.normalization import KINDS
from xpnn.parts.activations import ACTIVATIONS, ALIASES, Activation
from xpnn.parts.initializers import INITIALIZERS, Initializer
from xpnn.parts.schedules import SCHEDULES, Schedule

STOCHASTIC = ("sgd", "adam", "adamw", "rmsprop", "adagrad")

_AT_LEAST_0 = (number(Real, 0, closed="low"),)
_ABOVE_0 = (number(Real, 0),)
_ABOVE_0_OR_NONE = (*_ABOVE_0, NONE)
_FRACTION = (number(Real, 0, 1, closed="low"),)
_COUNT = (number(Integral, 1, closed="low"),)


class NetworkParameters(OnDevice):
    """The parameters that classifier and regressor share; scikit-learn's come first."""

    solver: Any
    max_iter: int
    loss: Any
    random_state: Any
    warm_start: bool
    early_stopping: bool
    validation_fraction: float
    max_fun: int
    initializer: Any

    _checks: ClassVar[Checks] = {
        "hidden_layer_sizes": (ARRAY_LIKE, *_COUNT),
        "activation": (
            among({*ACTIVATIONS, *ALIASES}),
            instance(Activation),
            CALLABLE,
            instance(tuple),
            instance(list),
        ),
        "solver": (
            among({*STOCHASTIC, "lbfgs"}),
            methods("init", "coefficients", "update"),
        ),
        "alpha": _AT_LEAST_0,
        "batch_size": (among({"auto"}), *_COUNT),
        "learning_rate": (among(SCHEDULES), instance(Schedule), CALLABLE),
        "learning_rate_init": _ABOVE_0,
        "power_t": _AT_LEAST_0,
        "max_iter": _COUNT,
        "shuffle": (BOOL,),
        "random_state": RANDOM_STATE,
        "tol": _AT_LEAST_0,
        "verbose": VERBOSE,
        "warm_start": (BOOL,),
        "momentum": (number(Real, 0, 1, closed="low high"),),
        "nesterovs_momentum": (BOOL,),
        "early_stopping": (BOOL,),
        "validation_fraction": _FRACTION,
        "beta_1": _FRACTION,
        "beta_2": _FRACTION,
        "epsilon": _ABOVE_0,
        "n_iter_no_change": (*_COUNT, INFINITY),
        "max_fun": _COUNT,
        "dropout": _FRACTION,
        "input_dropout": _FRACTION,
        "normalization": (among(KINDS), NONE),
        "l1": _AT_LEAST_0,
        "weight_decay": _AT_LEAST_0,
        "clip_norm": _ABOVE_0_OR_NONE,
        "max_norm": _ABOVE_0_OR_NONE,
        "initializer": (among(INITIALIZERS), instance(Initializer), CALLABLE),
        "monitor": (instance(str), CALLABLE),
        "callbacks": (ARRAY_LIKE, CALLABLE, NONE),
        "device": DEVICE,
        "dtype": (*DTYPE, NONE),
        "embedding": (among({"periodic"}), NONE),
        "members": _COUNT,
        "groups": (instance(dict), NONE),
    }
