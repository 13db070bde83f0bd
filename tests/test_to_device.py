"""Fit here, predict there: moves, pickles, and what is said when arrays are elsewhere."""

import copy
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from targets import TABLE

import xpnn
from xpnn import DeviceError, MLPClassifier, MLPRegressor, Perceptron
from xpnn.estimators import _device

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
ELSEWHERE = [name for name in TABLE if not name.startswith("numpy")]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 1)
T = X[:, 0] * X[:, 1]
ABOUT = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0, "normalization": "batch"}


def arrays_of(model):
    return [*model.coefs_, *model.intercepts_]


def test_there_and_back(target):
    t = target
    dtype = t.dtype_name
    model = MLPClassifier(**ABOUT).fit(X.astype(dtype), Y)
    expected = model.predict_proba(X.astype(dtype))
    assert model.to_device(t.backend.name) is model
    for a in arrays_of(model):
        t.assert_here(a)
    t.assert_close(model.predict_proba(t.asarray(X)), expected)
    np.testing.assert_array_equal(t.to_numpy(model.predict(t.asarray(X))), expected.argmax(axis=1))
    assert xpnn.backend_of(model.classes_) is t.backend
    model.partial_fit(t.asarray(X), t.asarray(Y))  # it trains there too
    there = t.to_numpy(model.predict_proba(t.asarray(X)))
    xpnn.to_device(model, "numpy")
    assert all(isinstance(a, np.ndarray) for a in [*arrays_of(model), model.classes_])
    np.testing.assert_allclose(model.predict_proba(X.astype(dtype)), there, rtol=10 * t.tol)


def test_training_goes_on_where_it_stood(target_any):
    t = target_any
    here, there = (
        MLPRegressor(**ABOUT, dtype=t.dtype_name, dropout=0.2).partial_fit(X, T) for _ in range(2)
    )
    there.to_device(t.backend)
    x, y = t.asarray(X), t.asarray(T)
    for _ in range(3):
        here.partial_fit(X, T)
        there.partial_fit(x, y)
    there.to_device("numpy")
    for a, b in zip(arrays_of(here), arrays_of(there), strict=True):
        np.testing.assert_allclose(a, b, rtol=t.weight_tol, atol=t.weight_tol)
    assert there.history_["learning_rate"] == here.history_["learning_rate"]


def test_moving_changes_no_copy():
    model = MLPRegressor(**ABOUT).fit(X, T)
    twin = copy.copy(model)
    model.to_device("array_api_strict:device1")
    assert isinstance(twin.coefs_[0], np.ndarray)
    twin.predict(X)


@pytest.mark.targets(*ELSEWHERE)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "score"])
def test_arrays_of_another_device_26083(target_any, method):
    t = target_any
    model = MLPClassifier(**ABOUT).fit(X, Y)
    arguments = (t.asarray(X), t.asarray(Y))[: 2 if method == "score" else 1]
    with pytest.raises(ValueError, match="must use the same namespace") as error:
        getattr(model, method)(*arguments)
    words = str(error.value)
    assert f"MLPClassifier.{method}()" in words
    assert f"X is on {t.backend.name}" in words
    assert "was fitted on numpy" in words
    assert f"estimator.to_device({t.backend.name!r})" in words
    getattr(model.to_device(t.backend.name), method)(*arguments)  # the cure works


def test_device_parameter_takes_x_from_anywhere(target_any):
    t = target_any
    model = MLPClassifier(**ABOUT, device=t.backend.name, dtype=t.dtype_name).fit(X, Y)
    assert isinstance(model.predict(X), np.ndarray)
    t.assert_here(model.predict_proba(t.asarray(X)))
    moved = model.to_device("numpy")
    assert moved.device in (None, "numpy")
    assert moved._backend.name == "numpy"


def test_unknown_device_changes_nothing():
    model = MLPRegressor(**ABOUT).fit(X, T)
    with pytest.raises(DeviceError, match="unknown device 'cuppy:0'"):
        model.to_device("cuppy:0")
    model.predict(X)
    with pytest.raises(NotFittedError):
        MLPRegressor().to_device("numpy")
    for other in (object(), X):  # NumPy's arrays have a method to_device
        with pytest.raises(ValueError, match="Only estimators of xpnn can be moved"):
            xpnn.to_device(other, "numpy")


