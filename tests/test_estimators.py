"""The estimators: everything follows X, scikit-learn's interface holds, nothing is shared."""

import copy
import os
import pickle
import signal
import warnings

import array_api_compat
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as SkClassifier
from sklearn.neural_network import MLPRegressor as SkRegressor
from sklearn.utils.fixes import parse_version

from xpnn import (
    Activation,
    DivergedError,
    MLPClassifier,
    MLPRegressor,
    get_backend,
    to_numpy,
    use_device,
)
from xpnn.estimators import _device

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

N, N_IN = 48, 4
SHARED = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 5, "batch_size": 16}
SHARED |= {"learning_rate_init": 0.02}


def features(seed=0):
    return np.random.default_rng(seed).normal(size=(N, N_IN)).astype(np.float32).astype(float)


def targets(kind):
    z = features() @ np.random.default_rng(1).normal(size=(N_IN, 3))
    return {
        "binary": (z[:, 0] > 0).astype(int),
        "multiclass": z.argmax(axis=1) * 3 + 2,
        "multilabel": (z > 0).astype(int),
        "regression": z[:, 0].astype(np.float32),
        "multi-output": z.astype(np.float32),
    }[kind]


CLASSIFIED = ["binary", "multiclass", "multilabel"]
KINDS = [*CLASSIFIED, "regression", "multi-output"]


def estimator(kind="multiclass", **options):
    cls = MLPClassifier if kind in CLASSIFIED else MLPRegressor
    return cls(**SHARED | options)


def fitted(kind="multiclass", **options):
    return estimator(kind, **options).fit(features(), targets(kind))


def assert_in(backend, *arrays):
    for a in arrays:
        assert array_api_compat.array_namespace(a) is backend.xp
        assert array_api_compat.device(a) == backend.device


# -- everything follows X ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_everything_follows_x(target, kind):
    x, y = target.asarray(features()), target.asarray(targets(kind))
    weight = np.random.default_rng(2).integers(0, 4, N).astype(float)
    model = estimator(kind, dropout=0.2, input_dropout=0.1).fit(x, y, target.asarray(weight))
    predicted = model.predict(x)
    assert predicted.shape == y.shape
    assert_in(target.backend, predicted)
    for a in [*model.coefs_, *model.intercepts_]:
        target.assert_here(a)
    host = target.to_numpy(predicted)
    reference = estimator(kind, dropout=0.2, input_dropout=0.1, dtype="float64").fit(
        features(), targets(kind), weight
    )
    for w, expected in zip(model.coefs_, reference.coefs_, strict=True):
        target.assert_close(w, expected, rtol=target.weight_tol)
    sk_score = accuracy_score if kind in CLASSIFIED else r2_score
    for w in (None, weight):
        score = model.score(x, y, None if w is None else target.asarray(w))
        assert type(score) is float
        truth = targets(kind).astype(float)
        expected = sk_score(truth, host.astype(float), sample_weight=w)
        exact = "float64" in target.backend.dtypes and kind in CLASSIFIED
        assert score == (expected if exact else pytest.approx(expected, rel=target.loss_tol))
    if kind in CLASSIFIED:
        assert_in(target.backend, model.classes_)
        p, log_p = model.predict_proba(x), model.predict_log_proba(x)
        target.assert_here(p)
        target.assert_close(log_p, np.log(target.to_numpy(p).astype(float)))
        np.testing.assert_array_equal(host, reference.predict(features()))
    else:
        target.assert_close(predicted, reference.predict(features()), rtol=target.weight_tol)


def test_scikit_learns_dispatch_stays_off(target_any):
    assert sklearn.get_config()["array_api_dispatch"] is False
    x, y = target_any.asarray(features()), target_any.asarray(targets("binary"))
    model = estimator("binary", early_stopping=True, max_iter=2).fit(x, y)
    assert 0 <= model.best_validation_score_ <= 1


@pytest.mark.parametrize("kind", ["multiclass", "multi-output"])
@pytest.mark.parametrize("work", ["numpy", "array_api_strict:device2", "torch:cpu"])
def test_work_elsewhere_comes_back_to_x(target_any, kind, work, request):
    if work.startswith("torch"):
        request.getfixturevalue("torch")
    t = target_any
    x, y = t.asarray(features()), t.asarray(targets(kind))
    model = estimator(kind, device=work).fit(x, y)
    assert model._backend is get_backend(work)
    assert_in(get_backend(work), model._state.theta)
    assert_in(t.backend, model.predict(x), *model.coefs_, *model.intercepts_)
    if kind == "multiclass":
        assert_in(t.backend, model.classes_, model.predict_proba(x))
    expected = fitted(kind, dtype="float64").predict(features())
    np.testing.assert_allclose(
        t.to_numpy(model.predict(x)), expected, atol=t.weight_tol * np.abs(expected).max()
    )
    assert_in(get_backend("numpy"), model.predict(features()))  # X from anywhere, then
    assert type(model.score(features(), targets(kind))) is float


