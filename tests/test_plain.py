"""What a pickle holds, and parameters that are a library's own objects."""

import copy
import pickle
import re
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone

import xpnn
from xpnn.training.data import is_sparse

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X = np.random.default_rng(0).normal(size=(20, 3))
Y = np.arange(20) % 2
SMALL = {"max_iter": 3, "random_state": 0}
MODELS = {
    "classifier": lambda **kw: xpnn.MLPClassifier((3,), **SMALL, **kw),
    "regressor": lambda **kw: xpnn.MLPRegressor(
        hidden_layer_sizes=3, early_stopping=True, **SMALL, **kw
    ),
    "many options": lambda **kw: xpnn.MLPClassifier(
        (3,), normalization="batch", members=2, embedding="periodic", **SMALL, **kw
    ),
    "lbfgs": lambda **kw: xpnn.MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", **SMALL, **kw),
    "perceptron": lambda **kw: xpnn.Perceptron(average=True, **kw),
    "table": lambda **kw: xpnn.TabularClassifier(n_members=2, hidden=2, epochs=4, **kw),
    "table of numbers": lambda **kw: xpnn.TabularRegressor(n_members=2, hidden=2, epochs=4, **kw),
}
PLAIN = (bool, int, float, str, type(None), np.ndarray, np.generic)


def foreign_to_plain(value, path=""):
    """Where there is anything else than plain data."""
    if type(value) is dict:
        return [f for k, v in value.items() for f in foreign_to_plain(v, f"{path}.{k}")]
    if type(value) in (list, tuple):
        return [f for v in value for f in foreign_to_plain(v, path)]
    return [] if isinstance(value, PLAIN) else [(path, type(value).__name__)]


@pytest.mark.parametrize("name", MODELS)
def test_a_pickle_is_plain_data(name):
    model = MODELS[name]().fit(X, Y)
    assert foreign_to_plain(model.__getstate__()) == []
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert getattr(again, "network_", None) == getattr(model, "network_", None)


@pytest.mark.parametrize("name", MODELS)
def test_hashes_of_copies_are_the_same(name):
    model = MODELS[name]().fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    for other in (again, copy.deepcopy(model), pickle.loads(pickle.dumps(again))):
        assert joblib.hash(other) == joblib.hash(model)
    if hasattr(model, "partial_fit") and name != "lbfgs":
        about = {} if name == "regressor" else {"classes": [0, 1]}
        changed = again.set_params(early_stopping=False).partial_fit(X, Y, **about)
        assert joblib.hash(changed) != joblib.hash(model)


def test_what_is_the_users_own_stays():
    model = xpnn.MLPClassifier((3,), activation=(_sine, _cosine), **SMALL).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def _sine(z, xp):
    return xp.sin(z)


def _cosine(z, a, xp):
    return xp.cos(z)


@pytest.mark.parametrize("name", MODELS)
def test_skops_asks_for_one_class(name):
    skops = pytest.importorskip("skops.io")
    model = MODELS[name]().fit(X, Y)
    data = skops.dumps(model)
    trusted = skops.get_untrusted_types(data=data)
    assert trusted == [f"{type(model).__module__}.{type(model).__qualname__}"]
    np.testing.assert_array_equal(skops.loads(data, trusted).predict(X), model.predict(X))


def test_the_types_that_skops_trusts_are_written_down():
    text = (Path(__file__).parents[1] / "docs" / "exchange.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `\w+` \| `(xpnn\.[\w.]+)` \|$", text, re.M)
    made = {type(make()) for make in MODELS.values()}
    assert sorted(listed) == sorted(f"{cls.__module__}.{cls.__qualname__}" for cls in made)


@pytest.mark.parametrize("name", ["classifier", "perceptron", "table"])
@pytest.mark.parametrize("dtype", [np.float32, np.dtype("float32"), "float32"], ids=repr)
def test_a_dtype_may_be_an_object(name, dtype, tmp_path):
    model = MODELS[name](dtype=dtype).fit(X, Y)
    assert clone(model).dtype == dtype
    xpnn.save(model, tmp_path / "model.safetensors")
    for other in (pickle.loads(pickle.dumps(model)), xpnn.load(tmp_path / "model.safetensors")):
        assert other.dtype == "float32"
    if name == "classifier":
        assert model.predict_proba(X).dtype == np.float32
    for bad in (np.int32, np.float16, "float16", 3):
        with pytest.raises(ValueError, match="a dtype of that name"):
            MODELS[name](dtype=bad).fit(X, Y)


@pytest.mark.parametrize("name", ["classifier", "perceptron", "table"])
def test_a_device_may_be_an_object(name, target_any, tmp_path):
    device = target_any.backend.device
    if target_any.name == "foreign:dlpack":
        pytest.skip("a device object tells the libraries that xpnn knows by name alone")
    if target_any.backend.name == "numpy":
        device = target_any.backend  # NumPy has no device objects
    dtype = target_any.dtype_name
    model = MODELS[name](device=device, dtype=dtype).fit(X, Y)
    named = MODELS[name](device=target_any.backend.name, dtype=dtype)
    assert model._backend is target_any.backend
    if name != "table":  # its seed is drawn
        np.testing.assert_array_equal(model.predict(X), named.fit(X, Y).predict(X))
    xpnn.save(model, tmp_path / "model.safetensors")
    for other in (pickle.loads(pickle.dumps(model)), xpnn.load(tmp_path / "model.safetensors")):
        assert other.device == target_any.backend.name
    assert xpnn.get_backend(device) is target_any.backend
    with pytest.raises(ValueError, match="a device of an array library"):
        MODELS[name](device=3).fit(X, Y)


def test_sparse_labels_come_back_sparse():
    sparse = pytest.importorskip("scipy.sparse")
    labels = np.column_stack([Y, 1 - Y])
    model = xpnn.MLPClassifier((3,), **SMALL).fit(X, sparse.csr_array(labels))
    for other in (model, pickle.loads(pickle.dumps(model))):
        assert is_sparse(other.predict(X))
        assert other.score(X, sparse.csc_matrix(labels)) == other.score(X, labels)
