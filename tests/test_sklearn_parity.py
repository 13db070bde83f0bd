"""scikit-learn's networks and ours side by side: the same curves, weights and attributes."""

import numpy as np
import pytest
from scipy import sparse
from side_by_side import PAIRS, TABLES, of_both
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

import xpnn

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"  # 20 epochs are too few, on purpose
)
TOLERANCE = 1e-8


def pair(kind, x, y, sample_weight=None, **params):
    """Fit both from the same weights, in the same order of rows."""
    always = {"hidden_layer_sizes": (16, 8), "random_state": 0, "shuffle": False, "tol": 0}
    params = always | params
    theirs, ours = (cls(warm_start=True, **params) for cls in PAIRS[kind])
    ours.initialize(x, y)
    first = clone(theirs).set_params(max_iter=1).fit(x, y)
    rng = np.random.default_rng(0)
    coefs = [a + 0.01 * rng.normal(size=a.shape) for a in first.coefs_]
    intercepts = [0.1 * rng.normal(size=a.shape) for a in first.intercepts_]
    dtype = first.coefs_[0].dtype
    first.set_params(max_iter=theirs.max_iter)
    first.coefs_ = [a.astype(dtype) for a in coefs]
    first.intercepts_ = [a.astype(dtype) for a in intercepts]
    if theirs.solver != "lbfgs":
        first.loss_curve_, first.t_, first._no_improvement_count = [], 0, 0
        first.best_loss_ = None if theirs.early_stopping else np.inf
    ours.coefs_, ours.intercepts_ = first.coefs_, first.intercepts_
    return first.fit(x, y, sample_weight), ours.fit(x, y, sample_weight)


def assert_same_weights(theirs, ours, rtol=1e-7):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(theirs, name), getattr(ours, name), strict=True):
            np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * np.abs(a).max())


SOLVERS = {
    "sgd": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.02},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.02},
    "adam": {"solver": "adam"},
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", ["digits", "diabetes"])
def test_loss_curve(data, solver, activation):
    x, y = TABLES[data]
    kind = "classifier" if data == "digits" else "regressor"
    theirs, ours = pair(kind, x, y, activation=activation, max_iter=20, **SOLVERS[solver])
    assert len(theirs.loss_curve_) == 20
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=TOLERANCE)
    assert_same_weights(theirs, ours)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    np.testing.assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=TOLERANCE)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=TOLERANCE)
    assert ours.validation_scores_ is theirs.validation_scores_ is None
    assert ours.score(x, y) == pytest.approx(theirs.score(x, y), rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", ["digits", "diabetes"])
def test_lbfgs(data, weighted):
    x, y = TABLES[data]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(x)) if weighted else None
    kind = "classifier" if data == "digits" else "regressor"
    theirs, ours = pair(kind, x, y, weight, solver="lbfgs", activation="tanh", max_iter=20)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=TOLERANCE)
    assert ours.n_iter_ == theirs.n_iter_ == 20
    assert ours.t_ == theirs.t_ == 0


@pytest.mark.parametrize("rate", ["invscaling", "adaptive"])
def test_learning_rates(rate):
    x, y = TABLES["diabetes"]
    about = {"learning_rate": rate, "n_iter_no_change": 2, "tol": 0.05, "learning_rate_init": 0.2}
    theirs, ours = pair("regressor", x, y, solver="sgd", max_iter=200, **about)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
    assert ours.n_iter_ == theirs.n_iter_ < 200
    theirs, ours = theirs.fit(x, y), ours.fit(x, y)  # a warm start begins with the first rate
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)


def test_sample_weight_and_penalty():
    x, y = TABLES["digits"]
    weight = np.random.default_rng(0).uniform(0, 2, len(x))
    theirs, ours = pair("classifier", x, y, weight, alpha=0.5, max_iter=10, batch_size=100)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=TOLERANCE)
    assert_same_weights(theirs, ours)