def test_y_and_weights_may_be_elsewhere(target_any):
    t = target_any
    other = get_backend("array_api_strict:device2")
    weight = np.linspace(0.5, 1.5, N)
    for kind in ("multiclass", "regression"):
        y = targets(kind)
        mixed = estimator(kind).fit(t.asarray(features()), other.asarray(y), other.asarray(weight))
        same = estimator(kind).fit(t.asarray(features()), t.asarray(y), t.asarray(weight))
        for a, b in zip(mixed.coefs_, same.coefs_, strict=True):
            np.testing.assert_array_equal(t.to_numpy(a), t.to_numpy(b))
        assert_in(t.backend, mixed.predict(t.asarray(features())))
        if kind == "multiclass":
            assert_in(t.backend, mixed.classes_)
        assert type(mixed.score(t.asarray(features()), other.asarray(y))) is float


def test_device_of_the_context_does_not_move_x():
    with use_device("array_api_strict:device1"):
        assert isinstance(fitted().predict(features()), np.ndarray)


@pytest.mark.parametrize("labels", [np.array(["no", "yes", "so"]), np.array([1.5, 2, 3]) > 2])
def test_labels_of_any_kind(target_any, labels):
    """Strings stay on the host; numbers and truth values come back to X."""
    t, codes = target_any, targets("multiclass") // 3
    y = labels[codes]
    x = t.asarray(features())
    model = estimator().fit(x, y)
    predicted = model.predict(x)
    if labels.dtype.kind == "U":
        assert isinstance(predicted, np.ndarray)
        assert model.classes_.tolist() == sorted(labels)
        assert set(predicted) <= set(labels)
    else:
        assert_in(t.backend, predicted, model.classes_)
    plain = estimator().fit(x, np.searchsorted(np.unique(labels), y))
    codes = t.to_numpy(plain.predict(x))
    np.testing.assert_array_equal(
        predicted if labels.dtype.kind == "U" else t.to_numpy(predicted), np.unique(labels)[codes]
    )
    assert 0 <= model.score(x, y) <= 1


@pytest.mark.parametrize("label", [7, "only"])
def test_one_class_has_one_column(target_any, label):
    """scikit-learn gives two columns for the one class; a column each sums to 1 here too."""
    t, y = target_any, np.full(N, label)
    x = t.asarray(features())
    assert SkClassifier(**SHARED).fit(features(), y).predict_proba(features()).shape == (N, 2)
    for model in (estimator().fit(x, y), estimator().partial_fit(x, y, classes=[label])):
        assert set(to_numpy(model.predict(x)).tolist()) == {label}
        for predict, value in ((model.predict_proba, 1.0), (model.predict_log_proba, 0.0)):
            t.assert_close(predict(x), np.full((N, 1), value))
        assert model.decision_function(x).shape == (N,)
    for classes in (2, 3):  # those that come later have theirs
        model = estimator().partial_fit(x, np.zeros(N, int), classes=range(classes))
        assert model.predict_proba(x).shape == (N, classes)


def test_labels_hold_arrays_and_are_compared_by_identity():
    labels = fitted()._labels
    other = copy.copy(labels)
    assert labels != other
    assert len({labels, other}) == 2


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_data_frames(kind):
    names = ["a", "b", "c", "d"]
    expected = fitted(kind).predict(features())
    frames = [pd.DataFrame(features(), columns=names)]
    columns = [pd.Series(targets(kind))]
    try:
        import polars
    except ImportError:
        pass
    else:
        new = parse_version(sklearn.__version__) >= parse_version("1.9")
        if new or hasattr(polars.DataFrame, "__dataframe__"):  # else it cannot read the names
            frames.append(polars.DataFrame(features(), schema=names))
            columns.append(polars.Series(targets(kind)))
    for frame, column in zip(frames, columns, strict=True):
        model = estimator(kind).fit(frame, column)
        assert model.feature_names_in_.tolist() == names
        np.testing.assert_array_equal(model.predict(frame), expected)
        with pytest.raises(ValueError, match="feature names"):
            model.predict(frame[["b", "a", "c", "d"]])
    weight = pd.Series(np.arange(1.0, N + 1))
    a = estimator(kind).fit(frames[0], columns[0], weight)
    b = estimator(kind).fit(features(), targets(kind), weight.to_numpy())
    np.testing.assert_array_equal(a.predict(frames[0]), b.predict(features()))


