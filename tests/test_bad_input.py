"""Bad input gets a clear error, and the estimator is as it was before."""

import math
import os
import pickle
import signal
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from mistakes import (
    N_IN,
    N,
    assert_as_before,
    classifier,
    features,
    labels,
    regressor,
    spoiled,
    values,
)
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from xpnn import MLPClassifier, MLPRegressor, Perceptron, TabularClassifier, TabularRegressor
from xpnn.estimators import _heldout

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def assert_refused(model, bad, match, error=ValueError):
    """A fit and a partial_fit of an estimator, fresh and fitted, that change nothing."""
    assert_as_before(model, lambda: model.fit(*bad), error, match)
    good = (features(), labels() if isinstance(model, MLPClassifier) else values())
    model.fit(*good)
    assert_as_before(model, lambda: model.fit(*bad), error, match)
    assert_as_before(model, lambda: model.partial_fit(*bad), error, match)
    np.testing.assert_array_equal(model.predict(good[0]).shape, good[1].shape)


# -- X and y -----------------------------------------------------------------------------------

BAD_X = {
    "nan": (spoiled(np.nan), "Input X contains NaN"),
    "infinity": (spoiled(np.inf), "Input X contains infinity or a value too large"),
    "negative infinity": (spoiled(-np.inf), "Input X contains infinity"),
    "one dimension": (features()[:, 0], "Expected 2D array, got 1D array instead"),
    "three dimensions": (features()[None], r"dim 3|Expected 2D array, got 3D array"),
    "no sample": (features()[:0], r"Found array with 0 sample\(s\) .* minimum of 1 is required"),
    "no feature": (features()[:, :0], r"0 feature\(s\) \(shape=\(30, 0\)\) while a minimum of 1"),
    "too few rows": (features()[:29], "inconsistent numbers of samples: .29, 30."),
    "complex": (features() + 1j, "Complex data not supported"),
}


@pytest.mark.parametrize(("x", "match"), BAD_X.values(), ids=BAD_X)
def test_bad_x(x, match):
    y = {0: labels()[:0], 1: labels()[:0]}.get(len(x), labels())
    assert_refused(classifier(), (x, y), match)
    assert_refused(regressor(), (x, y.astype(float)), match)


@pytest.mark.parametrize(("x", "match"), BAD_X.values(), ids=BAD_X)
def test_bad_x_on_every_target(target_any, x, match):
    if np.iscomplexobj(x):
        pytest.skip("not every library has complex numbers")
    y = labels()[: len(x)] if len(x) == 0 else labels()
    for model in (classifier(), regressor()):
        moved = target_any.asarray(x)
        assert_as_before(model, lambda m=model, a=moved: m.fit(a, y), match=match)


BAD_TABLES = {
    "text": (np.full((N, N_IN), "a"), ValueError, "could not convert string to float"),
    "objects": (spoiled(0.0).astype(object), None, None),
    "object nan": (spoiled(np.nan).astype(object), ValueError, "Input X contains NaN"),
    "object text": (pd.DataFrame([["x"] * N_IN] * N), ValueError, "could not convert string"),
    "object dict": (np.full((N, N_IN), {}, dtype=object), TypeError, "dict"),
    "nothing": (None, ValueError, "Expected 2D array, got scalar"),
    "sparse nan": (sp.csr_array(spoiled(np.nan)), ValueError, "Input X contains NaN"),
    "a frame's gap": (pd.DataFrame(spoiled(np.nan)), ValueError, "Input X contains NaN"),
}


