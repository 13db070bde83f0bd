"""Sums that are zero in exact arithmetic: every library decides them as scikit-learn does.

With b = -(0.1 + 0.1 + 0.1), the sum 0.2 + 0.1 + b is 0 from left to right and not from right to
left, and whether it is a mistake decides all that follows. So weights are compared bit for bit.
"""

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Perceptron as Theirs
from targets import Target

import xpnn
from xpnn import Perceptron
from xpnn.neurons import perceptron_rule
from xpnn.steps import compiled

PAIRS = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {
    "and": [0, 0, 0, 1],
    "or": [0, 1, 1, 1],
    "nand": [1, 1, 1, 0],
    "nor": [1, 0, 0, 0],
    "xor": [0, 1, 1, 0],
}
ETAS = (0.1, 0.2, 0.3, 0.7, 0.9)
GRID = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3), axis=-1).reshape(-1, 3)


@pytest.fixture(params=["compiled", "numpy"], autouse=True)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of the host's kernels."""
    monkeypatch.setenv("XPNN_COMPILED", "1" if request.param == "compiled" else "0")
    if request.param == "compiled" and compiled.library() is None:
        pytest.skip("xpnn's compiled library is not here")
    return request.param


def plain(
    x: np.ndarray, y: Any, positive: Any, eta: float, epochs: int, *, rosenblatt: bool = False
) -> tuple[list[float], float, list[int]]:
    """The rule in Python floats, in the order of scikit-learn's loops: weights, bias, mistakes."""
    w, b, mistakes = [0.0] * x.shape[1], 0.0, []
    for _ in range(epochs):
        mistakes.append(0)
        for row, label in zip(x.tolist(), y, strict=True):
            score = 0.0
            for weight, value in zip(w, row, strict=True):
                score += weight * value
            p = score + b
            sign = 1.0 if label == positive else -1.0
            right = p >= 0.0 if rosenblatt and sign > 0.0 else p * sign > 0.0
            if not right:
                mistakes[-1] += 1
                w = [weight + value * (eta * sign) for weight, value in zip(w, row, strict=True)]
                b += eta * sign
        if rosenblatt and not mistakes[-1]:
            break
    return w, b, mistakes


def fitted(model: Any, x: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def assert_theirs(target: Target, x: np.ndarray, y: Any, *, sparse: bool, **params: Any) -> None:
    """The weights and counts of scikit-learn's, bit for bit."""
    params = {"shuffle": False, "max_iter": 20} | params
    x = x.astype(target.dtype_name)
    host = scipy.sparse.csr_matrix(x) if sparse else x
    theirs = fitted(Theirs(**params), host, y)
    if sparse:
        ours = Perceptron(device=target.backend.name, **params)
    else:
        ours = Perceptron(**params)
    fitted(ours, host if sparse else target.asarray(x), y)
    coef, intercept = (xpnn.to_numpy(a) for a in (ours.coef_, ours.intercept_))
    np.testing.assert_array_equal(coef, theirs.coef_, f"{params}")
    # theirs is a float64 for float32 rows too
    np.testing.assert_array_equal(intercept, np.asarray(theirs.intercept_, target.dtype_name))
    assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.own_context
@pytest.mark.dtypes("float64")
@pytest.mark.parametrize("gate", GATES)
def test_perceptron_rule_on_gates(target: Target, gate: str) -> None:
    for eta in ETAS:
        w, b, mistakes = plain(PAIRS, GATES[gate], 1, eta, 25, rosenblatt=True)
        report = perceptron_rule(target.asarray(PAIRS), GATES[gate], eta=eta, max_epochs=25)
        assert report.weights == (b, *w), eta
        assert report.mistakes == tuple(mistakes), eta
        assert report.epochs == len(mistakes), eta
        assert report.converged == (gate != "xor"), eta
        if report.converged:
            assert target.to_numpy(report.unit(target.asarray(PAIRS))).tolist() == GATES[gate], eta


@pytest.mark.sampled(4)
@pytest.mark.own_context
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("gate", GATES)
def test_estimator_on_gates(target: Target, gate: str, sparse: bool) -> None:
    for eta in ETAS:
        tol = None if eta in (0.1, 0.7) else 1e-3
        assert_theirs(target, PAIRS, GATES[gate], sparse=sparse, eta0=eta, tol=tol)


TIED = {
    "grid": (np.tile(GRID, (3, 1)), np.tile(np.arange(27) % 2, 3)),
    "grid, three classes": (np.tile(GRID, (3, 1)), np.tile((GRID.sum(axis=1) % 3).astype(int), 3)),
    "duplicates that disagree": (np.repeat(GRID, 2, axis=0), np.tile([0, 1], 27)),
    "wide": (
        np.random.default_rng(0).integers(-1, 2, (150, 40)).astype(float),
        np.random.default_rng(1).integers(0, 2, 150),
    ),
    "one feature": (np.arange(-40.0, 40.0)[:, None] % 7 - 3, np.arange(80) // 3 % 2),
}


@pytest.mark.sampled(4)
@pytest.mark.own_context
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(("name", "one"), list(zip(TIED, ETAS, strict=True)))
def test_estimator_on_tied_rows(
    target: Target, name: str, one: float, sparse: bool, kernel: str
) -> None:
    x, y = TIED[name]
    for eta in {0.1, one} if kernel == "compiled" else {one}:  # NumPy's kernel is slow on ties
        assert_theirs(target, x, y, sparse=sparse, eta0=eta, tol=None)
        assert_theirs(target, x, y, sparse=sparse, eta0=eta, tol=0.0, fit_intercept=False)


@pytest.mark.sampled(4)
@pytest.mark.own_context
@pytest.mark.dtypes("float64")
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("name", TIED)
def test_penalties_on_tied_rows(target: Target, name: str, penalty: str, sparse: bool) -> None:
    params = {"eta0": 0.1, "penalty": penalty, "alpha": 0.01, "tol": None, "max_iter": 10}
    assert_theirs(target, *TIED[name], sparse=sparse, **params)


# each example fits nine models: a quarter of the examples of other properties
@settings(max_examples=settings.default.max_examples // 4)
@given(data=st.data())
def any_tied_rows(target: Target, data: st.DataObject) -> None:
    n, d = data.draw(st.integers(2, 70)), data.draw(st.integers(1, 5))
    classes, eta = data.draw(st.integers(2, 4)), data.draw(st.sampled_from(ETAS))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    x = rng.integers(-2, 3, (n, d)).astype(np.float64)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, n)])[:n]
    if len(np.unique(y)) < 2:
        y[0] = 1 - y[0]
    codes = np.unique(y)
    model = Perceptron(eta0=eta, shuffle=False, max_iter=6, tol=None)
    fitted(model, target.asarray(x), y)
    coef, intercept = target.to_numpy(model.coef_), target.to_numpy(model.intercept_)
    mistakes = np.zeros(6)
    for k, positive in enumerate(codes[1:] if len(codes) == 2 else codes):
        w, b, counted = plain(x, y, positive, eta, 6)
        assert coef[k].tolist() == w
        assert intercept[k] == b
        mistakes += counted
    assert model.history_["mistakes"] == mistakes.tolist()
    for sparse in (False, True):
        assert_theirs(target, x, y, sparse=sparse, eta0=eta)