# -- dtypes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        ("float64", "float64"),
        ("float32", "float32"),
        ("float16", "float32"),
        ("int64", "float64"),
        ("uint8", "float64"),
        ("bool", "float64"),
        ("object", "float64"),
    ],
)
def test_dtype_follows_x(given, computed):
    x = np.abs(features() * 10).astype(given)
    for kind in ("multiclass", "multi-output", "regression"):
        for y in (targets(kind), (targets(kind) * 10).astype(int)):
            model = estimator(kind).fit(x, y)
            assert model.coefs_[0].dtype == computed
            out = model.predict(x) if kind != "multiclass" else model.predict_proba(x)
            assert out.dtype == computed
            wide = estimator(kind, dtype="float64").fit(x, y)
            assert wide.coefs_[0].dtype == np.float64


def test_dtype_follows_x_elsewhere(target):
    t = target
    cases = {"float32": "float32", "int32": "float64", "bool": "float64"}
    if "float64" not in t.backend.dtypes:
        cases |= {"int32": "float32", "bool": "float32"}
    for given, computed in cases.items():
        x = t.asarray(features() * 10, dtype=given)
        model = estimator("regression").fit(x, t.asarray(targets("regression")))
        assert model.coefs_[0].dtype == getattr(t.xp, computed)
        assert model.predict(x).dtype == getattr(t.xp, computed)


def test_device_without_float64_warns_once(monkeypatch):
    monkeypatch.setattr(_device, "_WARNED", set())
    x, y = features(), targets("regression")
    model = estimator("regression", device="array_api_strict:no_float64")
    with pytest.warns(UserWarning, match="no_float64 has no float64: computing in float32"):
        model.fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
        estimator("regression", device="array_api_strict:no_float64").fit(x.astype("f4"), y)
    assert model.predict(x).dtype == np.float32
    assert model.coefs_[0].dtype == np.float32


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


def cubed_error(output, target, weight, xp):
    r = output - target
    return xp.sum(xp.abs(r) ** 3) / r.shape[0], 3 * r * xp.abs(r) / r.shape[0]


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


# -- going on ----------------------------------------------------------------------------------


def test_warm_start_goes_on():
    x, y = features(), targets("regression")
    whole = estimator("regression", solver="sgd", momentum=0.0, max_iter=6).fit(x, y)
    model = estimator("regression", solver="sgd", momentum=0.0, max_iter=3, warm_start=True)
    model.fit(x, y).fit(x, y)
    for a, b in zip(whole.coefs_, model.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.loss_curve_ == whole.loss_curve_
    assert (model.n_iter_, whole.n_iter_) == (3, 6)
    model.set_params(warm_start=False).fit(x, y)
    assert model.loss_curve_ == whole.loss_curve_[:3]


def test_warm_start_takes_over_changed_parameters():
    x, y = features(), targets("multiclass")
    model = estimator("multiclass", warm_start=True).fit(x, y)
    before = model.coefs_
    model.set_params(dropout=0.5, activation="tanh", loss="hinge", max_iter=1).fit(x, y)
    layer = model.network_.layers[0]
    assert (layer.dropout, layer.activation.name) == (0.5, "tanh")
    assert model.out_activation_ == "identity"
    assert np.abs(model.coefs_[0] - before[0]).max() < 0.1  # it went on
    model.set_params(dtype="float32").fit(x, y)
    assert {a.dtype.name for a in [*model.coefs_, model.decision_function(x)]} == {"float32"}


@pytest.mark.parametrize("changed", [{"hidden_layer_sizes": (7,)}, {"normalization": "batch"}])
def test_warm_start_cannot_change_the_weights_there_are(changed):
    x, y = features(), targets("multiclass")
    model = estimator("multiclass", warm_start=True).fit(x, y)
    expected = model.predict_proba(x)
    for action in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="has changed: the network has parameters of shapes"):
            model.set_params(**changed) and action(x, y)
    np.testing.assert_array_equal(model.predict_proba(x), expected)
    model.set_params(warm_start=False).fit(x, y)


