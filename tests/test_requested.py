"""What scikit-learn's users asked its networks for, by the number of scikit-learn's issue."""

import math
import pickle
import warnings

import numpy as np
import pytest
from iris import RNG, T, X, Y, classifier, regressor
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_sample_weight

import xpnn
from xpnn import Activation, MLPClassifier, MLPRegressor, get_loss, get_optimizer, get_schedule
from xpnn.training import data as data_module

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def cube(z, xp):
    return z * z * z / (1.0 + z * z)


def cube_derivative(z, a, xp):
    return (3.0 * z * z + z * z * z * z) / (1.0 + z * z) ** 2


def quartic(output, target, weight, xp):
    """A user's own loss: the mean of the fourth powers."""
    r = output - target
    w = xp.ones_like(r[:, 0]) if weight is None else weight
    w = (w / xp.sum(w))[:, None]
    return xp.sum(w * r**4), 4.0 * w * r**3


# -- #6175 dropout -----------------------------------------------------------------------------


def test_dropout_6175():
    plain, dropped = classifier().fit(X, Y), classifier(dropout=0.3, input_dropout=0.1).fit(X, Y)
    assert plain.coefs_[0].shape == dropped.coefs_[0].shape
    assert not np.array_equal(plain.coefs_[0], dropped.coefs_[0])
    np.testing.assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))
    assert dropped.score(X, Y) > 0.9
    again = classifier(dropout=0.3, input_dropout=0.1).fit(X, Y)
    np.testing.assert_array_equal(again.coefs_[0], dropped.coefs_[0])


def test_dropout_needs_a_stochastic_solver():
    with pytest.raises(ValueError, match=r"dropout=0\.5 needs a stochastic solver"):
        classifier(dropout=0.5, solver="lbfgs").fit(X, Y)


# -- #9113 class weights -----------------------------------------------------------------------


@pytest.mark.parametrize("weight", ["balanced", {0: 1.0, 1: 5.0, 2: 0.5}])
def test_class_weight_9113(weight, target_any):
    t, rows = target_any, slice(20, 150)
    x, y = X[rows], Y[rows]
    sample = RNG.uniform(0.5, 2.0, len(x))
    both = compute_sample_weight(weight, y) * sample
    a = classifier(class_weight=weight, max_iter=5).fit(
        t.asarray(x), t.asarray(y), t.asarray(sample)
    )
    b = classifier(max_iter=5).fit(t.asarray(x), t.asarray(y), t.asarray(both))
    t.assert_close(a.coefs_[0], t.to_numpy(b.coefs_[0]))


def test_class_weight_of_string_labels_and_of_labels():
    names = np.array(["a", "b", "c"])[Y]
    a = classifier(class_weight={"a": 2.0, "b": 1.0, "c": 0.5}, max_iter=3).fit(X, names)
    b = classifier(class_weight={0: 2.0, 1: 1.0, 2: 0.5}, max_iter=3).fit(X, Y)
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    x, many = make_multilabel_classification(80, 5, n_classes=3, random_state=0)
    classifier(class_weight="balanced", max_iter=3).fit(x, many)


def test_class_weight_shifts_predictions():
    few, many = classifier(class_weight={0: 1, 1: 1e-3, 2: 1}), classifier()
    assert (few.fit(X, Y).predict(X) == 1).sum() < (many.fit(X, Y).predict(X) == 1).sum()


def test_balanced_partial_fit_is_refused():
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        classifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


# -- #14571, #29270, #8303 losses --------------------------------------------------------------

SKEWED = RNG.exponential(size=401)