@pytest.mark.own_context
@pytest.mark.dtypes("float64")
def test_any_tied_rows(target: Target) -> None:
    any_tied_rows(target)


@pytest.mark.sampled(3)
@pytest.mark.own_context
@pytest.mark.parametrize("features", [30, 300])
def test_scores_that_cancel(target: Target, features: int) -> None:
    rng = np.random.default_rng(0)
    sizes = np.asarray([1e8, -1e8, 3.0, -1.0 / 3.0, 1e-9, 0.0])
    x, y = rng.choice(sizes, size=(200, features)), rng.integers(0, 3, 200)
    assert_theirs(target, x, y, sparse=False, tol=None)


@pytest.mark.own_context
@pytest.mark.dtypes("float64")
@pytest.mark.parametrize("penalty", [None, "l2"])
def test_batches_on_tied_rows(target: Target, penalty: str | None) -> None:
    """By whole numbers, where every order gives the same sums, and by a tenth of them."""
    for x, y in TIED.values():
        params = {"batch_size": 9, "shuffle": False, "max_iter": 4, "tol": None}
        params |= {"penalty": penalty, "alpha": 0.5}
        whole = fitted(Perceptron(eta0=1.0, **params), x, y)
        params["alpha"] *= 10.0  # of eta times alpha
        tenth = fitted(Perceptron(eta0=0.1, **params), target.asarray(x), y)
        assert tenth.history_["mistakes"] == whole.history_["mistakes"]
        target.assert_close(tenth.coef_, whole.coef_ / 10.0)


def test_the_environment_says_which_kernel(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each call anew."""
    from xpnn.perceptron import compiled, numpy

    epochs = []
    for module in (compiled, numpy):
        epoch = module.epoch

        def told(*a, m=module, e=epoch, **k):
            epochs.append(m.__name__)
            return e(*a, **k)

        monkeypatch.setattr(module, "epoch", told)
    for said in ("0", "1", "0"):
        monkeypatch.setenv("XPNN_COMPILED", said)
        Perceptron(max_iter=1, tol=None).fit(PAIRS, GATES["and"])
        perceptron_rule(PAIRS, GATES["and"], max_epochs=1)
        used = "compiled" if said == "1" and kernel == "compiled" else "numpy"
        if said == "0" or kernel == "compiled":
            assert epochs == [f"xpnn.perceptron.{used}"] * 2
        epochs.clear()
