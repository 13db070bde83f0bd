"""A browser's Python: of 32 bits, where NumPy takes no places of 64, and nothing is compiled."""

import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor, Perceptron, TabularClassifier, TabularRegressor
from xpnn.tables.values import parse_column

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), np.tile([0, 1, 2], 20)
NETWORK = {"max_iter": 2, "tol": 0, "random_state": 0, "batch_size": 16}
TABLE = {"n_members": 2, "hidden": (4,), "epochs": 2, "random_state": 0}


class Generator(np.random.Generator):
    """Its places have 32 bits, as all default integers there."""

    def permutation(self, x, axis=0):
        found = super().permutation(x, axis)
        return found.astype(np.int32) if isinstance(x, int) else found


def shortened(function):
    """Its whole numbers are those of 32 bits, where no dtype is asked for."""

    def call(*args, **kwargs):
        found = function(*args, **kwargs)
        return (
            found.astype(np.int32) if found.dtype == np.int64 and "dtype" not in kwargs else found
        )

    return call


@pytest.fixture
def thirty_two_bits(monkeypatch):
    """`numpy.take` and `numpy.bincount` as they are there."""

    def checked(function, at):
        def call(*args, **kwargs):
            assert np.can_cast(np.asarray(args[at]).dtype, np.int32, "safe"), function
            return function(*args, **kwargs)

        return call

    monkeypatch.setenv("XPNN_COMPILED", "0")
    monkeypatch.setattr(np.random, "Generator", Generator)
    monkeypatch.setattr(np, "take", checked(np.take, 1))
    monkeypatch.setattr(np, "bincount", checked(np.bincount, 0))
    monkeypatch.setattr(np, "intp", np.int32)
    for name in ("arange", "flatnonzero"):
        monkeypatch.setattr(np, name, shortened(getattr(np, name)))


@pytest.mark.usefixtures("thirty_two_bits")
def test_labels_and_words_are_counted_on_32_bits():
    model = MLPClassifier((4,), early_stopping=True, max_iter=2, tol=0, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        assert model.fit(X, Y).predict(X).shape == (60,)
    assert parse_column(np.asarray(["a", "b", "a"], dtype=object), name="c").kind == "words"


@pytest.mark.usefixtures("thirty_two_bits")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "model",
    [
        MLPRegressor(hidden_layer_sizes=(4,), dropout=0.5, **NETWORK),
        MLPClassifier((4,), early_stopping=True, **NETWORK),
        Perceptron(random_state=0, max_iter=2),
        Perceptron(random_state=0, max_iter=2, batch_size=7),
        TabularRegressor(**TABLE),
        TabularClassifier(**TABLE),
    ],
    ids=lambda model: type(model).__name__,
)
def test_all_estimators_learn_on_32_bits(model):
    assert model.fit(X, Y).predict(X).shape == (60,)
