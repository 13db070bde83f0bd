"""`Perceptron` against scikit-learn's, and what no mistake and no Ctrl-C may lose."""

import copy
import inspect
import pickle
import signal
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from perceptron_data import DATA, fitted
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Perceptron as Theirs

from xpnn.perceptron.estimator import Perceptron

PENALTIES = (None, "l2", "l1", "elasticnet")


def assert_same(x: Any, y: Any, *, fit: dict[str, Any] | None = None, **params: Any) -> None:
    params = {"shuffle": False, "max_iter": 30} | params
    theirs, ours = (  # a copy for each: theirs writes into coef_init
        fitted(cls(**params), x, y, **copy.deepcopy(fit or {})) for cls in (Theirs, Perceptron)
    )
    for name in ("coef_", "intercept_"):
        expected, found = getattr(theirs, name), getattr(ours, name)
        atol = 1e-12 * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=atol)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    np.testing.assert_allclose(ours.decision_function(x), theirs.decision_function(x), rtol=1e-9)


# -- the same as scikit-learn's -------------------------------------------------------------------


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", DATA)
class TestSameWeights:
    def test_dense(self, name: str, penalty: str | None) -> None:
        assert_same(*DATA[name], penalty=penalty)

    def test_sparse(self, name: str, penalty: str | None) -> None:
        x, y = DATA[name]
        assert_same(scipy.sparse.csr_matrix(x), y, penalty=penalty)

    def test_strength_and_step(self, name: str, penalty: str | None) -> None:
        assert_same(*DATA[name], penalty=penalty, alpha=0.01, l1_ratio=0.4, eta0=0.3)

    @pytest.mark.sampled(3)
    def test_early_stopping(self, name: str, penalty: str | None) -> None:
        assert_same(*DATA[name], penalty=penalty, early_stopping=True, validation_fraction=0.2)

    def test_weights(self, name: str, penalty: str | None) -> None:
        x, y = DATA[name]
        weight = np.random.default_rng(1).uniform(0.5, 2.0, len(y))
        assert_same(x, y, fit={"sample_weight": weight}, penalty=penalty, class_weight="balanced")

    def test_no_intercept_no_tolerance(self, name: str, penalty: str | None) -> None:
        assert_same(*DATA[name], penalty=penalty, fit_intercept=False, tol=None, max_iter=4)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("name", ["breast_cancer", "noisy"])
def test_two_classes_are_shuffled_as_theirs(name: str, seed: int, early_stopping: bool) -> None:
    assert_same(*DATA[name], shuffle=True, random_state=seed, early_stopping=early_stopping)


def test_start_weights_and_warm_start() -> None:
    x, y = DATA["four classes"]
    start = {"coef_init": np.ones((4, 12)), "intercept_init": np.arange(4.0)}
    assert_same(x, y, fit=start, max_iter=3, tol=None)
    theirs, ours = (
        cls(shuffle=False, max_iter=2, tol=None, warm_start=True) for cls in (Theirs, Perceptron)
    )
    for _ in range(3):
        theirs.fit(x, y)
        ours.fit(x, y)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-12)
    assert ours.t_ == theirs.t_


@pytest.mark.parametrize("penalty", PENALTIES)
def test_partial_fit(penalty: str | None) -> None:
    x, y = DATA["four classes"]
    theirs, ours = (cls(shuffle=False, penalty=penalty) for cls in (Theirs, Perceptron))
    for rows in np.array_split(np.arange(len(y)), 4):
        theirs.partial_fit(x[rows], y[rows], classes=np.arange(4))
        ours.partial_fit(x[rows], y[rows], classes=np.arange(4))
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-12)
        assert ours.t_ == theirs.t_