@pytest.mark.parametrize(("x", "error", "match"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables(x, error, match):
    if error is None:  # numbers in an object array are numbers
        assert classifier().fit(x, labels()).coefs_[0].dtype == np.float64
        return
    assert_refused(classifier(), (x, labels()), match, error)


BAD_Y = {
    "nan": (spoiled(np.nan, (7,)), "Input y contains NaN"),
    "infinity": (spoiled(np.inf, (7,)), "Input y contains infinity"),
    "three dimensions": (values().reshape(N, 1, 1), "dim 3|1d or 2d array"),
    "too short": (values()[:-1], "inconsistent numbers of samples: .30, 29."),
    "missing": (None, "requires y to be passed, but the target y is None"),
}


@pytest.mark.parametrize(("y", "match"), BAD_Y.values(), ids=BAD_Y)
def test_bad_y(target_any, y, match):
    assert_refused(regressor(), (features(), y), match)
    if y is not None:
        x, moved = target_any.asarray(features()), target_any.asarray(y)
        for model in (regressor(), classifier()):
            refused = match if isinstance(model, MLPRegressor) else None
            assert_as_before(model, lambda m=model: m.fit(x, moved), match=refused)


def test_targets_of_the_wrong_kind():
    text = np.array(["a", "b"] * (N // 2))
    assert_refused(regressor(), (features(), text), "could not convert string to float")
    assert_refused(classifier(), (features(), values()), "Unknown label type: continuous")
    pair = np.stack([labels(), labels() * 2], axis=1)
    assert_refused(classifier(), (features(), pair), "Unknown label type|should be a 1d array")


def test_bad_weights(target_any):
    x, y = target_any.asarray(features()), target_any.asarray(values())
    bad = {
        "nan": (np.full(N, np.nan), "NaN|finite"),
        "negative": (np.r_[-1.0, np.ones(N - 1)], "not negative.*-1"),
        "all zero": (np.zeros(N), "zero in all rows"),
        "too short": (np.ones(N - 1), r"sample_weight.shape == \(29,\), expected \(30,\)"),
        "two dimensions": (np.ones((N, 1)), "1D"),
    }
    for weight, match in bad.values():
        for w in (weight, target_any.asarray(weight)):
            model = regressor()
            assert_as_before(model, lambda m=model, w=w: m.fit(x, y, w), match=match)


def test_whole_numbers_are_weights_too():
    x, y = features(), values()
    expected = regressor().fit(x, y, 3).predict(x)
    np.testing.assert_array_equal(regressor().fit(x, y, np.int64(3)).predict(x), expected)


def test_class_weights_in_a_list():
    model = classifier(class_weight=[1.0, 2.0, 3.0])
    match = r"class_weight=\[1.0, 2.0, 3.0\] is a list, .* pass \{label: weight\}"
    assert_as_before(model, lambda: model.fit(features(), labels()), match=match)


def test_rows_that_come_one_after_the_other():
    for model in (classifier(), Perceptron(), TabularClassifier()):
        for rows, y, match in (
            (iter(features()), labels(), "X is a .*iterator, which gives rows or batches"),
            (features(), iter(labels()), "y is a .*iterator, which gives rows or batches"),
        ):
            assert_as_before(model, lambda m=model, r=rows, y=y: m.fit(r, y), match=match)


def test_datasets_of_torch(torch):
    data = torch.utils.data.TensorDataset(torch.zeros(9, 2), torch.zeros(9))
    for model in (classifier(), regressor(), Perceptron(), TabularRegressor()):
        for rows in (data, torch.utils.data.DataLoader(data)):
            match = f"X is a {type(rows).__name__}, .* the tensors of a TensorDataset, or .*Blocks"
            assert_as_before(model, lambda m=model, r=rows: m.fit(r, data[:][1]), match=match)


def test_negative_class_weights():
    model = classifier(class_weight={0: -1.0, 1: 1.0, 2: 1.0})
    assert_as_before(model, lambda: model.fit(features(), labels()), match="class_weight.*-1")


def test_rows_held_out_that_all_weigh_nothing():
    model, weight = classifier(early_stopping=True), np.r_[np.ones(1), np.zeros(N - 1)]
    assert_as_before(
        model, lambda: model.fit(features(), labels(), weight), match="validation set are all zero"
    )


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_x_too_large_for_the_dtype_of_the_work(kind):
    model = classifier(dtype="float32")
    large, match = kind(spoiled(1e200)), r"too large for dtype\('float32'\)"
    assert_as_before(model, lambda: model.fit(large, labels()), match=match)
    model.fit(features(), labels())
    assert_as_before(model, lambda: model.fit(large, labels()), match=match)
    assert_as_before(model, lambda: model.predict(large), match=match)
    held = large, labels()
    assert_as_before(
        model, lambda: model.fit(features(), labels(), validation_data=held), match=match
    )
    classifier().fit(features(), labels()).predict(large)
    neuron = Perceptron().fit(kind(features().astype(np.float32)), labels())
    assert_as_before(neuron, lambda: neuron.predict(large), match=match)


def test_x_too_large_for_float32_elsewhere(target_any):
    if target_any.dtype_name != "float64":
        pytest.skip("its arrays cannot be too large for float32")
    x = target_any.asarray(features())
    model = classifier(dtype="float32").fit(x, labels())
    large = target_any.asarray(spoiled(-1e200))
    assert_as_before(model, lambda: model.predict(large), match="too large for dtype")


@pytest.mark.parametrize(
    ("factor", "what"), [(1e300, "over"), (1e38, "over"), (1e-60, "under"), (1e-39, "under")]
)
def test_weights_too_large_or_too_small_for_the_dtype_of_the_work(target_any, factor, what):
    t, weight = target_any, np.linspace(1.0, 2.0, N)
    x, y = t.asarray(features()), labels()
    match = rf"sample_weight goes up to 2e[+-]\d+ .* {what}flows float32.*Divide the weights"
    held = (x, y, factor * weight)
    for make in (classifier, regressor, Perceptron):
        model = make(dtype="float32")
        for given in ({"sample_weight": factor * weight}, {"validation_data": held}):
            if make is not Perceptron or "sample_weight" in given:
                assert_as_before(model, lambda m=model, g=given: m.fit(x, y, **g), match=match)


def test_weights_of_any_size_the_dtype_holds_do_not_change_the_fit():
    x, y, weight = features(), labels(), np.linspace(1.0, 3.0, N)
    expected = classifier(alpha=1.0).fit(x, y, weight).loss_curve_
    for power in (-900, 900):  # powers of two: nothing is rounded
        scale = 2.0**power
        curve = classifier(alpha=scale).fit(x, y, weight * scale).loss_curve_
        np.testing.assert_allclose(curve, expected, rtol=1e-11)
    match = "overflows float64, the dtype that is computed in here"
    model = classifier(random_state=0)
    assert_as_before(model, lambda: model.fit(x, y, weight * 1e307), match=match)
    model.fit(x, y)
    assert_as_before(model, lambda: model.score(x, y, weight * 1e307), match=match)


# -- what goes wrong on the way ----------------------------------------------------------------


@pytest.mark.parametrize("way", ["diverges", "fails", "ctrl-c twice"])
def test_a_fit_that_ends_badly_changes_nothing(way):
    """In the first epoch: there is no good state to keep."""

    def loss(output, target, weight, xp):
        if way == "fails":
            raise MemoryError("no room")
        for _ in range(2 if way == "ctrl-c twice" else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return xp.sum(output) * math.nan, output * math.nan

    error = {"diverges": ValueError, "fails": MemoryError}.get(way, KeyboardInterrupt)
    for incremental in (False, True):
        fresh = regressor(loss=loss)
        fit = fresh.partial_fit if incremental else fresh.fit
        assert_as_before(fresh, lambda fit=fit: fit(features(), values()), error)
        model = regressor().fit(features(), values()).set_params(loss=loss)
        kept = pickle.dumps(model.predict(features()))
        fit = model.partial_fit if incremental else model.fit
        assert_as_before(model, lambda fit=fit: fit(features(), values()), error)
        assert pickle.dumps(model.predict(features())) == kept
        model.set_params(loss="squared_error").partial_fit(features(), values())


def test_a_device_that_runs_out_of_memory(monkeypatch):
    model = regressor().fit(features(), values())

    def full(*args, **kwargs):
        raise MemoryError("out of memory")

    monkeypatch.setattr(_heldout, "Dataset", full)
    assert_as_before(model, lambda: model.fit(features(), values()), MemoryError)


@pytest.mark.parametrize(
    "call",
    [
        lambda X, y: MLPClassifier((3,), max_iter=1).fit(X, y),
        lambda X, y: MLPClassifier((3,), solver="lbfgs", max_iter=1).fit(X, y),
        lambda X, y: MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", max_fun=1).fit(X, y),
        lambda X, y: make_pipeline(MLPClassifier((3,), solver="lbfgs", max_iter=1)).fit(X, y),
        lambda X, y: cross_val_score(MLPClassifier((3,), max_iter=1), X, y, cv=2),
        lambda X, y: Perceptron(max_iter=1).fit(X, y),
        lambda X, y: MLPRegressor(hidden_layer_sizes=3).partial_fit(X, y[:, None]),
        lambda X, y: MLPClassifier((3,), batch_size=50).partial_fit(X, y, classes=[0, 1]),
    ],
)
def test_warnings_point_at_the_users_line(call):
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(X, y)
    assert {w.filename for w in caught} == {__file__}


def test_held_out_counts_are_not_negative_either():
    X, y = np.eye(4), np.arange(4.0)
    with pytest.raises(ValueError, match="at least 0"):
        MLPRegressor("poisson").fit(X, y, validation_data=(X, -y))


GAPS = {
    "an array": (lambda y: y, "rows 4 and 9: leave them out"),
    "a list with None": (lambda y: [None, *y.tolist()[1:]], "rows 0, 4 and 9: leave"),
    "a nullable series": (lambda y: pd.Series(y).astype("Float64"), "rows 4 and 9"),
    "a column": (lambda y: np.where(np.arange(30) > 4, 0.0, y)[:, None], "row 4: leave it out"),
    "infinity in two columns": (lambda y: np.column_stack([y, 1 / np.arange(30)]), "rows 0, 4"),
}


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:A column-vector")
@pytest.mark.parametrize("kind", GAPS)
def test_an_error_of_y_names_rows(kind):
    change, match = GAPS[kind]
    y = np.arange(30.0)
    y[[4, 9]] = np.nan
    with pytest.raises(ValueError, match=rf"Input y contains (NaN|infinity).*It stands in {match}"):
        MLPRegressor().fit(np.zeros((30, 2)), change(y))


def test_an_error_of_y_names_rows_on_every_target(target):
    y = np.arange(8.0)
    y[3] = np.nan
    with pytest.raises(ValueError, match=r"Input y contains NaN\. It stands in row 3"):
        MLPRegressor().fit(target.asarray(np.zeros((8, 2))), target.asarray(y))


@pytest.mark.parametrize("model", [MLPClassifier(), Perceptron(), TabularClassifier()])
@pytest.mark.parametrize("dtype", [object, "category", "string", "str"])
def test_labels_that_are_missing_are_named(model, dtype):
    y = pd.Series(["a", "b", "a", None] * 5, dtype=dtype)
    for given in [y, y.to_numpy(object)]:
        with pytest.raises(ValueError, match="y has no label in row 3: leave such rows out"):
            model.fit(np.zeros((20, 2)), given)


@pytest.mark.parametrize("model", [MLPClassifier(), Perceptron(), TabularClassifier()])
def test_labels_of_two_kinds_are_named(model):
    with pytest.raises(ValueError, match="y holds text and other labels, such as 'a' and 1"):
        model.fit(np.zeros((4, 2)), np.array(["a", 1, "a", 1], dtype=object))