def test_warm_start_moves_to_a_device_with_float32_alone():
    pytest.importorskip("array_api_strict")
    x, y = features(), targets("regression")
    model = estimator("regression", warm_start=True).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(device="array_api_strict:no_float64").fit(x, y)
    assert model.coefs_[0].dtype == np.float32


def test_assigned_coefs_have_no_score_yet():
    x, y = features(), targets("binary")
    model = estimator("binary", early_stopping=True, warm_start=True, max_iter=4).fit(x, y)
    model.coefs_ = [0 * w for w in model.coefs_]
    model.fit(x, y)
    assert np.abs(model.coefs_[0]).max() > 0  # not taken for the best, which were others


def test_warm_start_under_early_stopping_keeps_the_best(target_any):
    t = target_any
    x, y = t.asarray(features()), t.asarray(targets("binary"))
    model = estimator("binary", early_stopping=True, warm_start=True, max_iter=8).fit(x, y)
    best = model.best_validation_score_
    model.set_params(learning_rate_init=50.0).fit(x, y)  # spoils it
    assert model.best_validation_score_ >= best
    assert len(model.validation_scores_) == len(model.loss_curve_)


def test_partial_fit_is_an_epoch_at_a_time():
    for kind in KINDS:
        x, y = features(), targets(kind)
        model, classes = estimator(kind), None
        if kind in ("binary", "multiclass"):
            classes = {"classes": np.unique(y)}
        for _ in range(3):
            model.partial_fit(x, y, **(classes or {}))
        whole = estimator(kind, max_iter=3).fit(x, y)
        for a, b in zip(model.coefs_, whole.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
        assert model.loss_curve_ == whole.loss_curve_
        assert model.t_ == 3 * N


def test_partial_fit_with_classes_that_come_later():
    x, y = features(), targets("multiclass")
    model = estimator().partial_fit(x[y == 2], y[y == 2], classes=[8, 2, 5])
    assert model.classes_.tolist() == [2, 5, 8]
    assert model.predict_proba(x).shape == (N, 3)
    model.partial_fit(x, y, classes=[2, 5, 8])
    assert set(model.predict(x)) <= {2, 5, 8}


# -- validation --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_validation_data(target_any, kind):
    t = target_any
    x, y = t.asarray(features()), t.asarray(targets(kind))
    held = t.asarray(features(9)[:20]), t.asarray(targets(kind)[:20])
    weight = t.asarray(np.linspace(1, 2, 20))
    model = estimator(kind).fit(x, y, validation_data=(*held, weight))
    plain = estimator(kind).fit(x, y)
    for a, b in zip(model.coefs_, plain.coefs_, strict=True):
        np.testing.assert_array_equal(t.to_numpy(a), t.to_numpy(b))  # it only looks
    assert len(model.history_["val_score"]) == model.n_iter_
    last = model.score(*held, weight)
    assert model.history_["val_score"][-1] == pytest.approx(last, rel=t.loss_tol)


def test_early_stopping_holds_rows_out():
    model = estimator("binary", early_stopping=True, validation_fraction=0.25, max_iter=30)
    model.fit(features(), targets("binary"))
    assert model.t_ == 36 * model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_)
    given = estimator("binary", early_stopping=True, max_iter=30).fit(
        features(), targets("binary"), validation_data=(features(), targets("binary"))
    )
    assert given.t_ == N * given.n_iter_
    assert given.score(features(), targets("binary")) == given.best_validation_score_


def test_convergence_warning_is_scikit_learns():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(4\) reached"):
        fitted()


