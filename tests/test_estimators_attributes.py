"""What an estimator learns and shows is what scikit-learn's does, and nothing of it is shared."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as SkClassifier
from sklearn.neural_network import MLPRegressor as SkRegressor
from small_fits import CLASSIFIED, KINDS, N_IN, N, cubed_error, estimator, features, targets

from xpnn import Activation, MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# -- against scikit-learn ----------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_learns_what_scikit_learn_learns(kind, weighted):
    """From the same weights, in the same order of rows: the same weights, loss and predictions."""
    options = {
        "hidden_layer_sizes": (6, 5), "activation": "tanh", "solver": "sgd", "momentum": 0.0,
        "alpha": 0.3, "shuffle": False, "batch_size": 20, "learning_rate_init": 0.1,
    }  # fmt: skip
    x, y = features(), targets(kind)
    first = {} if kind not in CLASSIFIED else {"classes": np.unique(y)}
    if kind == "multilabel":
        first = {"classes": [0, 1, 2]}
    w = np.random.default_rng(3).uniform(0.5, 2, N) if weighted else None
    theirs = (SkClassifier if kind in CLASSIFIED else SkRegressor)(**options, random_state=0)
    ours = (MLPClassifier if kind in CLASSIFIED else MLPRegressor)(**options, random_state=0)
    ours.partial_fit(x, y, **first)
    theirs.partial_fit(x, y, **first)
    ours.coefs_, ours.intercepts_ = theirs.coefs_, theirs.intercepts_
    for _ in range(3):
        ours.partial_fit(x, y, sample_weight=w)
        theirs.partial_fit(x, y, sample_weight=w)
        if kind != "multi-output":  # its loss is a mean over outputs, its gradient a sum
            assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-12)
    for a, b in zip(
        [*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-10)
    assert ours.predict(x).dtype == theirs.predict(x).dtype
    assert ours.score(x, y, w) == pytest.approx(theirs.score(x, y, w), rel=1e-10)
    for name in ("n_layers_", "n_outputs_", "out_activation_", "t_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    if kind in CLASSIFIED:
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-9)
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)


def test_parameters_and_attributes_are_scikit_learns():
    for ours, theirs in ((MLPClassifier, SkClassifier), (MLPRegressor, SkRegressor)):
        own = ours().get_params()
        for name, default in theirs().get_params().items():
            assert name in own
            assert own[name] == default
        model = ours(early_stopping=True, max_iter=2).fit(features(), targets("binary"))
        other = theirs(early_stopping=True, max_iter=2).fit(features(), targets("binary"))
        for name in vars(other):
            if name.endswith("_") and not name.startswith("_"):
                assert hasattr(model, name), name
        assert model.best_loss_ is None
        assert len(model.validation_scores_) == model.n_iter_ == 2


def test_clone_and_set_params():
    model = estimator(activation=Activation("own", swish, swish_slope), callbacks=[print])
    twin = clone(model)
    assert twin.get_params()["activation"] == model.activation
    assert not hasattr(twin, "coefs_")
    assert twin.set_params(dropout=0.5).dropout == 0.5


def swish(z, xp):
    return z / (1 + xp.exp(-z))


def swish_slope(z, a, xp):
    s = 1 / (1 + xp.exp(-z))
    return s + a * (1 - s)


@pytest.mark.slow
def test_grid_search_over_ones_own_activation_in_processes():
    search = GridSearchCV(
        estimator("binary", activation=(swish, swish_slope)),
        {"alpha": [0.0, 0.1], "activation": [(swish, swish_slope), "silu"]},
        cv=2, n_jobs=2, error_score="raise",
    ).fit(features(), targets("binary"))  # fmt: skip
    scores = search.cv_results_["mean_test_score"]
    assert search.best_score_ == max(scores)
    assert len(scores) == 4
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(features()), search.predict(features()))


def test_ones_own_functions_on_every_target(target_any):
    t = target_any
    x, y = t.asarray(features()), t.asarray(targets("regression"))
    own = estimator("regression", activation=(swish, swish_slope)).fit(x, y)
    built_in = estimator("regression", activation="silu").fit(x, y)
    t.assert_close(own.predict(x), t.to_numpy(built_in.predict(x)), rtol=t.weight_tol)
    model = estimator("regression", loss=cubed_error, max_iter=30).fit(x, y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]


# -- nothing is shared -------------------------------------------------------------------------


@pytest.mark.long_to_compile
@pytest.mark.parametrize("early_stopping", [False, True])
def test_copies_never_see_each_others_writes(target, early_stopping):
    """A held coefs_, copy.copy, a deep copy and a pickle; then partial_fit of any of them."""
    t = target
    x, y = t.asarray(features()), t.asarray(targets("multiclass"))
    model = estimator(solver="adam", early_stopping=early_stopping).fit(x, y)
    model.set_params(early_stopping=False)
    held = list(model.coefs_)
    twins = [copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    everyone = [model, *twins]
    before = t.to_numpy(model.predict_proba(x)).copy()
    held_before = [t.to_numpy(a).copy() for a in held]
    curve = list(model.loss_curve_)
    for i, one in enumerate(everyone):
        one.partial_fit(x, y)
        for other in everyone[i + 1 :]:
            np.testing.assert_array_equal(t.to_numpy(other.predict_proba(x)), before)
            assert other.loss_curve_ == curve
        assert not np.array_equal(t.to_numpy(one.predict_proba(x)), before)
        assert one.loss_curve_[:-1] == curve
    after = [t.to_numpy(one.predict_proba(x)) for one in everyone]
    for a in after[1:]:
        np.testing.assert_array_equal(a, after[0])  # each went the same way
    for a, b in zip(held, held_before, strict=True):
        np.testing.assert_array_equal(t.to_numpy(a), b)


@pytest.mark.targets("numpy", "numpy:readonly")
def test_arrays_given_are_never_written(target):
    arrays = [features(), targets("regression").astype(float), np.linspace(1, 2, N)]
    for a in arrays:
        a.flags.writeable = False
    model = estimator("regression", dropout=0.3).fit(*arrays)
    model.partial_fit(*arrays).predict(arrays[0])
    assert not model.coefs_[0].flags.writeable  # a write would be lost


def test_coefs_are_assignable(target):
    t = target
    x, y = t.asarray(features()), t.asarray(targets("multi-output"))
    model = estimator("multi-output", hidden_layer_sizes=()).fit(x, y)
    w = np.random.default_rng(0).normal(size=(N_IN, 3)).astype(np.float32)
    b = np.array([1.0, -2.0, 0.5], dtype=np.float32)
    expected = features() @ w.astype(float)
    model.coefs_, model.intercepts_ = [t.asarray(w)], [np.zeros(3)]  # from any library
    t.assert_close(model.predict(x), expected)
    model.intercepts_[0] = t.asarray(b)
    t.assert_close(model.predict(x), expected + b)
    held = model.coefs_
    held[0] = t.asarray(2 * w)
    t.assert_close(model.predict(x), 2 * expected + b)
    t.assert_close(held[0], 2 * w)
    with pytest.raises(ValueError, match=r"coefs_ must have the shapes \[\(4, 3\)\], got"):
        model.coefs_ = [w.T]
    with pytest.raises(ValueError, match="shapes"):
        model.coefs_[0] = w[:2]
    t.assert_close(model.predict(x), 2 * expected + b)
    with pytest.raises(AttributeError, match="before fit"):
        _ = estimator().coefs_


def test_coefs_take_finite_real_numbers():
    model = estimator("regression").fit(features(), targets("regression"))
    expected = model.predict(features())
    w = model.coefs_[0]
    for bad, match in (
        (w * np.nan, "finite"),
        (w + 1e300 * 1e300, "finite"),
        (w * 1j, "real"),
        (w.astype(str), "real"),
    ):
        with pytest.raises(ValueError, match=f"coefs_ must .*{match}"):
            model.coefs_[0] = bad
    np.testing.assert_array_equal(model.predict(features()), expected)


def test_history_has_an_entry_for_each_epoch():
    x, y = features(), targets("regression")
    model = estimator("regression").partial_fit(x, y)
    model.partial_fit(x, y, validation_data=(x, y)).partial_fit(x, y)
    assert {len(curve) for curve in model.history_.values()} == {3}
    assert list(np.isnan(model.validation_loss_curve_)) == [True, False, True]


def test_history_is_the_users_own():
    model = estimator("regression").fit(features(), targets("regression"))
    length = len(model.loss_curve_)
    model.history_["loss"].append(7.0)
    model.partial_fit(features(), targets("regression"))
    assert len(model.loss_curve_) == length + 1
    assert 7.0 not in model.loss_curve_


def test_weights_before_fit_are_refused_with_the_cure():
    model = MLPRegressor(hidden_layer_sizes=(4,))
    with pytest.raises(AttributeError, match=r"initialize\(X, y\) makes weights.*from_sklearn"):
        model.coefs_ = [np.ones((3, 4)), np.ones((4, 1))]
    model.initialize(np.zeros((2, 3)), np.zeros(2))
    model.coefs_ = [np.ones((3, 4)), np.ones((4, 1))]
    assert model.predict(np.ones((1, 3))).tolist() == [12.0]


def test_out_activation_cannot_be_changed():
    x, y = np.eye(3), np.arange(3)
    model = MLPClassifier((4,), max_iter=1)
    assert not hasattr(model, "out_activation_")
    model.out_activation_ = "tanh"  # scikit-learn's fit sets it, too
    model.fit(x, y)
    model.out_activation_ = "softmax"
    with pytest.raises(AttributeError, match=r"is 'softmax'.*cannot be 'identity'.*decision_fun"):
        model.out_activation_ = "identity"
    assert pickle.loads(pickle.dumps(model)).out_activation_ == "softmax"
