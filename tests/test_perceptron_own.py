"""What scikit-learn's perceptron lacks: averages, the pocket, batches, history, devices."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from perceptron_data import DATA, fitted
from sklearn.linear_model import SGDClassifier
from targets import Target

from xpnn.perceptron.estimator import Perceptron


@pytest.mark.parametrize("penalty", [None, "l2"])
@pytest.mark.parametrize("name", ["noisy", "four classes"])
def test_average_is_theirs(name: str, penalty: str | None) -> None:
    x, y = DATA[name]
    params = {"penalty": penalty, "average": True, "shuffle": False, "max_iter": 8, "tol": None}
    oracle = SGDClassifier(loss="perceptron", learning_rate="constant", eta0=1.0, **params)
    np.testing.assert_allclose(
        Perceptron(**params).fit(x, y).coef_, oracle.fit(x, y).coef_, rtol=1e-9
    )


def test_average_goes_on_in_partial_fit() -> None:
    x, y = DATA["noisy"]
    whole = Perceptron(average=True, shuffle=False, max_iter=3, tol=None).fit(x, y)
    steps = Perceptron(average=True, shuffle=False)
    for _ in range(3):
        steps.partial_fit(x, y, classes=[0, 1])
    np.testing.assert_allclose(steps.coef_, whole.coef_, rtol=1e-9)
    np.testing.assert_allclose(steps.intercept_, whole.intercept_, rtol=1e-9)


def test_average_can_be_switched_off() -> None:
    x, y = DATA["noisy"]
    plain = Perceptron(shuffle=False).partial_fit(x, y, classes=[0, 1])
    switched = Perceptron(shuffle=False, average=True).partial_fit(x, y, classes=[0, 1])
    switched.set_params(average=False)
    for _ in range(2):
        np.testing.assert_array_equal(
            switched.partial_fit(x, y).coef_, plain.partial_fit(x, y).coef_
        )


def epoch_accuracies(x: Any, y: Any, epochs: int, **params: Any) -> list[float]:
    return [
        Perceptron(max_iter=n, tol=None, shuffle=False, **params).fit(x, y).score(x, y)
        for n in range(1, epochs + 1)
    ]


def test_pocket_keeps_the_best() -> None:
    x, y = DATA["noisy"]
    scores = epoch_accuracies(x, y, 12)
    assert scores[-1] < max(scores)  # else this tests nothing
    kept = Perceptron(max_iter=12, tol=None, shuffle=False, pocket=True).fit(x, y)
    assert kept.score(x, y) == max(scores)
    kept = epoch_accuracies(x, y, 12, pocket=True)
    assert kept == [max(scores[: n + 1]) for n in range(12)]


def test_the_pocket_keeps_the_first_of_equals() -> None:
    x, y = (a[:60] for a in DATA["noisy"])
    scores = epoch_accuracies(x, y, 12)
    best = [epoch for epoch, score in enumerate(scores, 1) if score == max(scores)]
    assert len(best) > 1  # else this tests nothing
    params = {"tol": None, "shuffle": False}
    kept = Perceptron(max_iter=best[-1], pocket=True, **params).fit(x, y)
    first = Perceptron(max_iter=best[0], **params).fit(x, y)
    np.testing.assert_array_equal(kept.coef_, first.coef_)
    np.testing.assert_array_equal(kept.intercept_, first.intercept_)


def test_pocket_with_rows_held_out() -> None:
    x, y = DATA["noisy"]
    params = {"max_iter": 12, "tol": None, "early_stopping": True, "validation_fraction": 0.4}
    splits = Perceptron(pocket=True, **params).fit(x, y)
    last = Perceptron(**params).fit(x, y)
    assert not np.array_equal(splits.coef_, last.coef_)


def test_batches_are_the_mini_batch_perceptron() -> None:
    x, y = DATA["noisy"]
    found = Perceptron(batch_size=16, max_iter=3, tol=None, shuffle=False).fit(x, y)
    w, b, sign = np.zeros(12), 0.0, 2.0 * y - 1.0
    for _ in range(3):
        for at in range(0, len(y), 16):
            rows = slice(at, at + 16)
            wrong = sign[rows] * (x[rows] @ w + b) <= 0
            w = w + (wrong * sign[rows]) @ x[rows]
            b = b + (wrong * sign[rows]).sum()
    np.testing.assert_allclose(found.coef_[0], w, rtol=1e-12)
    np.testing.assert_allclose(found.intercept_, [b], rtol=1e-12)


def test_history() -> None:
    x, y = DATA["separable"]
    model = Perceptron(max_iter=500, tol=None, n_iter_no_change=500).fit(x, y)
    assert len(model.history_["loss"]) == model.n_iter_ == 500
    assert model.history_["mistakes"][-1] == 0 < model.history_["mistakes"][0]


OPTIONS = {
    "plain": {},
    "l2": {"penalty": "l2", "alpha": 0.001},
    "elasticnet": {"penalty": "elasticnet", "max_iter": 2},
    "average": {"average": True},
    "pocket": {"pocket": True},
    "batch": {"batch_size": 8},
    "early stopping": {"early_stopping": True},
}


@pytest.mark.long_to_compile
@pytest.mark.own_context
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("name", ["noisy", "four classes"])
def test_every_device(target: Target, name: str, options: dict[str, Any]) -> None:
    x, y = DATA[name]
    params = {"max_iter": 4, "tol": None, "random_state": 3} | options
    expected = Perceptron(**params).fit(x.astype(target.dtype_name), y)
    here = target.asarray(x)
    model = Perceptron(**params).fit(here, y)
    rtol = 1e-11 if target.dtype_name == "float64" else 1e-3
    target.assert_close(model.coef_, expected.coef_, rtol=rtol)
    target.assert_close(model.intercept_, expected.intercept_, rtol=rtol)
    target.assert_close(model.decision_function(here), expected.decision_function(x), rtol=rtol)
    assert model.n_iter_ == expected.n_iter_
    found = target.to_numpy(model.predict(here))
    np.testing.assert_array_equal(found, expected.predict(x.astype(target.dtype_name)))
    assert isinstance(model.score(here, y), float)
    assert model.score(here, y) == pytest.approx(expected.score(x, y), abs=1e-6)


@pytest.mark.own_context
@pytest.mark.parametrize("penalty", [None, "elasticnet"])
def test_sparse_rows_on_every_device(target_any: Target, penalty: str | None) -> None:
    x, y = DATA["noisy"]
    x = scipy.sparse.csr_matrix(x * (x > 0))
    params = {"max_iter": 2, "tol": None, "penalty": penalty, "dtype": target_any.dtype_name}
    expected = Perceptron(**params).fit(x, y)
    model = Perceptron(device=target_any.backend.name, **params).fit(x, y)
    rtol = 1e-11 if target_any.dtype_name == "float64" else 1e-3
    assert isinstance(model.coef_, np.ndarray)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=rtol, atol=rtol)
    np.testing.assert_array_equal(model.predict(x), expected.predict(x))


@pytest.mark.own_context
def test_device_parameter_gives_arrays_of_x(target_any: Target) -> None:
    x, y = DATA["four classes"]
    model = Perceptron(device=target_any.backend.name, dtype=target_any.dtype_name, max_iter=3)
    model = fitted(model, x, np.asarray(list("abcd"))[y])
    assert isinstance(model.coef_, np.ndarray)
    assert isinstance(model.decision_function(x), np.ndarray)
    assert set(model.predict(x)) <= set("abcd")


@pytest.mark.own_context
def test_moves_between_devices(target_any: Target) -> None:
    x, y = DATA["noisy"]
    model = Perceptron(max_iter=3, tol=None, average=True).fit(x.astype(target_any.dtype_name), y)
    here = target_any.asarray(x)
    expected = model.predict(x.astype(target_any.dtype_name))
    if target_any.backend.name != "numpy":
        with pytest.raises(ValueError, match="must use the same namespace"):
            model.predict(here)
    moved = copy.deepcopy(model).to_device(target_any.backend)
    np.testing.assert_array_equal(target_any.to_numpy(moved.predict(here)), expected)
    again = pickle.loads(pickle.dumps(moved))
    target_any.assert_close(again.coef_, model.coef_, rtol=1e-6)
    moved.partial_fit(here, y)
    np.testing.assert_array_equal(model.predict(x.astype(target_any.dtype_name)), expected)