def test_verbose_prints_what_scikit_learn_prints(capsys):
    model = estimator("binary", early_stopping=True, verbose=True, max_iter=2)
    model.fit(features(), targets("binary"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"Iteration 1, loss = {model.loss_curve_[0]:.8f}",
        f"Validation score: {model.validation_scores_[0]:f}",
    ]


# -- sparse ------------------------------------------------------------------------------------


@pytest.mark.sampled(3)
@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array, sp.coo_array])
@pytest.mark.parametrize("device", [None, "torch:cpu", "array_api_strict:device1"])
def test_sparse_rows_learn_what_dense_ones_do(make, device, monkeypatch, request):
    if device == "torch:cpu":
        request.getfixturevalue("torch")
    sizes = []
    for cls in (sp.csr_matrix, sp.csr_array):
        original = cls.toarray
        monkeypatch.setattr(
            cls, "toarray", lambda self, *a, f=original: (sizes.append(self.shape[0]), f(self))[1]
        )
    x = features() * (features() > 0)
    for kind in ("multiclass", "regression"):
        options = {"device": device, "dropout": 0.2, "input_dropout": 0.3}
        y = targets(kind)
        dense = estimator(kind, **options).fit(x, y)
        sparse = estimator(kind, **options).fit(make(x), y)
        for a, b in zip(dense.coefs_, sparse.coefs_, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        training = list(sizes)
        np.testing.assert_allclose(sparse.predict(make(x)), dense.predict(x), rtol=1e-9)
        assert sparse.score(make(x), y) == pytest.approx(dense.score(x, y))
        # never more than a batch at once
        assert max(training, default=0) <= (0 if device is None else SHARED["batch_size"])
        sizes.clear()
        stopped = estimator(kind, early_stopping=True, **options).fit(make(x), y)
        assert len(stopped.validation_scores_) == 4
        sizes.clear()


# -- interruptions -----------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 2])
def test_ctrl_c_keeps_the_weights_so_far(epoch):
    """Also in the first epoch, when there is no loss yet."""
    calls = []

    def loss(output, target, weight, xp):
        calls.append(1)
        if len(calls) == 3 * epoch + 2:
            os.kill(os.getpid(), signal.SIGINT)
        return cubed_error(output, target, weight, xp)

    model = estimator("regression", loss=loss, max_iter=9)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(features(), targets("regression"))
    assert model.n_iter_ == len(model.loss_curve_) == epoch
    assert len(calls) == 3 * epoch + 2
    fresh = estimator("regression", loss=cubed_error, max_iter=1, learning_rate_init=1e-12)
    start = fresh.fit(features(), targets("regression")).coefs_[0]
    assert not np.allclose(model.coefs_[0], start)
    assert model.predict(features()).shape == (N,)
    model.set_params(loss=cubed_error).partial_fit(features(), targets("regression"))
    assert len(model.loss_curve_) == epoch + 1


def test_divergence_keeps_the_last_good_epoch():
    x, y = features(), targets("regression")
    count = []

    def loss(output, target, weight, xp):
        count.append(1)
        value, gradient = cubed_error(output, target, weight, xp)
        return value, gradient * (np.nan if len(count) == 8 else 1.0)  # in the third epoch

    model = estimator("regression", loss=loss, max_iter=9)
    with pytest.raises(DivergedError, match=r"^Solver produced non-finite parameter weights") as e:
        model.fit(x, y)
    assert e.value.epoch == 3
    good = estimator("regression", loss=cubed_error, max_iter=2).fit(x, y)
    np.testing.assert_array_equal(model.predict(x), good.predict(x))


def test_divergence_under_early_stopping_warns_and_restores():
    count = []

    def loss(output, target, weight, xp):
        count.append(output.shape[0])
        value, gradient = cubed_error(output, target, weight, xp)
        return value, gradient * (np.nan if count.count(11) == 2 else 1.0)

    model = estimator("regression", loss=loss, max_iter=9, early_stopping=True)
    with pytest.warns(UserWarning, match="Solver produced non-finite parameter weights"):
        model.fit(features(), targets("regression"))
    assert np.isfinite(model.predict(features())).all()
    assert np.isnan(model.validation_scores_[-1])
    assert np.isfinite(model.validation_scores_[:-1]).all()
    assert len(model.validation_scores_) == 2


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64", "uint64"])
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_whole_numbers_are_the_labels_that_scikit_learn_finds(dtype, classes):
    from sklearn.utils.multiclass import type_of_target, unique_labels

    from xpnn.estimators._labels import Labels

    y = (np.arange(20) % classes * 3 % 7).astype(dtype)
    labels, expected = Labels.of(y), unique_labels(y)
    np.testing.assert_array_equal(labels.classes, expected)
    assert labels.classes.dtype == expected.dtype
    assert labels.kind == type_of_target(y)
    codes = labels.encode(y)
    assert codes.dtype == np.int64
    np.testing.assert_array_equal(labels.classes[codes], y)
    if dtype != "bool":
        for unknown in (0, 50, 100):
            with pytest.raises(ValueError, match="classes not in"):
                Labels.of(y + 1).encode(np.where(y == y[0], unknown, y + 1).astype(dtype))
    with pytest.warns(UserWarning, match="more than 50%|greater than 50%"):
        Labels.of(np.arange(30))