@pytest.mark.parametrize(
    ("params", "best"),
    [
        ({"loss": "squared_error"}, np.mean(SKEWED)),
        ({"loss": "absolute_error"}, np.median(SKEWED)),
        ({"loss": "pinball", "quantile": 0.9}, np.quantile(SKEWED, 0.9)),
        ({"loss": get_loss("pinball", quantile=0.1)}, np.quantile(SKEWED, 0.1)),
        ({"loss": "huber", "delta": 100.0}, np.mean(SKEWED)),
        ({"loss": "huber", "delta": 1e-3}, np.median(SKEWED)),
        ({"loss": "poisson"}, np.mean(SKEWED)),
    ],
)
def test_each_loss_finds_its_own_constant(params, best):
    """Without features a network predicts the constant that minimizes its loss."""
    model = MLPRegressor(
        hidden_layer_sizes=(2,), learning_rate="cosine", learning_rate_init=0.05, max_iter=400,
        batch_size=401, n_iter_no_change=math.inf, alpha=0, random_state=0, **params,
    )  # fmt: skip
    if params["loss"] == "huber" and params["delta"] < 1:
        model.set_params(learning_rate_init=0.05)
    predicted = model.fit(np.zeros((401, 1)), SKEWED).predict(np.zeros((1, 1)))
    np.testing.assert_allclose(predicted, best, atol=0.02)


def test_prediction_intervals_8303():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (800, 1))
    y = x[:, 0] + (0.1 + np.abs(x[:, 0])) * rng.normal(size=800)
    low, high = (
        regressor(loss="pinball", quantile=q, max_iter=150).fit(x, y).predict(x)
        for q in (0.05, 0.95)
    )
    assert 0.85 < ((low <= y) & (y <= high)).mean() < 0.95
    width, edge = high - low, np.abs(x[:, 0]) > 0.8
    assert width[edge].mean() > 2 * width[np.abs(x[:, 0]) < 0.2].mean()


def test_log_cosh_and_huber_mind_outliers_less():
    y = T.copy()
    y[::15] += 50
    errors = {}
    for loss in ("squared_error", "huber", "log_cosh", "absolute_error"):
        model = regressor(loss=loss, max_iter=150).fit(X, y)
        errors[loss] = np.median(np.abs(model.predict(X) - T))
    assert max(errors["huber"], errors["log_cosh"], errors["absolute_error"]) < 0.3
    assert errors["squared_error"] > 1


def test_poisson_needs_counts(target_any):
    y = np.arange(150.0) - 1
    model = regressor(loss="poisson")
    with pytest.raises(ValueError, match="needs y of at least 0"):
        model.fit(target_any.asarray(X), target_any.asarray(y))
    assert not hasattr(model, "network_")


def test_own_loss_29270(target_any):
    t = target_any
    model = regressor(loss=quartic).fit(t.asarray(X), t.asarray(T))
    assert model.loss_ < 0.1 * model.loss_curve_[0]
    host = regressor(loss=quartic, dtype="float64").fit(X, T)
    t.assert_close(model.predict(t.asarray(X)), host.predict(X), rtol=t.weight_tol)
    assert clone(model).loss is quartic
    again = pickle.loads(pickle.dumps(model))
    t.assert_close(again.predict(t.asarray(X)), t.to_numpy(model.predict(t.asarray(X))))


# -- #10097, #26912, #30199 activations --------------------------------------------------------


def test_activation_per_layer_10097():
    model = classifier(hidden_layer_sizes=(8, 6), activation=["tanh", "leaky_relu"]).fit(X, Y)
    assert [d.activation.name for d in model.network_.layers] == ["tanh", "leaky_relu", "identity"]
    same = clone(model).set_params(activation=("tanh", "leaky_relu")).fit(X, Y)
    np.testing.assert_array_equal(model.coefs_[0], same.coefs_[0])
    w, b = model.coefs_, model.intercepts_
    h = np.tanh(X @ w[0] + b[0]) @ w[1] + b[1]
    expected = np.maximum(h, 0.01 * h) @ w[2] + b[2]
    np.testing.assert_allclose(model.decision_function(X), expected)
    with pytest.raises(ValueError, match="list of 2, but there are 1 hidden layers"):
        classifier(activation=["tanh", "relu"]).fit(X, Y)


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus"])
def test_more_activations_26912(name):
    assert classifier(activation=name).fit(X, Y).score(X, Y) > 0.9