def test_device_without_float64():
    model = MLPRegressor(**ABOUT).fit(X, T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.to_device("array_api_strict:no_float64")
    assert "float32" in str(model.coefs_[0].dtype)
    model.to_device("numpy")
    assert model.predict(X.astype("f4")).dtype == np.float32


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_pickles_hold_host_arrays(target_any, kind):
    t = target_any
    cls, y = (MLPClassifier, Y) if kind == "classifier" else (MLPRegressor, T)
    model = cls(**ABOUT).fit(t.asarray(X), t.asarray(y))
    state = model.__getstate__()

    def walk(value):
        yield value
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list | tuple):
            for v in value:
                yield from walk(v)
        elif hasattr(value, "theta"):
            yield from walk([value.theta, value.buffers, value.moments])

    import array_api_compat

    arrays = [v for v in walk(state) if array_api_compat.is_array_api_obj(v)]
    assert len(arrays) >= 4
    assert all(isinstance(v, np.ndarray) for v in arrays)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        for a, b in zip(arrays_of(again), arrays_of(model), strict=True):
            t.assert_here(a)
            np.testing.assert_array_equal(t.to_numpy(a), t.to_numpy(b))
        again.partial_fit(t.asarray(X), t.asarray(y))
        assert len(again.loss_curve_) == len(model.loss_curve_) + 1


class Own(MLPRegressor):
    """A class of one's own."""


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor, Perceptron, Own])
def test_a_pickle_of_another_version_warns_and_opens(cls, monkeypatch):
    model = cls(max_iter=3, random_state=0).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = pickle.dumps(model)
        again = pickle.loads(data)
        copy.deepcopy(model)
    assert vars(again).keys() == vars(model).keys()
    monkeypatch.setattr(_device, "__version__", "99.0")
    words = f"This {cls.__name__} was pickled by xpnn {xpnn.__version__} and is opened by xpnn 99.0"
    with pytest.warns(UserWarning, match=f"^{re.escape(words)}.*fit it anew") as seen:
        newer = pickle.loads(data)
    assert [w.filename for w in seen] == [__file__]
    np.testing.assert_array_equal(newer.predict(X), model.predict(X))
    state = model.__getstate__()
    del state["_xpnn_version"]
    with pytest.warns(UserWarning, match="by an older xpnn and is opened by xpnn 99"):
        cls().__setstate__(state)


def test_a_perceptron_moves_and_pickles_too(target):
    t = target
    model = Perceptron(max_iter=5, tol=None).fit(X.astype(t.dtype_name), Y)
    expected = model.decision_function(X.astype(t.dtype_name))
    model.to_device(t.backend.name)
    for a in (model.coef_, model.intercept_):
        t.assert_here(a)
    again = pickle.loads(pickle.dumps(model))
    for moved in (model, again):
        t.assert_close(moved.decision_function(t.asarray(X)), expected)
        assert xpnn.backend_of(moved.classes_) is t.backend
    again.to_device("numpy").partial_fit(X.astype(t.dtype_name), Y)
    assert isinstance(again.coef_, np.ndarray)
    t.assert_close(model.decision_function(t.asarray(X)), expected)


OPEN = """
import importlib.abc, sys, warnings
import numpy as np
blocked = sys.argv[2]

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
import pickle
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    data = open(sys.argv[1], "rb").read()
    model, again = pickle.loads(data), pickle.loads(data)
words = [str(w.message) for w in seen if "was fitted on" in str(w.message)]
assert len(words) == 1, [str(w.message) for w in seen]
assert "It is now on NumPy" in words[0], words
X = np.load(sys.argv[3])
assert blocked not in sys.modules
out = model.predict_proba(X)
assert type(out) is np.ndarray and type(model.coefs_[0]) is np.ndarray
assert type(model.classes_) is np.ndarray and type(model.predict(X)) is np.ndarray
model.partial_fit(X, model.predict(X))
np.save(sys.argv[4], out)
"""


@pytest.mark.targets(*ELSEWHERE)
@pytest.mark.parametrize("with_device", [False, True])
def test_pickle_opens_without_the_library(target_any, tmp_path, with_device):
    t = target_any
    device = {"device": t.backend.name, "dtype": t.dtype_name} if with_device else {}
    model = MLPClassifier(**ABOUT, **device).fit(t.asarray(X), t.asarray(Y))
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "x.npy", X.astype(t.dtype_name))
    library = t.backend.name.partition(":")[0]
    paths = [str(tmp_path / name) for name in ("model.pkl", "x.npy", "out.npy")]
    run = subprocess.run(
        [sys.executable, "-c", OPEN, paths[0], library, *paths[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    t.assert_close(model.predict_proba(t.asarray(X)), np.load(paths[2]))


@pytest.mark.parametrize("y", [np.array(["no", "some", "yes"])[Y], (Y > 0).astype(str)])
def test_string_labels_while_x_is_on_a_device(target_any, y):
    t = target_any
    x = t.asarray(X)
    model = MLPClassifier(**ABOUT, early_stopping=True).fit(x, y)
    for a in arrays_of(model):
        t.assert_here(a)
    t.assert_here(model.predict_proba(x))
    predicted = model.predict(x)
    assert isinstance(predicted, np.ndarray)
    assert set(predicted) <= set(y)
    assert model.score(x, y) == pytest.approx((predicted == y).mean())
    assert model.classes_.tolist() == sorted(set(y))
