"""Estimators through a file: what they know comes back, and files of before still open."""

import copy
import dataclasses
import json
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from small_records import NUMBERS, X, forge

import xpnn
from xpnn import DeviceError, MLPClassifier, MLPRegressor, Perceptron
from xpnn.files import record as files
from xpnn.files.record import ModelFileError, encode, read_record

WORDS = np.where(X[:, 0] > 0, "ja", np.where(X[:, 1] > 0, "nein", "weiß nicht"))


def estimators():
    options = {"hidden_layer_sizes": (5,), "max_iter": 3, "n_iter_no_change": 9, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield MLPClassifier(**options, dropout=0.1).fit(X, WORDS)
        yield MLPClassifier(**options).fit(X, NUMBERS > 0)
        yield MLPRegressor(**options, dtype="float64").fit(X, np.stack([NUMBERS, -NUMBERS], 1))
        yield Perceptron(average=True, max_iter=3).fit(X, WORDS)
        yield Perceptron(pocket=True, max_iter=3).fit(X.astype("float64"), NUMBERS > 0)
        yield Perceptron(penalty="l1", class_weight={0: 2.0}).fit(X, NUMBERS > 0).sparsify()


MODELS = ("words", "binary", "regressor", "averaged", "pocket", "sparse")


def weights(model):
    if not isinstance(model, Perceptron):
        return [*model.coefs_, *model.intercepts_]
    sparse = not isinstance(model.coef_, np.ndarray)
    return [model.coef_.toarray() if sparse else model.coef_, model.intercept_]


@pytest.mark.parametrize("which", range(len(MODELS)), ids=MODELS)
def test_an_estimator_comes_back_and_goes_on(tmp_path, which):
    model = list(estimators())[which]
    xpnn.save(model, tmp_path / "m")
    again = xpnn.load(tmp_path / "m")
    assert type(again) is type(model)
    assert again.get_params() == model.get_params()
    assert again.history_ == model.history_
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert (again.n_iter_, again.t_) == (model.n_iter_, model.t_)
    assert not isinstance(model, Perceptron) or type(again.coef_) is type(model.coef_)
    for a, b in zip(weights(again), weights(model), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    y = np.roll(model.predict(X), 1)
    for _ in range(2):  # the optimizer's state and the seed came along
        model = copy.deepcopy(model).partial_fit(X, y)
        for a, b in zip(weights(again.partial_fit(X, y)), weights(model), strict=True):
            np.testing.assert_array_equal(a, b)


def early_stopped(epochs=3, **options):
    """A classifier stopped between two calls, before it has converged, its best epoch behind it."""
    options = {"n_iter_no_change": 4, "learning_rate_init": 0.1, "tol": 0.0, **options}
    options |= {"solver": "sgd", "learning_rate": "adaptive", "normalization": "batch"}
    model = MLPClassifier((5,), early_stopping=True, random_state=0, **options)
    for _ in range(epochs):
        go_on(model)
    return model


def go_on(model):
    return model.partial_fit(X, WORDS, classes=np.unique(WORDS), validation_data=(X, WORDS))


def through_a_file(model, folder):
    xpnn.save(model, folder / "m")
    return xpnn.load(folder / "m")


def test_early_stopping_restores_the_best_weights_from_before_the_file(tmp_path):
    without = early_stopped()
    scores = list(without.validation_scores_)
    labels, codes = np.unique(WORDS, return_inverse=True)
    worse = labels[codes - 1]  # each label is another one: from now on nothing improves
    for _ in range(2):  # so that the weights in the file are not the best ones
        without.partial_fit(X, worse, validation_data=(X, WORDS))
    with_file = through_a_file(without, tmp_path)
    for model in (without, with_file):
        while not model.converged_:
            model.partial_fit(X, worse, validation_data=(X, WORDS))
    assert with_file.score(X, WORDS) == pytest.approx(max(scores), rel=1e-6)
    assert max(scores) > with_file.validation_scores_[-1]
    for a, b in zip(weights(with_file), weights(without), strict=True):
        np.testing.assert_array_equal(a, b)
    assert with_file.history_ == without.history_


def test_a_file_keeps_all_that_a_pickle_keeps_of_a_training_state(tmp_path):
    model = early_stopped()
    model._state = dataclasses.replace(model._state, plateaus=2, stale=3, outcome="stopped")
    again = through_a_file(model, tmp_path)._state
    pickled = pickle.loads(pickle.dumps(model))._state
    for field in dataclasses.fields(model._state):
        value, default = getattr(model._state, field.name), field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        assert value is not default, f"give {field.name} a value of its own above"
        assert not isinstance(value, int | float | str | dict) or value != default, field.name
        for found in (getattr(pickled, field.name), getattr(again, field.name)):
            np.testing.assert_equal(found, value, err_msg=f"{field.name} is lost")
    assert len(again.moments) == 1
    assert again.buffers.size > 0


@pytest.mark.parametrize("which", range(len(MODELS) + 3))
def test_a_file_keeps_all_that_a_pickle_keeps_of_a_model(tmp_path, which):
    lbfgs = MLPRegressor("huber", (3,), solver="lbfgs", max_iter=4, warm_start=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        lbfgs.fit(X, NUMBERS).fit(X, NUMBERS)
        nothing = MLPRegressor("huber", (3,), random_state=0).initialize(X, NUMBERS)
    model = [*estimators(), early_stopped(), lbfgs, nothing][which]
    again, pickled = through_a_file(model, tmp_path), pickle.loads(pickle.dumps(model))
    assert vars(again).keys() == vars(pickled).keys()
    for name, value in vars(pickled).items():
        found = getattr(again, name)
        if name in ("_state", "_labels"):
            found, value = vars(found), vars(value)
        if name == "coef_" and not isinstance(value, np.ndarray):
            found, value = found.toarray(), value.toarray()
        np.testing.assert_equal(found, value, err_msg=name)


def test_a_file_of_format_version_2_opens():
    """The present format, so that it stays readable."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    model = xpnn.load(Path(__file__).parent / "data" / "model_version_2.safetensors")
    expected = [0.4424507618, 0.4607095122, 0.6688500643, 0.5563279986]
    np.testing.assert_allclose(model.predict_proba(x)[:, 1], expected, rtol=1e-6)
    assert model._state.best_weights is not None
    assert len(model.loss_curve_) == 3
    y = ["no", "yes", "yes", "no"]
    assert len(model.partial_fit(x, y, validation_data=(x, y)).loss_curve_) == 4


def test_a_tabular_model_with_raw_outputs_still_opens():
    """Written before predictions out of fold were kept in their place."""
    model = xpnn.load(Path(__file__).parent / "data" / "tabular_version_2.safetensors")
    found = model.predict([[1.0, 2.0], [6.0, 0.0]])
    np.testing.assert_allclose(found, [-2.90100767, 5.51944777], rtol=1e-5)
    interval = model.predict_interval([[1.0, 2.0]], method="plus")
    np.testing.assert_allclose(interval, [[-3.30464747, -2.50077826]], rtol=1e-5)


def test_a_checkpoint_of_format_version_1_opens():
    path = Path(__file__).parent / "data" / "checkpoint_version_1.safetensors"
    header, arrays = read_record(path, files.CHECKPOINT)
    assert header["about"]["estimator"] == "MLPClassifier"
    assert (header["state"]["epoch"], header["run"]["at"]) == (3, 0)
    assert arrays["theta"].shape == arrays["moment_1"].shape == (4 * 2 + 4 + 4 + 1,)


def test_a_file_of_format_version_1_still_opens():
    """Written by the code before `best_weights` was in the format, with early stopping on."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    model = xpnn.load(Path(__file__).parent / "data" / "model_version_1.safetensors")
    assert model.classes_.tolist() == ["no", "yes"]
    expected = [0.5629610419, 0.4291147888, 0.6400122046, 0.4792008400]
    np.testing.assert_allclose(model.predict_proba(x)[:, 1], expected, rtol=1e-6)
    assert model._state.best_weights is None
    assert len(model.loss_curve_) == 9
    y = np.array(["no", "yes", "yes", "no"])
    assert model.partial_fit(x, y, validation_data=(x, y)).n_iter_ == 1


def test_a_file_that_keeps_a_table_apart_says_what_to_do(tmp_path):
    """As written before the tabular estimators: without it predictions would be scaled."""
    xpnn.save(next(estimators()), tmp_path / "m")
    header, arrays = read_record(tmp_path / "m")
    header["preprocessing"] = {"features": [], "target": {"name": "y", "task": "regression"}}
    files.write_record(tmp_path / "m", header, arrays)
    with pytest.raises(ModelFileError, match="train a TabularClassifier or"):
        xpnn.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"best_buffers": None}, "best_buffers"),
        ({"best_theta": None}, "moment_|best_theta"),
        ({"best_theta": np.zeros(3, np.float32)}, r"best_theta is float32 of shape \(3,\)"),
        ({"best_theta": np.zeros(53, np.int64)}, "best_theta is int64"),
        ({"best_buffers": np.zeros(3, np.float32)}, r"best_buffers is float32 of shape \(3,\)"),
        ({"extra": np.zeros(53, np.float32)}, "extra|moment_"),
    ],
)
def test_best_weights_that_do_not_fit_are_refused(tmp_path, change, message):
    xpnn.save(early_stopped(), tmp_path / "m")
    header, arrays = read_record(tmp_path / "m")
    arrays = {name: a for name, a in (arrays | change).items() if a is not None}
    with pytest.raises(ModelFileError, match=message):
        xpnn.load(forge(tmp_path, json.dumps(encode(header)), arrays))


