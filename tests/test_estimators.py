"""The estimators: library, device and dtype follow X, whatever the labels and the rows are."""

import copy
import warnings

import array_api_compat
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier as SkClassifier
from sklearn.utils.fixes import parse_version
from small_fits import CLASSIFIED, KINDS, SHARED, N, estimator, features, fitted, targets

from xpnn import get_backend, to_numpy, use_device
from xpnn.estimators import _device

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


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
