"""A fit that fails, in any way and at any moment, leaves the estimator as it was byte for byte."""

import pickle
import signal
import warnings
from typing import Any

import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor, Perceptron, TabularClassifier, TabularRegressor
from xpnn.data import Blocks
from xpnn.losses import Loss
from xpnn.schedules import Schedule

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

N = 60
NETWORK = {"hidden_layer_sizes": (5,), "max_iter": 3, "batch_size": 16, "random_state": 0}
TABULAR = {"epochs": 3, "n_members": 2, "hidden": (4,), "random_state": 0}


class Boom(Exception):
    """The user's own."""


def table() -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(N, 3))
    return X, (X[:, 0] > X[:, 1]).astype(int)


class Fails:
    """Raises in a given epoch, or at another moment; it is pickled and has no state."""

    def __init__(self, error: type[BaseException], epoch: int = 0, at: str = "") -> None:
        self.error, self.epoch, self.at = error, epoch, at

    def on_begin(self, epochs: int) -> None:
        if self.at == "begin":
            raise self.error("begin")

    def __call__(self, end: Any) -> None:
        if end.epoch == self.epoch:
            raise self.error("epoch")

    def on_end(self) -> None:
        if self.at == "end":
            raise self.error("end")


class Presses:
    """Ctrl-C, so often, after the second epoch."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, end: Any) -> None:
        if end.epoch == 2:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


class Rule:
    """An optimizer that raises in a later step."""

    name = "rule"

    def init(self, theta: Any, xp: Any) -> tuple[Any, ...]:
        return ()

    def coefficients(self, rate: float, t: int) -> tuple[float, ...]:
        return (float(t),)

    def update(self, theta: Any, gradient: Any, moments: Any, c: Any, decay: Any, xp: Any) -> Any:
        if c[0] > 2:
            raise Boom("update")
        return theta, moments


def bad_loss(output: Any, target: Any, weight: Any, xp: Any) -> Any:
    raise Boom("loss")


def bad_rate(base: float, progress: Any, **params: Any) -> float:
    if progress.epoch > 0:
        raise Boom("rate")
    return base


def bad_activation(z: Any, xp: Any) -> Any:
    raise Boom("activation")


def bad_scorer(model: Any, X: Any, y: Any) -> float:
    raise Boom("scorer")


def bad_weights(rng: Any, fan_in: int, fan_out: int) -> Any:
    raise Boom("weights")


class Breaks:
    """Rows on a disk that fails behind row 40."""

    def __init__(self) -> None:
        self.shape, self.dtype, self.rows = (N, 3), np.dtype(float), table()[0]

    def __getitem__(self, at: Any) -> np.ndarray:
        if at[0].stop > 40:
            raise OSError(5, "Input/output error")
        return self.rows[at]


def spoiled(value: float) -> np.ndarray:
    X = table()[0]
    X[50, 1] = value
    return X


X, Y = table()
HELD = {"validation_data": (X, Y)}

# name: parameters, what fit is given beside or instead of X and y, the error
DATA: dict[str, tuple[dict[str, Any], dict[str, Any], type[BaseException]]] = {
    "NaN in X": ({}, {"X": spoiled(np.nan)}, ValueError),
    "infinity in X": ({}, {"X": spoiled(np.inf)}, ValueError),
    "X too large for float32": ({"dtype": "float32"}, {"X": spoiled(1e300)}, ValueError),
    "X of one dimension": ({}, {"X": X[:, 0]}, ValueError),
    "X of words": ({}, {"X": X.astype(str).astype(object) + "x"}, ValueError),
    "complex X": ({}, {"X": X + 1j}, ValueError),
    "no rows": ({}, {"X": X[:0], "y": Y[:0]}, ValueError),
    "no features": ({}, {"X": X[:, :0]}, ValueError),
    "X is None": ({}, {"X": None}, ValueError),
    "y is None": ({}, {"y": None}, ValueError),
    "y of another length": ({}, {"y": Y[:-1]}, ValueError),
    "NaN in y": ({}, {"y": np.where(np.arange(N) == 3, np.nan, Y)}, ValueError),
    "y of three dimensions": ({}, {"y": Y[:, None, None]}, ValueError),
    "negative weights": ({}, {"sample_weight": -np.ones(N)}, ValueError),
    "NaN in the weights": ({}, {"sample_weight": np.full(N, np.nan)}, ValueError),
    "weights of zero": ({}, {"sample_weight": np.zeros(N)}, ValueError),
    "too few weights": ({}, {"sample_weight": np.ones(3)}, ValueError),
    "weights that overflow": ({}, {"sample_weight": np.full(N, 1e307)}, ValueError),
    "validation of other features": ({}, {"validation_data": (X[:, :2], Y)}, ValueError),
    "validation of one part": ({}, {"validation_data": (X,)}, ValueError),
    "NaN in the validation": ({}, {"validation_data": (spoiled(np.nan), Y)}, ValueError),
    "blocks with NaN": ({}, {"X": Blocks(spoiled(np.nan), block_rows=16, window=1)}, ValueError),
    "blocks that cannot be read": ({}, {"X": Blocks(Breaks(), block_rows=16, window=1)}, OSError),
    "blocks without y": ({}, {"X": Blocks(X), "y": None}, ValueError),
}
PARAMETERS: dict[str, tuple[dict[str, Any], dict[str, Any], type[BaseException]]] = {
    "no units": ({"hidden_layer_sizes": (0,)}, {}, ValueError),
    "an unknown activation": ({"activation": "rela"}, {}, ValueError),
    "an unknown solver": ({"solver": "adamm"}, {}, ValueError),
    "a negative rate": ({"learning_rate_init": -1.0}, {}, ValueError),
    "too much dropout": ({"dropout": 1.5}, {}, ValueError),
    "an unknown device": ({"device": "gpu:9"}, {}, ValueError),
    "a monitor that is not measured": ({"monitor": "val_loss"}, {}, ValueError),
    "dropout with L-BFGS": ({"solver": "lbfgs", "dropout": 0.5}, {}, ValueError),
    "too few rows to hold out": (
        {"early_stopping": True, "validation_fraction": 0.01},
        {},
        ValueError,
    ),
    "a callback that is none": ({"callbacks": [3]}, {}, ValueError),
    "divergence in the first epoch": (
        {"learning_rate_init": 1e300, "solver": "sgd", "max_iter": 1},
        {},
        ValueError,
    ),
    "a callback raises in the first epoch": ({"callbacks": Fails(Boom, 1)}, {}, Boom),
    "a callback raises in the last epoch": ({"callbacks": Fails(Boom, 3)}, {}, Boom),
    "a callback raises at the beginning": ({"callbacks": Fails(Boom, at="begin")}, {}, Boom),
    "a callback raises at the end": ({"callbacks": Fails(Boom, at="end")}, {}, Boom),
    "a callback runs out of memory": ({"callbacks": Fails(MemoryError, 2)}, {}, MemoryError),
    "a callback exits": ({"callbacks": Fails(SystemExit, 2)}, {}, SystemExit),
    "a callback is interrupted": (
        {"callbacks": Fails(KeyboardInterrupt, 2)},
        {},
        KeyboardInterrupt,
    ),
    "Ctrl-C twice": ({"callbacks": Presses(2)}, {}, KeyboardInterrupt),
    "a callback raises with L-BFGS": (
        {"solver": "lbfgs", "callbacks": Fails(Boom, 2)},
        {},
        Boom,
    ),
    "a loss raises": ({"loss": Loss("bad", bad_loss, "identity")}, {}, Boom),
    "a schedule raises": ({"learning_rate": Schedule("bad", bad_rate), "solver": "sgd"}, {}, Boom),
    "an activation raises": ({"activation": bad_activation}, {}, Boom),
    "an optimizer raises": ({"solver": Rule()}, {}, Boom),
    "a scorer raises": ({"monitor": bad_scorer}, HELD, Boom),
    "initial weights raise": ({"initializer": bad_weights, "warm_start": False}, {}, Boom),
}
FAILURES = DATA | PARAMETERS
assert len(FAILURES) >= 40


def state(model: Any) -> bytes:
    """Everything that an estimator has."""
    return pickle.dumps(vars(model))


def prepared(kind: str, params: dict[str, Any], fitted: bool) -> Any:
    """An estimator, fresh or with a past, whose next fit is to fail."""
    cls = MLPRegressor if kind == "regressor" else MLPClassifier
    model = cls(**NETWORK)
    if fitted:
        model.fit(X, Y)
    return model.set_params(**params)


def fails(model: Any, method: str, given: dict[str, Any], error: type[BaseException]) -> None:
    """The call raises; nothing of the estimator has changed."""
    before, attributes = state(model), dict(vars(model))
    arguments = {"X": X, "y": Y} | given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(error):
            getattr(model, method)(**arguments)
    assert state(model) == before
    assert all(vars(model)[name] is value for name, value in attributes.items())


# Where the second or third epoch, a validation or a new network is needed, a call of partial_fit
# has none and goes well.
OF_FIT_ALONE = {
    "too few rows to hold out",
    "dropout with L-BFGS",
    "a callback raises in the last epoch",
    "a callback runs out of memory",
    "a callback exits",
    "a callback is interrupted",
    "Ctrl-C twice",
    "a callback raises with L-BFGS",
    "a schedule raises",
    "initial weights raise",
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_a_failed_fit_changes_nothing(kind, name):
    params, given, error = FAILURES[name]
    fails(prepared(kind, params, False), "fit", given, error)
    model = prepared(kind, params, True)
    fails(model, "fit", given, error)
    if name not in OF_FIT_ALONE:
        fails(model, "partial_fit", given, error)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize(
    "place",
    [
        "xpnn.estimators._settings.make_network",
        "xpnn.model.network.Network.init",
        "xpnn.estimators._base.hold_out",
        "xpnn.estimators._base.training_data",
        "xpnn.training.stepping.training_steps",
        "xpnn.training.loop.copied",
        "xpnn.training.state.TrainingState.record",
        "xpnn.estimators._fitted.FittedNetwork._adopt",
        "xpnn.estimators._callbacks.FitTasks.end",
    ],
)
def test_a_fit_that_breaks_off_anywhere_changes_nothing(place, error, monkeypatch):
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise error(place)

    for fitted in (False, True):
        model = prepared("classifier", {}, fitted)
        with monkeypatch.context() as patch:
            patch.setattr(place, broken)
            fails(model, "fit", HELD, error)
        assert model.fit(X, Y).n_iter_ == 3


def test_a_failed_fit_takes_nothing_from_a_random_state():
    for cls in (MLPClassifier, Perceptron):
        model = cls(random_state=np.random.RandomState(3), max_iter=2)
        fails(model, "fit", {"X": spoiled(np.nan)}, ValueError)
    model = MLPClassifier(**{**NETWORK, "random_state": np.random.RandomState(3)})
    fails(model.set_params(callbacks=Fails(Boom, 2)), "fit", {}, Boom)
    assert model.random_state.randint(1000) == np.random.RandomState(3).randint(1000)


OF_TABLES: dict[str, tuple[dict[str, Any], dict[str, Any], type[BaseException]]] = {
    "y is None": ({}, {"y": None}, ValueError),
    "y of another length": ({}, {"y": Y[:-1]}, ValueError),
    "too few rows": ({}, {"X": X[:1], "y": Y[:1]}, ValueError),
    "negative weights": ({}, {"sample_weight": -np.ones(N)}, ValueError),
    "a table of three dimensions": ({}, {"X": X[None]}, ValueError),
    "an unknown embedding": ({"embedding": "periodical"}, {}, ValueError),
    "an unknown device": ({"device": "gpu:9"}, {}, ValueError),
    "a callback raises": ({"callbacks": Fails(Boom, 2)}, {}, Boom),
    "a callback runs out of memory": ({"callbacks": Fails(MemoryError, 1)}, {}, MemoryError),
    "a callback is interrupted": (
        {"callbacks": Fails(KeyboardInterrupt, 1)},
        {},
        KeyboardInterrupt,
    ),
}


@pytest.mark.parametrize("name", OF_TABLES)
@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_a_failed_fit_of_a_table_changes_nothing(cls, name, tabular):
    params, given, error = OF_TABLES[name]
    fails(cls(**{**TABULAR, **params}), "fit", given, error)
    model = pickle.loads(tabular[cls]).set_params(**params)
    fails(model, "fit", given, error)


@pytest.fixture(scope="module")
def tabular() -> dict[type, bytes]:
    return {
        cls: pickle.dumps(cls(**TABULAR).fit(X, Y)) for cls in (TabularClassifier, TabularRegressor)
    }


OF_PERCEPTRONS = [n for n in DATA if not any(w in n for w in ("validation", "block", "float32"))]


@pytest.mark.parametrize("name", OF_PERCEPTRONS)
def test_a_failed_fit_of_a_perceptron_changes_nothing(name):
    _, given, error = DATA[name]
    model = Perceptron(random_state=0, max_iter=5)
    fails(model, "fit", given, error)
    fails(model.fit(X, Y), "fit", given, error)
    fails(model, "partial_fit", given, error)