def test_binary_and_multilabel():
    x, y = TABLES["digits"]
    labels = make_multilabel_classification(300, 12, n_classes=4, random_state=0)
    for a, b in ((x, y > 4), (labels[0] / 10, labels[1])):
        theirs, ours = pair("classifier", a, b, max_iter=10)
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=TOLERANCE)
        np.testing.assert_array_equal(ours.predict(a), theirs.predict(a))
        np.testing.assert_allclose(ours.predict_proba(a), theirs.predict_proba(a), rtol=1e-6)
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        assert ours.out_activation_ == theirs.out_activation_


def test_poisson():
    x, _ = TABLES["diabetes"]
    y = np.random.default_rng(0).poisson(np.exp(x[:, 2]))
    theirs, ours = pair("regressor", x, y, loss="poisson", max_iter=20)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=TOLERANCE)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-6)


def test_several_outputs():
    """scikit-learn shows the mean over outputs and follows the gradient of their sum."""
    x, y = TABLES["diabetes"]
    y = np.column_stack([y, x[:, 0], -y])
    theirs, ours = pair("regressor", x, y, max_iter=20, tol=0)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-6, atol=1e-8)
    penalty = np.array(ours.loss_curve_) - 3 * np.array(theirs.loss_curve_)
    assert (np.abs(penalty) < 1e-3).all()  # the penalty is counted once


def test_sparse():
    x, y = TABLES["digits"]
    x = np.where(x > 0.5, x, 0)
    dense = pair("classifier", x, y, max_iter=5)
    for kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array):
        theirs, ours = pair("classifier", kind(x), y, max_iter=5)
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=TOLERANCE)
        np.testing.assert_allclose(ours.loss_curve_, dense[1].loss_curve_, rtol=TOLERANCE)
        np.testing.assert_array_equal(ours.predict(kind(x)), theirs.predict(kind(x)))


@of_both
def test_float32_stays_float32(library):
    x, y = TABLES["diabetes"]
    est = library.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(x.astype(np.float32), y)
    assert {a.dtype for a in (*est.coefs_, *est.intercepts_)} == {np.dtype("float32")}
    assert est.predict(x.astype(np.float32)).dtype == np.float32


@of_both
@pytest.mark.parametrize("sizes", [(), [], 5, [5, 4], np.array([5, 4])], ids=str)
def test_hidden_layers_may_be_written_in_many_ways(library, sizes):
    x, y = TABLES["diabetes"]
    est = library.MLPRegressor(hidden_layer_sizes=sizes, max_iter=2).fit(x, y)
    assert est.n_layers_ == 2 + np.size(sizes)
    assert [len(b) for b in est.intercepts_] == [*np.ravel(sizes).astype(int), 1]


# -- going on --------------------------------------------------------------------------------


@of_both
def test_warm_start_counts_alike(library):
    x, y = TABLES["digits"]
    est = library.MLPClassifier((8,), max_iter=4, warm_start=True, random_state=0)
    assert [est.fit(x, y).n_iter_ for _ in range(3)] == [4, 4, 4]
    assert len(est.loss_curve_) == 12
    assert est.t_ == 12 * len(x)
    assert est.best_loss_ == min(est.loss_curve_)
    assert est.loss_ == est.loss_curve_[-1] < est.loss_curve_[0]


@of_both
def test_partial_fit_counts_alike(library):
    x, y = TABLES["digits"]
    est = library.MLPClassifier((8,), random_state=0)
    for _ in range(5):
        est.partial_fit(x, y, classes=np.arange(10))
        assert est.n_iter_ == 1
    assert len(est.loss_curve_) == 5
    assert est.t_ == 5 * len(x)
    assert est.fit(x, y).n_iter_ > 1  # begins anew