def test_a_pickle_is_no_model_file(tmp_path):
    (tmp_path / "m").write_bytes(pickle.dumps(Perceptron()))
    with pytest.raises(
        ModelFileError, match=r"no model file, .*: a pickle, which joblib.load opens"
    ):
        xpnn.load(tmp_path / "m")


def test_what_cannot_be_saved_is_named(tmp_path):
    def mine(z, xp):
        return xp.tanh(z)

    own = MLPRegressor(activation=(mine, lambda z, a, xp: 1 - a * a), max_iter=1)
    own.partial_fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"mine.*your own function.*built-in one, or pickle"):
        xpnn.save(own, tmp_path / "m")
    with pytest.raises(NotFittedError):
        xpnn.save(MLPRegressor(), tmp_path / "m")
    with pytest.raises(ValueError, match="Only estimators of xpnn can be saved"):
        xpnn.save("model", tmp_path / "m")
    for other in (make_pipeline(Perceptron()), GridSearchCV(Perceptron(), {})):
        match = rf"got {type(other).__name__}: joblib.dump keeps .* search.best_estimator_"
        with pytest.raises(ValueError, match=match):
            xpnn.save(other, tmp_path / "m")
    own = Perceptron().fit(X, WORDS)
    own.coef_ = own.coef_[:, :2]
    with pytest.raises(ValueError, match=r"coef is float32 of shape \(3, 2\), expected .*\(3, 3\)"):
        xpnn.save(own, tmp_path / "m")
    with pytest.raises(NotFittedError):
        xpnn.save(Perceptron(), tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_a_perceptron_without_its_device_follows_x(tmp_path):
    model = Perceptron(device="numpy").fit(X, WORDS)
    model.device = "cupy:77"
    xpnn.save(model, tmp_path / "m")
    with pytest.warns(UserWarning, match="The model is on NumPy and follows X"):
        again = xpnn.load(tmp_path / "m")
    assert again.device is None
    model.device = None
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def places(value, path=()):
    """Paths to all that is inside JSON data."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, item in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from places(item, (*path, key))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    records = []
    for model in (*estimators(), early_stopped()):
        xpnn.save(model, folder / "m")
        header, arrays = read_record(folder / "m")
        records.append((encode(header), arrays))
    return folder, records


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 9),
    st.sampled_from([2**70, 1e300, -0.5, "", "x", "relu", "float32", [], {}, [1], ["a", "b"]]),
    st.sampled_from([{"__float__": "nan"}, {"__tuple__": [3]}, {"entry": "loss", "name": "huber"}]),
)


@given(st.data())
def test_a_header_that_lies_is_refused_or_harmless(saved, data):
    folder, records = saved
    header, arrays = copy.deepcopy(records[data.draw(st.integers(0, len(records) - 1))])
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(list(places(header)) or [("class",)]))
        inner = header
        for key in way:
            inner = inner[key]
        if data.draw(st.booleans(), label="drop"):
            del inner[last]
        else:
            inner[last] = copy.deepcopy(data.draw(junk))
    if data.draw(st.booleans(), label="change an array"):
        name = data.draw(st.sampled_from(sorted(arrays)))
        change = data.draw(st.sampled_from(["drop", "short", "type", "shape"]))
        array = arrays.pop(name)
        if change != "drop":
            odd = {"short": array[:-1], "type": array.astype(np.int8), "shape": array[None]}
            arrays[name] = odd[change]
    path = forge(folder, json.dumps(header), arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a device that is not here
        try:
            model = xpnn.load(path)
        except (ModelFileError, DeviceError):
            return
    assert type(model) in (MLPClassifier, MLPRegressor, Perceptron)
    assert len(model.predict(np.zeros((2, model.n_features_in_), dtype=np.float32))) == 2