@pytest.mark.parametrize(
    "own", [(cube, cube_derivative), Activation("cube", cube, cube_derivative)], ids=type
)
def test_own_activation_30199(own):
    model = classifier(activation=own).fit(X, Y)
    assert model.score(X, Y) > 0.9
    assert repr(clone(model).activation) == repr(own)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    grid = GridSearchCV(
        classifier(max_iter=5), {"activation": [own, "relu"]}, cv=2, error_score="raise"
    )
    assert grid.fit(X, Y).cv_results_["mean_test_score"].shape == (2,)


def test_own_activation_without_derivative():
    with pytest.raises(ValueError, match="activation 'cube' has no derivative"):
        classifier(activation=cube).fit(X, Y)


# -- #16169 solvers ----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adagrad", "rmsprop", "adamw"])
def test_more_solvers_16169(solver):
    model = classifier(solver=solver, learning_rate_init=0.02).fit(X, Y)
    assert model.score(X, Y) > 0.9
    assert model.partial_fit(X, Y).n_iter_ == 1


def test_weight_decay_and_solver_objects():
    strong, weak = (classifier(solver="adamw", weight_decay=d).fit(X, Y) for d in (5.0, 0.0))
    assert np.linalg.norm(strong.coefs_[0]) < 0.7 * np.linalg.norm(weak.coefs_[0])
    given = classifier(solver=get_optimizer("adamw", weight_decay=5.0)).fit(X, Y)
    np.testing.assert_array_equal(given.coefs_[0], strong.coefs_[0])


def test_clip_norm_max_norm_l1():
    clipped = regressor(solver="sgd", learning_rate_init=50.0, clip_norm=1e-3, max_iter=20)
    assert np.isfinite(clipped.fit(X, 1e3 * T).loss_)
    with pytest.raises(xpnn.DivergedError):
        regressor(solver="sgd", learning_rate_init=50.0, max_iter=20).fit(X, 1e3 * T)
    limited = classifier(max_norm=0.5).fit(X, Y)
    for w in limited.coefs_:
        assert (np.linalg.norm(w, axis=0) <= 0.5 + 1e-12).all()
    sparse, dense = (classifier(l1=c, max_iter=200).fit(X, Y) for c in (2.0, 0.0))
    assert (np.abs(sparse.coefs_[0]) < 1e-2).mean() > (np.abs(dense.coefs_[0]) < 1e-2).mean()


# -- regularization and schedules --------------------------------------------------------------


@pytest.mark.parametrize("y", [Y, Y > 0])
def test_label_smoothing(y):
    sure, unsure = (classifier(label_smoothing=s, max_iter=300).fit(X, y) for s in (0.0, 0.3))
    sure, unsure = (m.predict_proba(X).max(axis=1).mean() for m in (sure, unsure))
    assert unsure < 0.87 < sure
    with pytest.raises(ValueError, match="goes with loss='log_loss'"):
        classifier(loss="hinge", label_smoothing=0.1).fit(X, Y)