def test_float32() -> None:
    x, y = DATA["noisy"][0].astype(np.float32), DATA["noisy"][1]
    params = {"shuffle": False, "max_iter": 5, "tol": None}
    theirs, ours = (cls(**params).fit(x, y) for cls in (Theirs, Perceptron))
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    assert ours.coef_.dtype == ours.intercept_.dtype == np.float32
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("features", [30, 300])
def test_scores_that_cancel_are_summed_in_their_order(features: int, dtype: str) -> None:
    """Scores whose sign depends on the order of summing, where most rows are near the boundary."""
    rng = np.random.default_rng(0)
    sizes = np.asarray([1e8, -1e8, 3.0, -1.0 / 3.0, 1e-9, 0.0])
    X = rng.choice(sizes, size=(500, features)).astype(dtype)
    y = rng.integers(0, 2, 500)
    options: dict[str, Any] = {"shuffle": False, "max_iter": 30, "tol": None}
    ours, theirs = Perceptron(**options).fit(X, y), Theirs(**options).fit(X, y)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.intercept_, theirs.intercept_)


@pytest.mark.parametrize("seed", range(5))
def test_scores_that_underflow_are_those_of_theirs(seed: int) -> None:
    """A score that is rounded to 0 by the weights' scale is a mistake."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(80, 7)) * 1e-23).astype("float32")
    y = (rng.random(80) > 0.5).astype(int)
    options: dict[str, Any] = {"penalty": "l2", "alpha": 0.3, "shuffle": False, "tol": None}
    ours = Perceptron(**options, max_iter=1).fit(X, y)
    theirs = Theirs(**options, max_iter=1).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-3)


def test_parameters_and_defaults_are_theirs() -> None:
    ours, theirs = (inspect.signature(cls).parameters for cls in (Perceptron, Theirs))
    assert {name: p.default for name, p in theirs.items()}.items() <= {
        name: p.default for name, p in ours.items()
    }.items()


@pytest.mark.parametrize(
    "bad",
    [
        {"penalty": "l3"}, {"alpha": -1}, {"l1_ratio": 2}, {"max_iter": 0}, {"tol": -1},
        {"eta0": 0}, {"n_iter_no_change": 0}, {"validation_fraction": 1.0}, {"class_weight": "no"},
        {"shuffle": "yes"}, {"fit_intercept": "yes"}, {"early_stopping": 3},
    ],
)  # fmt: skip
def test_bad_parameters_say_what_theirs_say(bad: dict[str, Any]) -> None:
    x, y = DATA["noisy"]
    with pytest.raises(ValueError, match=next(iter(bad))) as theirs:
        Theirs(**bad).fit(x, y)
    with pytest.raises(ValueError, match=next(iter(bad))) as ours:
        Perceptron(**bad).fit(x, y)
    # sets are printed in any order
    assert sorted(str(ours.value)) == sorted(str(theirs.value))


def test_warns_as_theirs() -> None:
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached"):
        Perceptron(max_iter=2).fit(*DATA["noisy"])


# -- nothing is lost ------------------------------------------------------------------------------


@pytest.mark.parametrize("incremental", [False, True])
def test_a_failed_fit_changes_nothing(incremental: bool) -> None:
    x, y = DATA["four classes"]
    model = fitted(Perceptron(max_iter=3, average=True), x, y)
    before = pickle.dumps(model.__dict__)
    fit = model.partial_fit if incremental else model.fit
    for bad_x, bad_y in (
        (np.full_like(x, np.nan), y),
        (x[:10], y),
        (x, np.full(len(y), 9) if incremental else np.zeros(len(y))),
    ):
        with pytest.raises(ValueError, match=r"NaN|inconsistent|classes|greater than one|overflow"):
            fit(bad_x, bad_y)
        assert pickle.dumps(model.__dict__) == before
    before = pickle.dumps(model.set_params(eta0=1e308).__dict__)
    with pytest.raises(ValueError, match="overflow"):
        fit(x, y)
    assert pickle.dumps(model.__dict__) == before


def test_errors() -> None:
    x, y = DATA["noisy"]
    with pytest.raises(ValueError, match="average=True and pocket=True"):
        Perceptron(average=True, pocket=True).fit(x, y)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        Perceptron().partial_fit(x, y)
    with pytest.raises(ValueError, match="early_stopping should be False with partial_fit"):
        Perceptron(early_stopping=True).partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        Perceptron(class_weight="balanced").partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="not the same as on last call"):
        Perceptron().partial_fit(x, y, classes=[0, 1]).partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="got 1 class"):
        Perceptron().fit(x, np.zeros(len(y)))
    with pytest.raises(ValueError, match="Floating-point under-/overflow occurred at epoch #1"):
        Perceptron(eta0=1e308).fit(x, y)
    with pytest.raises(ValueError, match="does not match dataset"):
        Perceptron().fit(x, y, coef_init=np.ones((1, 3)))
    few, model = np.zeros(len(y)), Perceptron(early_stopping=True, validation_fraction=0.01)
    few[:2] = 1.0
    with pytest.raises(ValueError, match="weights for validation set are all zero"):
        model.fit(x, y, sample_weight=few)
    with pytest.raises(NotFittedError):
        Perceptron().predict(x)


def test_held_weights_stay() -> None:
    x, y = DATA["four classes"]
    model = Perceptron(max_iter=2, tol=None).fit(x, y)
    held, twin = model.coef_, copy.copy(model)
    kept = held.copy()
    model.partial_fit(x, y)
    np.testing.assert_array_equal(held, kept)
    np.testing.assert_array_equal(twin.coef_, kept)
    assert not np.array_equal(model.coef_, kept)


def test_sparsify_and_densify() -> None:
    x, y = DATA["digits"]
    model = fitted(Perceptron(penalty="l1", max_iter=5), x, y)
    expected, coef = model.predict(x), model.coef_
    assert scipy.sparse.issparse(model.sparsify().coef_)
    np.testing.assert_array_equal(model.predict(x), expected)
    np.testing.assert_array_equal(model.densify().coef_, coef)


def test_same_seed_same_model() -> None:
    x, y = DATA["four classes"]
    first, again, other = (
        Perceptron(max_iter=3, tol=None, random_state=seed).fit(x, y) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert not np.array_equal(first.coef_, other.coef_)
    assert clone(first).get_params() == first.get_params()


def test_verbose_prints_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = DATA["noisy"]
    Perceptron(max_iter=2, tol=None, verbose=1).fit(x, y)
    out = capsys.readouterr().out
    assert out.count("average loss") == 2
    assert "Epoch 2" in out


def test_ctrl_c_acts_within_an_epoch(monkeypatch):
    """The weights of the rows met so far are kept, and the loss is their mean."""
    import xpnn.perceptron.compiled as compiled
    import xpnn.perceptron.numpy as numpy
    from xpnn.perceptron import fit as _perceptron_fit

    monkeypatch.setattr(compiled, "_AT_ONCE", 32 * 3)
    monkeypatch.setattr(numpy, "CHUNK", 32)
    asked = iter([False, False, False, True])  # before the first rows, the next, ...
    monkeypatch.setattr(
        _perceptron_fit, "interruptible", lambda: nullcontext(lambda: next(asked, True))
    )
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    model = Perceptron(max_iter=50, tol=None, shuffle=False)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    monkeypatch.undo()
    once = Perceptron(max_iter=1, tol=None, shuffle=False).fit(X[:96], y[:96])
    np.testing.assert_array_equal(model.coef_, once.coef_)
    assert model.history_ == once.history_
    assert model.n_iter_ == 1


def test_ctrl_c_acts_between_epochs_and_keeps_the_weights(monkeypatch):
    from xpnn.perceptron import fit as _perceptron_fit

    select = _perceptron_fit.select_epoch

    def interrupting(xp, rule):
        epoch = select(xp, rule)

        def run(*args, **how):
            out = epoch(*args, **how)
            signal.raise_signal(signal.SIGINT)
            return out

        return run

    monkeypatch.setattr(_perceptron_fit, "select_epoch", interrupting)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    model = Perceptron(max_iter=50, tol=None, shuffle=False)
    with pytest.raises(KeyboardInterrupt, match="keeps the weights so far"):
        model.fit(X, y)
    assert model.n_iter_ == 1
    once = Perceptron(max_iter=1, tol=None, shuffle=False)
    monkeypatch.undo()
    np.testing.assert_array_equal(model.coef_, once.fit(X, y).coef_)
