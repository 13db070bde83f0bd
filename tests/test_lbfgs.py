"""SciPy's L-BFGS-B over the loss and gradient of any device."""

import os
import signal
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score

from xpnn import DivergedError, MLPClassifier, MLPRegressor
from xpnn.steps import rules
from xpnn.steps.compiled import library
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.training import lbfgs

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 1)
T = X[:, 0] * X[:, 1]
WEIGHT = RNG.uniform(0.5, 2.0, 90)
ABOUT = {"hidden_layer_sizes": (6,), "activation": "tanh", "solver": "lbfgs", "random_state": 0}


def test_every_target_finds_the_same_minimum(target):
    t = target
    args = (t.asarray(X), t.asarray(Y), t.asarray(WEIGHT))
    model = MLPClassifier(**ABOUT, max_iter=8).fit(*args)
    host = MLPClassifier(**ABOUT, max_iter=8, dtype="float64").fit(X, Y, WEIGHT)
    np.testing.assert_allclose(model.loss_curve_, host.loss_curve_, rtol=100 * t.loss_tol)
    t.assert_here(model.coefs_[0])
    t.assert_close(model.coefs_[0], host.coefs_[0], rtol=10 * t.weight_tol)


def test_the_minimum_is_one():
    model = MLPRegressor(**ABOUT, max_iter=3000, tol=1e-7, alpha=1.0).fit(X, T)
    assert model.converged_
    again = MLPRegressor(**ABOUT, max_iter=1, warm_start=True, alpha=1.0).fit(X, T)
    again.coefs_, again.intercepts_ = model.coefs_, model.intercepts_
    before = again.fit(X, T).loss_
    for i in range(2):  # a step along any weight goes up
        moved = [w.copy() for w in model.coefs_]
        moved[i][0, 0] += 0.1
        r = np.tanh(X @ moved[0] + model.intercepts_[0]) @ moved[1] + model.intercepts_[1]
        value = 0.5 * ((r[:, 0] - T) ** 2).mean()
        value += 0.5 / 90 * sum((w**2).sum() for w in moved)
        assert value > before


@pytest.mark.parametrize("weighted", [False, True])
def test_in_chunks_as_in_one(target_any, monkeypatch, weighted):
    t = target_any
    args = (t.asarray(X), t.asarray(Y), t.asarray(WEIGHT) if weighted else None)
    whole = MLPClassifier(**ABOUT, max_iter=6).fit(*args)
    monkeypatch.setattr(lbfgs, "CHUNK_ELEMENTS", 6 * 20)  # twenty rows of the widest layer
    parts = MLPClassifier(**ABOUT, max_iter=6).fit(*args)
    t.assert_close(parts.coefs_[0], t.to_numpy(whole.coefs_[0]), rtol=100 * t.weight_tol)


def test_a_loss_that_is_a_sum_is_one_in_chunks_too(target_any, monkeypatch):
    """It was the mean of the chunks' sums, so a penalty weighed more with each chunk."""
    t = target_any
    about = {**ABOUT, "loss": "sum_squared_error", "alpha": 50.0, "max_iter": 6}
    args = (t.asarray(X), t.asarray(T))
    whole = MLPRegressor(**about).fit(*args)
    monkeypatch.setattr(lbfgs, "CHUNK_ELEMENTS", 6 * 20)
    parts = MLPRegressor(**about).fit(*args)
    curves = parts.history_["loss"], whole.history_["loss"]
    np.testing.assert_allclose(*curves, rtol=100 * t.weight_tol)
    t.assert_close(parts.coefs_[0], t.to_numpy(whole.coefs_[0]), rtol=100 * t.weight_tol)


def test_sparse_rows_are_dense_by_chunks_only(target_any, monkeypatch):
    t = target_any
    x = sparse.csr_array(np.where(np.abs(X) > 1, X, 0).astype(t.dtype_name))
    device = {"device": t.backend.name, "dtype": t.dtype_name}
    dense = MLPClassifier(**ABOUT, **device, max_iter=5).fit(x.toarray(), Y)
    monkeypatch.setattr(lbfgs, "CHUNK_ELEMENTS", 6 * 20)
    widest = []
    original = sparse.csr_array.toarray

    def toarray(self, *args, **kwargs):
        widest.append(self.shape[0])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(sparse.csr_array, "toarray", toarray)
    model = MLPClassifier(**ABOUT, **device, max_iter=5).fit(x, Y)
    assert widest == [] if t.backend.name == "numpy" else max(widest) <= 20
    np.testing.assert_allclose(
        model.coefs_[0], dense.coefs_[0], rtol=100 * t.weight_tol, atol=100 * t.weight_tol
    )