@pytest.mark.long_to_compile
@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalization(kind, target):
    t = target
    x, y = t.asarray(100 * X), t.asarray(Y)  # badly scaled on purpose
    params = {"normalization": kind, "hidden_layer_sizes": (8, 6), "max_iter": 5, "batch_size": 40}
    model = classifier(**params).fit(x, y)
    host = classifier(dtype="float64", **params).fit(100 * X, Y)
    assert [d.normalization for d in model.network_.layers] == [kind, kind, None]
    t.assert_close(model.coefs_[0], host.coefs_[0], rtol=t.weight_tol)
    t.assert_close(model.predict_proba(x), host.predict_proba(100 * X), rtol=t.weight_tol)
    state = t.to_numpy(model._state.buffers)
    assert len(state) == (28 if kind == "batch" else 0)


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalization_in_files_and_pickles(kind, tmp_path):
    model = classifier(normalization=kind, max_iter=60).fit(100 * X, Y)
    assert model.score(100 * X, Y) > 0.85
    xpnn.save(model, tmp_path / "model.safetensors")
    for again in (xpnn.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict_proba(100 * X), model.predict_proba(100 * X))
    one = model.predict_proba(100 * X[:1])  # a row's prediction needs no other row
    np.testing.assert_allclose(one, model.predict_proba(100 * X)[:1])


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalization_of_streamed_rows(kind, target_any, monkeypatch):
    about = {"normalization": kind, "max_iter": 3, "batch_size": 40}
    about |= {"device": target_any.backend.name, "dtype": target_any.dtype_name}
    moved = classifier(**about).fit(X, Y)
    monkeypatch.setattr(data_module, "_too_big", lambda x, backend: True)
    streamed = classifier(**about).fit(X, Y)
    tol = target_any.weight_tol
    np.testing.assert_allclose(streamed.coefs_[0], moved.coefs_[0], rtol=tol, atol=tol)
    np.testing.assert_allclose(streamed.predict_proba(X), moved.predict_proba(X), atol=tol)


def test_normalization_with_lbfgs():
    model = classifier(normalization="batch", solver="lbfgs", max_iter=60).fit(100 * X, Y)
    assert log_loss(Y, model.predict_proba(100 * X)) == pytest.approx(model.loss_, abs=0.05)


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "warmup", "step"])
def test_schedules(name):
    model = classifier(learning_rate=name).fit(X, Y)
    rates = model.history_["learning_rate"]
    assert len(set(rates)) > 1
    given = classifier(learning_rate=get_schedule(name)).fit(X, Y)
    assert given.history_["learning_rate"] == rates


def test_own_schedule():
    model = classifier(learning_rate=lambda base, progress: base / (1 + progress.step)).fit(X, Y)
    assert model.history_["learning_rate"][0] == 0.01


# -- decision_function, predict_log_proba ------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_decisions_and_probabilities(kind):
    y = {"binary": Y > 0, "multiclass": Y, "multilabel": np.column_stack([Y > 0, Y > 1])}[kind]
    model = classifier().fit(X, y)
    z, p = model.decision_function(X), model.predict_proba(X)
    if kind == "multiclass":
        expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    else:
        expected = 1 / (1 + np.exp(-z))
        expected = np.column_stack([1 - expected, expected]) if kind == "binary" else expected
    np.testing.assert_allclose(p, expected, rtol=1e-9)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(p), rtol=1e-9, atol=1e-12)
    model.coefs_ = [w * 100 for w in model.coefs_]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(model.predict_log_proba(X)).all()  # exact where log(0) would be


def test_hinge_has_margins_alone():
    model = classifier(loss="hinge", max_iter=100).fit(X, Y)
    assert model.score(X, Y) > 0.9
    assert not hasattr(model, "predict_proba")
    assert model.decision_function(X).shape == (150, 3)


# -- defaults ----------------------------------------------------------------------------------


def test_new_parameters_change_nothing_unless_set():
    x, y = load_digits(return_X_y=True)
    plain = MLPClassifier((8,), max_iter=3, random_state=0).fit(x, y)
    off = {"class_weight": None, "label_smoothing": 0.0, "dropout": 0.0, "input_dropout": 0.0}
    off |= {"normalization": None, "l1": 0.0, "clip_norm": None, "max_norm": None}
    off |= {"monitor": "auto", "callbacks": None, "weight_decay": 0.5}
    same = MLPClassifier((8,), max_iter=3, random_state=0, **off).fit(x, y)
    np.testing.assert_array_equal(plain.coefs_[0], same.coefs_[0])