@of_both
def test_early_stopping_keeps_the_best_weights(library):
    x, y = TABLES["digits"]
    est = library.MLPClassifier((8,), early_stopping=True, max_iter=30, random_state=0).fit(x, y)
    assert est.best_validation_score_ == max(est.validation_scores_)
    assert est.best_loss_ is None
    assert len(est.validation_scores_) == est.n_iter_
    again = est.set_params(warm_start=True, max_iter=1).fit(x, y)
    assert len(again.validation_scores_) == len(again.loss_curve_)


def test_stratified_split():
    """A tenth of every class; scikit-learn stratifies two classes only."""
    x, y = TABLES["digits"]
    est = xpnn.MLPClassifier((4,), early_stopping=True, max_iter=1, random_state=0)
    from xpnn.estimators._heldout import Rows, split_rows

    est.initialize(x, y)
    kept, held = split_rows(Rows(x, y, None), 0.1, est._stratify(y), seed=3)
    counts = np.bincount(held.target) / np.bincount(y)
    assert ((counts > 0.08) & (counts < 0.12)).all()
    assert len(kept.x) + len(held.x) == len(x)
    rare = np.where(np.arange(len(y)) == 0, 99, y)  # one row cannot lie on both sides
    est.fit(x, rare)
    assert est.validation_scores_ is not None


@of_both
def test_feature_names(library):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"a": [0.0, 1, 2, 3], "b": [1.0, 0, 1, 0]})
    est = library.MLPRegressor(hidden_layer_sizes=(2,), max_iter=2).fit(table, [0.0, 1, 2, 3])
    assert est.feature_names_in_.tolist() == ["a", "b"]
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        est.predict(table.to_numpy())
    with pytest.raises(ValueError, match="feature names should match"):
        est.predict(table.rename(columns={"a": "c"}))
    with pytest.raises(ValueError, match="same order"):
        est.predict(table[["b", "a"]])


def test_lbfgs_warm_start_goes_on():
    """scikit-learn #13656: from the weights it has, and never to a worse end."""
    x, y = TABLES["digits"]
    est = xpnn.MLPClassifier(
        (8,), solver="lbfgs", warm_start=True, max_iter=5, random_state=0, tol=0
    )
    losses = [est.fit(x, y).loss_ for _ in range(8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5 * losses[0]
    whole = xpnn.MLPClassifier((8,), solver="lbfgs", max_iter=5, random_state=0, tol=0).fit(x, y)
    assert whole.loss_ == losses[0]


def test_signatures_begin_with_scikit_learns():
    import inspect

    for theirs, ours in PAIRS.values():
        a, b = (list(inspect.signature(cls).parameters.values()) for cls in (theirs, ours))
        assert [(p.name, p.default, p.kind) for p in b[: len(a)]] == [
            (p.name, p.default, p.kind) for p in a
        ] or {(p.name, str(p.default), p.kind) for p in a} <= {
            (p.name, str(p.default), p.kind) for p in b
        }
        assert all(p.kind is p.KEYWORD_ONLY for p in b[len(a) :])


def test_fitted_attributes_are_there():
    x, y = TABLES["diabetes"]
    for solver in ("adam", "lbfgs"):
        theirs, ours = (
            cls(hidden_layer_sizes=(4,), solver=solver, max_iter=5, random_state=0).fit(x, y)
            for cls in PAIRS["regressor"]
        )
        public = {k for k in vars(theirs) if k.endswith("_") and not k.startswith("_")}
        assert {k for k in public if not hasattr(ours, k)} == set()


def test_convergence_warning_is_scikit_learns():
    x, y = TABLES["diabetes"]
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        xpnn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(x, y)


@of_both
def test_pipeline_of_scaled_rows_learns_as_well(library):
    x, y = TABLES["digits"]
    x = StandardScaler().fit_transform(x)
    est = library.MLPClassifier((32,), max_iter=60, random_state=0).fit(x[::2], y[::2])
    assert est.score(x[1::2], y[1::2]) > 0.9