def test_never_ends_worse_than_it_began(monkeypatch):
    """A line search that fails may leave SciPy above its start: then the start stands."""
    import scipy.optimize

    model = MLPRegressor(**ABOUT, max_iter=50, warm_start=True).fit(X, T)
    weights, loss = model.coefs_, model.loss_
    minimize = scipy.optimize.minimize

    def worse(function, x, **about):
        result = minimize(function, x, **about)
        result.x = x + 1.0
        result.fun = function(result.x)[0]
        return result

    monkeypatch.setattr(scipy.optimize, "minimize", worse)
    model.fit(X, T)
    assert model.loss_ == pytest.approx(loss, rel=1e-12)
    np.testing.assert_array_equal(model.coefs_[0], weights[0])


def test_callback_stops():
    model = MLPRegressor(**ABOUT, callbacks=lambda end: end.epoch == 3).fit(X, T)
    assert model.n_iter_ == len(model.loss_curve_) == 3
    r = model.predict(X) - T
    penalty = 0.5e-4 / 90 * sum((w**2).sum() for w in model.coefs_)
    assert model.loss_ == pytest.approx(0.5 * (r**2).mean() + penalty)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("said", ["0", "1"])
def test_the_loss_is_a_mean_over_weights(said, weight, monkeypatch):
    """Compiled and not."""
    monkeypatch.setenv("XPNN_COMPILED", said)
    model = MLPRegressor(**ABOUT, max_iter=3, alpha=1.0).fit(X, T, weight)
    total = 90 if weight is None else weight.sum()
    squares = np.average((model.predict(X) - T) ** 2, weights=weight)
    penalty = 0.5 / total * sum((w**2).sum() for w in model.coefs_)
    assert model.loss_ == pytest.approx(0.5 * squares + penalty, rel=1e-11)


def test_validation_curve():
    model = MLPRegressor(**ABOUT, max_iter=5).fit(X, T, validation_data=(X[:30], T[:30]))
    assert len(model.validation_loss_curve_) == 5
    expected = 0.5 * ((model.predict(X[:30]) - T[:30]) ** 2).mean()
    assert model.validation_loss_curve_[-1] == pytest.approx(expected)


def test_ctrl_c_keeps_the_weights_so_far():
    def press(end):
        if end.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    model = MLPRegressor(**ABOUT, callbacks=[press])
    with pytest.raises(KeyboardInterrupt, match="keeps the weights so far"):
        model.fit(X, T)
    assert model.n_iter_ == 2
    with pytest.raises(KeyboardInterrupt):  # as of scikit-learn's; the other fits are not run
        cross_val_score(model, X, T, cv=3, error_score=0.0)
    assert np.isfinite(model.predict(X)).all()


def test_ctrl_c_keeps_the_running_statistics_of_the_weights():
    """They are those of all rows, by the network as it stands; Ctrl-C was an error of its own."""
    press = lambda end: os.kill(os.getpid(), signal.SIGINT) if end.epoch == 2 else None  # noqa: E731
    about = ABOUT | {"normalization": "batch"}
    model = MLPRegressor(**about, callbacks=[press])
    with pytest.raises(KeyboardInterrupt, match="keeps the weights so far"):
        model.fit(X, T)
    with pytest.warns(ConvergenceWarning):
        whole = MLPRegressor(**about | {"max_iter": 2}).fit(X, T)
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))


@pytest.mark.parametrize("rows", [5000, 90])
def test_ctrl_c_acts_within_an_evaluation(rows, monkeypatch):
    """Between blocks of rows; also in the first one, of which there is no loss yet."""
    if library() is None:
        pytest.skip("blocks are of compiled code")
    monkeypatch.setattr(rules, "_MULTIPLICATIONS_APART", 1.0)
    calls, real = [], CompiledSteps._call

    def press(self):
        calls.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        return real(self)

    monkeypatch.setattr(CompiledSteps, "_call", press)
    x = np.resize(X, (rows, 5))
    model = MLPRegressor(**ABOUT)
    with pytest.raises(KeyboardInterrupt, match="keeps the weights so far"):
        model.fit(x, np.resize(T, rows))
    assert (len(calls), model.n_iter_) == (1, 0)
    assert np.isfinite(model.predict(X)).all()


def test_divergence():
    model = MLPRegressor(**ABOUT)
    with pytest.raises(DivergedError, match="Solver produced non-finite parameter weights"):
        model.fit(X, T * 1e300)
    assert not hasattr(model, "network_")


def test_warning_says_how_many_iterations():
    with pytest.warns(ConvergenceWarning, match=r"lbfgs failed to converge after 2 iteration"):
        MLPRegressor(**ABOUT, max_iter=2).fit(X, T)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPRegressor(**ABOUT | {"activation": "identity"}, max_iter=500, alpha=1.0).fit(X, T)
