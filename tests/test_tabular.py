"""The tabular estimators: from any table to predictions, the same on every device."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.feature_selection import SelectFromModel
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import cross_val_score
from tabular_table import CLASSES, FRAME, SMALL, N, Y, fitted, table

import xpnn
from xpnn import TabularClassifier, TabularRegressor
from xpnn.arrays.backend import to_numpy

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(99)


@pytest.fixture(scope="module")
def classifier():
    return fitted(TabularClassifier)


@pytest.fixture(scope="module")
def regressor():
    return fitted(TabularRegressor)


# -- predictions ----------------------------------------------------------------------------------


def test_it_predicts_new_rows_well(classifier, regressor):
    frame, y = table(seed=1)
    assert regressor.score(frame, y) > 0.65
    assert classifier.score(frame, np.where(y > np.median(Y), "high", "low")) > 0.85


def test_scores_out_of_fold_are_those_of_new_rows(classifier, regressor):
    """Members never see the rows of their fold: noise cannot be learned."""
    noise = RNG.normal(size=N)
    fitted = TabularRegressor(**{**SMALL, "epochs": 60}).fit(FRAME, noise)
    assert fitted.validation_score_ < 0.1
    assert fitted.score(FRAME, noise) > fitted.validation_score_
    assert regressor.validation_score_ == pytest.approx(r2_score(Y, regressor.oof_prediction_))
    right = classifier.classes_[classifier.oof_prediction_.argmax(axis=1)] == CLASSES
    assert classifier.validation_score_ == pytest.approx(right.mean())
    expected = log_loss(CLASSES, classifier.oof_prediction_)
    assert classifier.validation_log_loss_ == pytest.approx(expected)


@pytest.mark.long_to_compile
@pytest.mark.own_context
def test_the_same_model_on_every_device(target):
    """On NumPy and on the device, from one seed, within the table of tolerances."""
    options = {**SMALL, "dtype": target.dtype_name, "epochs": 5}
    X = FRAME[["size", "sold", "colour"]]
    for make, y in ((TabularClassifier, CLASSES), (TabularRegressor, Y)):
        expected = make(**options).fit(X, y)
        found = make(**options, device=target.backend.name).fit(X, y)
        method = "predict_proba" if make is TabularClassifier else "predict"
        a, b = (to_numpy(getattr(m, method)(X)) for m in (expected, found))
        scale = np.abs(a).max()
        limit = {"float64": 1e-11, "float32": 1e-3}[target.dtype_name]
        assert np.abs(a - b).max() <= limit * scale


@pytest.mark.own_context
def test_arrays_of_a_device_come_back_there(target_any):
    X = target_any.asarray(RNG.normal(size=(60, 3)))
    y = target_any.asarray(np.asarray(to_numpy(X))[:, 0])
    model = TabularRegressor(**{**SMALL, "epochs": 3}).fit(X, y)
    found = model.predict(X)
    assert type(found) is type(X)
    assert found.shape == (60,)
    codes = (to_numpy(X)[:, 0] > 0).astype(int)
    labels = TabularClassifier(**{**SMALL, "epochs": 3}).fit(X, codes).predict(X)
    assert type(labels) is type(X)


def test_the_seed_decides(regressor):
    again = clone(regressor).fit(FRAME, Y)
    assert (again.predict(FRAME) == regressor.predict(FRAME)).all()
    other = clone(regressor).set_params(random_state=1).fit(FRAME, Y)
    assert (other.predict(FRAME) != regressor.predict(FRAME)).any()


def test_a_row_is_predicted_alike_beside_any_others(regressor):
    alone = np.concatenate([regressor.predict(FRAME[i : i + 1]) for i in range(20)])
    assert np.allclose(alone, regressor.predict(FRAME)[:20], rtol=1e-12, atol=1e-12)


def test_several_targets_and_constant_ones():
    both = np.stack([Y, 1e6 * Y, np.full(N, 7.0)], axis=1)
    model = TabularRegressor(**SMALL).fit(FRAME, both)
    found = model.predict(FRAME)
    assert found.shape == (N, 3)
    assert (found[:, 2] == 7.0).all()
    assert r2_score(Y, found[:, 0]) > 0.8
    assert r2_score(1e6 * Y, found[:, 1]) > 0.8
    assert model.predict_interval(FRAME).shape == (N, 2, 3)


def test_predictions_stay_in_the_range_that_was_seen(regressor):
    far = FRAME.assign(size=1e30)
    found = regressor.predict(far)
    assert np.isfinite(found).all()
    assert found.min() >= Y.min()
    assert found.max() <= Y.max()


@pytest.mark.parametrize(
    "labels",
    [[True, False], [3, 11], ["b", "a"], [0, 1, 2], [1.0, 2.0]],
    ids=["bool", "int", "str", "three", "float"],
)
def test_labels_come_back_as_they_were(labels):
    y = np.asarray(labels)[RNG.integers(len(labels), size=60)]
    model = TabularClassifier(**{**SMALL, "epochs": 3}).fit(FRAME[:60], y)
    found = model.predict(FRAME)
    assert found.dtype == y.dtype
    assert set(found.tolist()) <= set(labels)
    assert model.classes_.tolist() == sorted(labels)
    assert np.allclose(model.predict_proba(FRAME).sum(axis=1), 1.0)
    assert np.allclose(np.exp(model.predict_log_proba(FRAME)), model.predict_proba(FRAME))


def test_weights_and_class_weights():
    """A class of weight 0 is never predicted; a class weight is a sample weight."""
    weight = (CLASSES == "high").astype(float)
    only = TabularClassifier(**SMALL).fit(FRAME, CLASSES, sample_weight=weight)
    assert set(only.predict(FRAME)) == {"high"}
    by_class = TabularClassifier(class_weight={"high": 3.0, "low": 1.0}, **SMALL)
    by_row = TabularClassifier(**SMALL)
    a = by_class.fit(FRAME, CLASSES).predict_proba(FRAME)
    b = by_row.fit(FRAME, CLASSES, sample_weight=1.0 + 2.0 * weight).predict_proba(FRAME)
    assert np.array_equal(a, b)


def test_a_row_without_weight_is_as_if_it_was_not_there():
    """In range, intervals, encoding and folds; its prediction is that of new rows."""
    weight = np.ones(N)
    weight[:60] = 0.0
    y = np.where(weight > 0, Y, 1e4)
    frame = FRAME.assign(size=np.where(weight > 0, FRAME["size"], 1e9))
    with_rows = TabularRegressor(**SMALL).fit(frame, y, sample_weight=weight)
    without = TabularRegressor(**SMALL).fit(frame[60:], y[60:], sample_weight=weight[60:])
    new, _ = table(seed=1)
    close = {"rtol": 1e-3, "atol": 1e-3}  # the mean of y adds in another order
    assert np.allclose(with_rows.predict_interval(new), without.predict_interval(new), **close)
    assert np.allclose(with_rows.oof_prediction_[60:], without.oof_prediction_, **close)
    assert np.allclose(with_rows.oof_prediction_[:60], without.predict(frame[:60]), **close)


@pytest.mark.parametrize("unit", [1e-300, 1e-46, 1e39, 1e300])
def test_a_common_factor_of_weights_means_nothing(unit):
    options = {**SMALL, "epochs": 3}
    expected = TabularRegressor(**options).fit(FRAME, Y, sample_weight=np.ones(N))
    found = TabularRegressor(**options).fit(FRAME, Y, sample_weight=np.full(N, unit))
    assert np.array_equal(found.predict(FRAME), expected.predict(FRAME))


@pytest.mark.parametrize("unit", [1e-250, 1e-14, 1e150, 1e300])
def test_targets_of_any_size_are_learned(unit):
    options = {**SMALL, "epochs": 10}
    expected = TabularRegressor(**options).fit(FRAME, Y).predict(FRAME)
    found = TabularRegressor(**options).fit(FRAME, Y * unit).predict(FRAME)
    assert np.allclose(found / unit, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "weights", [{"high": 0, "low": 0}, {"high": -1, "low": 1}, {"high": np.nan, "low": 1}]
)
def test_class_weights_that_cannot_be_are_told(weights):
    with pytest.raises(ValueError, match=r"must be finite and at least 0|no row of these"):
        TabularClassifier(class_weight=weights, **SMALL).fit(FRAME, CLASSES)


def test_missing_labels_are_told_with_their_row():
    labels = CLASSES.astype(object)
    labels[7] = None
    for y in (labels, pd.Series(labels)):
        with pytest.raises(ValueError, match="no label in row 7"):
            TabularClassifier(**SMALL).fit(FRAME, y)
    truth = pd.Series(CLASSES == "high", dtype="boolean")
    model = TabularClassifier(**{**SMALL, "epochs": 2}).fit(FRAME, truth)
    assert model.classes_.dtype == bool


def test_it_works_in_searches_and_pipelines():
    scores = cross_val_score(TabularRegressor(**{**SMALL, "epochs": 8}), FRAME, Y, cv=2)
    assert scores.shape == (2,)
    assert scores.min() > 0.3


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_very_small_tables(n):
    """Something is predicted, whatever the number of rows."""
    model = TabularRegressor(**SMALL).fit(FRAME[:n], Y[:n])
    assert np.isfinite(model.predict(FRAME)).all()
    y = np.asarray(["a", "b"] * n)[:n]
    assert TabularClassifier(**SMALL).fit(FRAME[:n], y).predict_proba(FRAME).shape == (N, 2)


def test_a_table_that_says_nothing():
    X = pd.DataFrame({"same": np.ones(40), "empty": [None] * 40})
    model = TabularRegressor(**SMALL).fit(X, Y[:40])
    assert np.allclose(model.predict(X), Y[:40].mean(), atol=0.5 * Y[:40].std())
    assert set(model.encoding_.left_out) == {"same", "empty"}


# -- out of fold ----------------------------------------------------------------------------------


def test_importances_find_what_the_target_follows_from(regressor):
    found = regressor.feature_importance()
    assert next(iter(found)) == "size"
    assert set(found) == set(FRAME.columns)
    assert found["size"][0] > 5 * abs(found["day"][0])
    copy = pickle.loads(pickle.dumps(regressor))
    assert copy.feature_importance() == found
    assert copy.feature_importances_.tolist() == [found[name][0] for name in FRAME.columns]
    of_rows = copy.feature_importance(FRAME, Y, n_repeats=2)
    assert next(iter(of_rows)) == "size"
    assert of_rows["size"][0] > found["size"][0] / 3
    with pytest.raises(ValueError, match="n_repeats is 0"):
        copy.feature_importance(FRAME, Y, n_repeats=0)
    del copy.importance_
    assert not hasattr(copy, "feature_importances_")
    with pytest.raises(ValueError, match="training rows are not there"):
        copy.feature_importance()


def test_scikit_learns_selectors_find_the_importances():
    rng = np.random.default_rng(0)
    X = np.stack([np.ones(120), *rng.normal(size=(2, 120))], axis=1)  # the first is left out
    model = TabularRegressor(n_members=2, epochs=4, hidden=8, random_state=0)
    assert not hasattr(model, "feature_importances_")
    chosen = SelectFromModel(model).fit(X, X[:, 2])
    model.fit(X, X[:, 2])._repr_html_()
    assert not hasattr(model, "importance_")  # a picture in a notebook does not wait for them
    assert chosen.get_support().tolist() == [False, False, True]
    assert chosen.estimator_.feature_importances_[0] == 0


def test_importances_of_classes(classifier):
    assert next(iter(classifier.feature_importance(n_repeats=2))) == "size"
    assert next(iter(classifier.feature_importance(FRAME, CLASSES, n_repeats=2))) == "size"


# -- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"n_members": 1}, "'n_members' parameter"),
        ({"hidden": -3}, "'hidden' parameter"),
        ({"embedding": "wavelets"}, "'embedding' parameter"),
        ({"time_limit": 0}, "'time_limit' parameter"),
        ({"epochs": 0}, "'epochs' parameter"),
        ({"loss": "hinge"}, "'loss' parameter"),
        ({"dtype": None}, "'dtype' parameter"),
    ],
)
def test_parameters_out_of_range_are_told(params, expected):
    with pytest.raises(ValueError, match=expected):
        TabularRegressor(**params).fit(FRAME, Y)


def test_what_goes_wrong_leaves_the_estimator_as_it_was(regressor):
    copy = pickle.loads(pickle.dumps(regressor))
    before = copy.predict(FRAME)
    for X, y, expected in (
        (FRAME[:0], Y[:0], "0 sample"),
        (FRAME, Y[:-1], "inconsistent numbers of samples"),
        (np.ones(5), Y[:5], "Expected 2D array"),
        (FRAME, Y * np.nan, "NaN"),
    ):
        with pytest.raises(ValueError, match=expected):
            copy.fit(X, y)
    with pytest.raises(TypeError, match=r"Sparse.*X\.toarray\(\)"):
        copy.fit(scipy.sparse.eye(5, format="csr"), np.ones(5))
    assert (copy.predict(FRAME) == before).all()


def test_several_labels_a_row_are_told():
    with pytest.raises(ValueError, match="labels a row"):
        TabularClassifier().fit(FRAME, np.eye(2, dtype=int)[RNG.integers(2, size=N)])


# -- files ----------------------------------------------------------------------------------------


def test_files_and_pickles_hold_everything(classifier, regressor, tmp_path):
    for model, methods in (
        (classifier, ("predict", "predict_proba")),
        (regressor, ("predict", "predict_interval")),
    ):
        xpnn.save(model, tmp_path / "model.safetensors")
        for again in (
            xpnn.load(tmp_path / "model.safetensors"),
            pickle.loads(pickle.dumps(model)),
        ):
            for method in methods:
                assert np.array_equal(getattr(again, method)(FRAME), getattr(model, method)(FRAME))
            assert again.validation_score_ == model.validation_score_
            assert again.encoding_ == model.encoding_
            assert again.recipe_ == model.recipe_
            assert np.array_equal(again.oof_prediction_, model.oof_prediction_)
            assert again.get_params() == model.get_params()


def test_a_file_that_does_not_fit_together_is_damaged(regressor, tmp_path):
    from xpnn.files.record import ModelFileError, read_record, write_record

    path = tmp_path / "model.safetensors"
    xpnn.save(regressor, path)
    header, arrays = read_record(path)
    inner = header["estimator"]
    short = {**arrays, "theta_0": arrays["theta_0"][:-1]}
    fewer = {**inner["encoding"], "columns": inner["encoding"]["columns"][:-1]}
    for changed, own in (
        ({}, short),
        ({"weights": []}, arrays),
        ({"encoding": fewer}, arrays),
        ({"recipe": {**inner["recipe"], "folds": 4}}, arrays),
    ):
        write_record(path, {**header, "estimator": {**inner, **changed}}, own)
        with pytest.raises(ModelFileError, match="damaged"):
            xpnn.load(path)


@pytest.mark.own_context
def test_moving_to_a_device(target_any, regressor):
    model = pickle.loads(pickle.dumps(regressor)).to_device(target_any.backend.name)
    assert np.allclose(
        to_numpy(model.predict(FRAME)), regressor.predict(FRAME), rtol=1e-4, atol=1e-4
    )
    assert np.allclose(pickle.loads(pickle.dumps(model)).predict(FRAME), model.predict(FRAME))


# -- the network is a plain one -------------------------------------------------------------------


def test_what_an_embedding_has_learned_can_be_seen():
    regressor = TabularRegressor(**SMALL, embedding="both").fit(FRAME, Y)
    grid, functions = regressor.embedded("size", member=1)
    assert grid.shape == (200,)
    assert functions.shape == (200, 3)
    layer = regressor.network_.layers[0]
    theta = regressor._arrays[f"theta_{int(np.argmax(regressor._weights))}"].astype(float)
    parts = regressor.network_.layout.by_layer(theta, np, 5)[0]
    z = regressor.encoding_.columns[0].spread(grid)
    f, c, v, b = (parts[k][1, 0] for k in ("frequency", "phase", "weight", "bias"))
    expected = np.cos(2 * np.pi * f * z[:, None] + c) @ v + b
    assert np.allclose(functions, expected)
    assert layer.kind == "periodic_embedding"
    with pytest.raises(ValueError, match=r"'colour' has no embedding: size, .* has. Num"):
        regressor.embedded("colour")
    with pytest.raises(ValueError, match="expected a number from 0 to 4"):
        regressor.embedded("size", member=5)


def test_without_embedding():
    model = TabularRegressor(**SMALL, embedding=None).fit(FRAME, Y)
    assert model.network_.layers[0].kind == "scale"
    assert model.score(FRAME, Y) > 0.5


def test_it_runs_compiled(caplog):
    from xpnn.steps.compiled import library

    if library() is None:
        pytest.skip("no compiled library")
    with caplog.at_level("DEBUG", logger="xpnn"):
        TabularRegressor(**{**SMALL, "epochs": 1}).fit(FRAME, Y)
    assert "CompiledMembers on numpy" in caplog.text
