"""Bad input gets a clear error, and the estimator is as it was before."""

import dataclasses
import math
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
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from xpnn import Activation, MLPClassifier, MLPRegressor, Perceptron, get_backend, to_numpy
from xpnn.backends import Backend
from xpnn.estimators import _heldout
from xpnn.estimators._labels import CLASS_LOSSES
from xpnn.losses import LOSSES, REGRESSION_LOSSES, get_loss
from xpnn.schedules import get_schedule

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

N, N_IN = 30, 3
OPTIONS = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}


def features():
    return np.random.default_rng(0).normal(size=(N, N_IN)).astype(np.float32).astype(float)


def labels():
    return features()[:, :3].argmax(axis=1)


def values():
    return features() @ np.array([1.0, -2.0, 0.5])


def spoiled(value, at=(7, 1)):
    x = features() if len(at) == 2 else values()
    x[at] = value
    return x


def classifier(**options):
    return MLPClassifier(**OPTIONS | options)


def regressor(**options):
    return MLPRegressor(**OPTIONS | options)


def frozen(a):
    """Everything that an object holds, as plain data that equals itself when nothing changed."""
    if a is None or isinstance(a, str | bytes | int | float | Backend):
        return repr(a)
    if isinstance(a, dict):
        return {k: frozen(v) for k, v in a.items()}
    if isinstance(a, list | tuple):
        return [frozen(v) for v in a]
    if dataclasses.is_dataclass(a) and not isinstance(a, type):
        return frozen({f.name: getattr(a, f.name) for f in dataclasses.fields(a)})
    if array_api_compat.is_array_api_obj(a):
        host = to_numpy(a)
        return str(type(a)), str(host.dtype), host.shape, host.tobytes()
    return id(a)


def assert_as_before(model, action, error=ValueError, match=None):
    before = frozen(vars(model))
    with pytest.raises(error, match=match) as caught:
        action()
    assert frozen(vars(model)) == before
    return str(caught.value)


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


# -- parameters --------------------------------------------------------------------------------

BAD_PARAMETERS = [
    ("hidden_layer_sizes", (0,), "hidden_layer_sizes must be > 0, got"),
    ("hidden_layer_sizes", (-3,), "hidden_layer_sizes must be > 0, got"),
    ("hidden_layer_sizes", -3, r"'hidden_layer_sizes' .* int in the range \[1, inf\). Got -3"),
    ("hidden_layer_sizes", 2.5, "'hidden_layer_sizes' .* Got 2.5"),
    ("hidden_layer_sizes", (2.5,), r"hidden_layer_sizes must be whole numbers, got \[2.5\]"),
    ("hidden_layer_sizes", (True,), "hidden_layer_sizes must be whole numbers"),
    ("hidden_layer_sizes", ("8",), "hidden_layer_sizes must be whole numbers"),
    ("batch_size", 0, "'batch_size'"),
    ("batch_size", 2.5, "'batch_size'"),
    ("max_iter", 0, "'max_iter'"),
    ("max_iter", 1.5, "'max_iter'"),
    ("dropout", 1.0, r"'dropout' .* in the range \[0.0, 1.0\). Got 1.0"),
    ("dropout", -0.1, "'dropout'"),
    ("dropout", math.nan, "'dropout'"),
    ("input_dropout", 1.5, "'input_dropout'"),
    ("learning_rate_init", 0.0, "'learning_rate_init'"),
    ("alpha", -1.0, "'alpha'"),
    ("callbacks", [3], "callable with an EpochEnd, got 3"),
    ("device", "tpu9", "unknown device 'tpu9'.*torch"),
    ("dtype", "float16", "'float32'"),
]


@pytest.mark.parametrize(("name", "value", "match"), BAD_PARAMETERS)
def test_bad_parameters(name, value, match):
    for make, y in ((classifier, labels()), (regressor, values())):
        fresh = make(**{name: value})
        assert_as_before(fresh, lambda m=fresh, y=y: m.fit(features(), y), match=match)
        model = make().fit(features(), y).set_params(**{name: value})
        assert_as_before(model, lambda m=model, y=y: m.fit(features(), y), match=match)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, np.float32(-1), "0.1", None, 1j])
def test_a_parameter_changed_between_two_partial_fits_is_checked(value):
    for make, y in ((classifier, labels()), (regressor, values()), (Perceptron, labels() > 0)):
        model = make().fit(features(), y).set_params(alpha=value)
        text = rf"'alpha' parameter of \w+ must be a float in the range \[0.0, inf\).*Got {value!r}"
        text = text.replace("(-1.0)", r"\(-1.0\)")
        for error in (ValueError, TypeError):  # one may expect either, as of scikit-learn's
            action = lambda m=model, y=y: m.partial_fit(features(), y)  # noqa: E731
            assert_as_before(model, action, error, text)


def test_scikit_learns_setting_turns_the_check_off():
    model = classifier(alpha=np.True_, shuffle="yes")
    with pytest.raises(ValueError, match=r"'alpha' .* Got np.True_"):
        model.fit(features(), labels())
    with sklearn.config_context(skip_parameter_validation=True):
        assert model.fit(features(), labels()).n_iter_ == 3


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("activation", ["relu", "tanh", "gelu", "logistic"]),
        ("solver", ["adam", "sgd", "adamw", "rmsprop", "adagrad"]),
        ("learning_rate", ["constant", "invscaling", "adaptive", "cosine"]),
        ("initializer", ["glorot_uniform", "he_normal", "orthogonal"]),
        ("loss", []),
        ("dtype", ["float32", "float64"]),
        ("device", ["numpy", "cupy", "torch", "jax"]),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(name, known):
    for make, y, losses in (
        (classifier, labels(), ["log_loss", "hinge"]),
        (regressor, values(), ["squared_error", "poisson", "huber", "pinball"]),
    ):
        model = make(**{name: "nonesuch"})
        text = assert_as_before(model, lambda m=model, y=y: m.fit(features(), y), match="nonesuch")
        for word in known or losses:
            assert word in text


OTHER_SHAPES = {
    "mean": (lambda z, xp: xp.mean(z, axis=0, keepdims=True), lambda z, a, xp: 0.0 * z),
    "sum": (lambda z, xp: xp.sum(z, axis=1), lambda z, a, xp: 0.0 * z),
    "derivative": (lambda z, xp: z, lambda z, a, xp: xp.ones_like(z[:1, :])),
    "pullback": Activation("mine", lambda z, xp: z, pullback=lambda z, a, g, xp: g[:1, :]),
}


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"normalization": "layer"}], ids=str)
@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_activation_that_changes_the_shape(target_any, name, options):
    t, spec = target_any, OTHER_SHAPES[name]
    x, y = t.asarray(features()), t.asarray(values())
    match = r"activation '.*' returned shape \(.*\) for an input of shape \(2, 4\).*keep the shape"
    model = regressor(activation=spec, **options)
    assert_as_before(model, lambda: model.fit(x, y), match=match)
    if name in ("mean", "sum"):  # weights that were never trained
        model.initialize(x, y)
        match = r"activation '.*' returned shape \(.*\) for an input of shape"
        assert_as_before(model, lambda: model.predict(x), match=match)


def test_derivative_may_be_a_number(target_any):
    x, y = target_any.asarray(features()), target_any.asarray(values())
    spec = (lambda z, xp: 2.0 * z, lambda z, a, xp: 2.0)
    array = (lambda z, xp: 2.0 * z, lambda z, a, xp: 2.0 * xp.ones_like(z))
    curves = [regressor(activation=s).fit(x, y).loss_curve_ for s in (spec, array)]
    assert curves[0] == curves[1]


def test_activation_that_cannot_be_trained():
    for spec in ("step", lambda z, xp: z):
        model = classifier(activation=spec)
        assert_as_before(
            model, lambda m=model: m.fit(features(), labels()), match="has no derivative"
        )


@pytest.mark.parametrize(
    "spec",
    [
        np.tanh,
        (np.tanh, lambda z, a, xp: 1 - a * a),
        (lambda z: z, lambda z, a, xp: 1 - a * a),
        (lambda z, xp: z, lambda z, xp: 1),
    ],
)
def test_activation_that_takes_other_arguments(spec):
    model = classifier(activation=spec)
    match = r"activation '.*' cannot be called with \((z, xp|z, a, xp)\)"
    assert_as_before(model, lambda: model.fit(features(), labels()), match=match)


WRONG_ARGUMENTS = {
    "loss": (
        r"loss '.*' cannot be called with \(output, target, weight, xp\): pass",
        [lambda output, target: 0.0, lambda *, output: 0.0, np.tanh],
    ),
    "learning_rate": (
        r"schedule '.*' cannot be called with \(base_lr, progress\): pass",
        [lambda base_lr: base_lr, lambda a, b, c: a, np.minimum],
    ),
    "initializer": (
        r"initializer '.*' cannot be called with \(rng, fan_in, fan_out\): pass",
        [lambda shape: np.zeros(shape), lambda rng, fan_in: 0.0, np.tanh],
    ),
}


@pytest.mark.parametrize("name", WRONG_ARGUMENTS)
def test_loss_schedule_or_initializer_that_takes_other_arguments(name):
    match, functions = WRONG_ARGUMENTS[name]
    for function in functions:
        for make, y in ((classifier, labels()), (regressor, values())):
            model = make(**{name: function})
            assert_as_before(model, lambda m=model, y=y: m.fit(features(), y), match=match)


def test_own_function_that_says_nothing_of_its_arguments_is_taken():
    schedule = get_schedule(max)  # compiled: without a signature
    assert schedule.params == ()


def test_losses_of_classification_are_none_of_regression():
    for loss in ("softmax_cross_entropy", "binary_cross_entropy", "hinge", "perceptron"):
        model = regressor(loss=loss)
        assert_as_before(
            model, lambda m=model: m.fit(features(), values()), match="'loss'.*squared_error"
        )
        for spec in (get_loss(loss), LOSSES[loss].function):
            model = regressor(loss=spec)
            text = assert_as_before(
                model, lambda m=model: m.fit(features(), values()), match=f"'{loss}' is one of cla"
            )
            assert all(name in text for name in REGRESSION_LOSSES)


def two_labels():
    return (features()[:, :2] > 0).astype(int)


@pytest.mark.parametrize(
    ("y", "kind", "fitting"),
    [
        (labels() > 0, "binary", "binary_cross_entropy"),
        (labels(), "multiclass", "softmax_cross_entropy"),
        (two_labels(), "multilabel", "binary_cross_entropy"),
    ],
    ids=("binary", "multiclass", "multilabel"),
)
def test_losses_that_do_not_fit_the_labels(y, kind, fitting):
    expected = classifier().fit(features(), y).loss_curve_
    for spec in (fitting, get_loss(fitting), LOSSES[fitting].function):
        model = classifier(loss=spec).fit(features(), y)
        assert model.loss_curve_ == expected
        assert model.predict_proba(features()).shape[0] == N
    for name in sorted(set(LOSSES) - {fitting, "hinge"}):
        specs = [get_loss(name), LOSSES[name].function]
        for spec in specs + [name] * (name in CLASS_LOSSES):
            model, match = classifier(loss=spec), f"'{name}' does not fit {kind} labels.*{fitting}"
            assert_as_before(model, lambda m=model: m.fit(features(), y), match=match)
        if name not in CLASS_LOSSES:
            model = classifier(loss=name)
            assert_as_before(model, lambda m=model: m.fit(features(), y), match="'log_loss'")


def test_hinge_is_the_same_by_name_and_as_an_object():
    for y in (labels(), labels() > 0, two_labels()):
        named = classifier(loss="hinge").fit(features(), y)
        for spec in (get_loss("hinge"), LOSSES["hinge"].function):
            model = classifier(loss=spec).fit(features(), y)
            assert model.loss_curve_ == named.loss_curve_
            assert not hasattr(model, "predict_proba")


def test_loss_of_ones_own_that_returns_something_else():
    model = regressor(loss=lambda output, target, weight, xp: xp.sum(output))
    assert_as_before(model, lambda: model.fit(features(), values()), match="0-d array and a grad")


# -- predict -----------------------------------------------------------------------------------


def test_scores_of_strings_beside_numbers():
    model = classifier().fit(features(), labels())
    with pytest.raises(ValueError, match="Mix of label input types"):
        model.score(features(), labels().astype(str))


def test_predict_before_fit():
    model = classifier()
    for method in ("predict", "predict_proba", "predict_log_proba"):
        assert_as_before(
            model, lambda f=method: getattr(model, f)(features()), NotFittedError, "not fitted yet"
        )
    assert_as_before(model, lambda: model.score(features(), labels()), NotFittedError)


def test_predict_with_another_number_of_features(target_any):
    t = target_any
    model = regressor().fit(t.asarray(features()), t.asarray(values()))
    wide = np.ones((2, N_IN + 2))
    match = "X has 5 features, but MLPRegressor is expecting 3 features as input"
    assert_as_before(model, lambda: model.predict(t.asarray(wide)), match=match)
    assert_as_before(model, lambda: model.partial_fit(t.asarray(wide), values()[:2]), match=match)
    for bad, what in ((spoiled(np.nan), "contains NaN"), (features()[:0], "0 sample")):
        assert_as_before(model, lambda b=bad: model.predict(t.asarray(b)), match=what)


def test_arrays_of_another_library_than_fits(target_any):
    t = target_any
    other = get_backend("numpy" if t.backend.name != "numpy" else "array_api_strict:device2")
    x, y = t.asarray(features()), t.asarray(labels())
    model = classifier().fit(x, y)
    elsewhere = other.asarray(features().astype(np.float32))
    actions = {
        "predict": lambda: model.predict(elsewhere),
        "predict_proba": lambda: model.predict_proba(elsewhere),
        "predict_log_proba": lambda: model.predict_log_proba(elsewhere),
        "score": lambda: model.score(elsewhere, labels()),
        "partial_fit": lambda: model.partial_fit(elsewhere, labels()),
    }
    for name, action in actions.items():
        text = assert_as_before(model, action, match="must use the same namespace")
        assert f"MLPClassifier.{name}()" in text  # scikit-learn's check looks for it
        assert str(other) in text
        assert str(t.backend) in text
        assert f"get_backend('{t.backend.name}').asarray(X)" in text  # how to move
    moved = t.backend.asarray(elsewhere)
    model.predict(moved)
    assert_as_before(
        model,
        lambda: model.fit(x, y, validation_data=(elsewhere, labels())),
        match="must use the same namespace",
    )


def test_bad_validation_data():
    model, x, y = regressor(), features(), values()
    for given, match in (
        (3, "must be a tuple .X, y. or .X, y, sample_weight., got int"),
        ((x,), "must be a tuple"),
        ((x[:, :2], y), "X has 2 features"),
        ((spoiled(np.nan), y), "contains NaN"),
        ((x, y[:-1]), "inconsistent"),
        ((x, np.stack([y, y], axis=1)), "2 outputs"),
    ):
        assert_as_before(model, lambda g=given: model.fit(x, y, validation_data=g), match=match)


# -- partial_fit -------------------------------------------------------------------------------


def test_labels_unseen_in_partial_fit(target_any):
    t, model = target_any, classifier()
    x, y = t.asarray(features()), t.asarray(labels())
    assert_as_before(
        model, lambda: model.partial_fit(x, y), match="classes must be passed on the first call"
    )
    model.partial_fit(x, y, classes=[0, 1, 2])
    unseen = t.asarray(labels() + 1)
    assert_as_before(model, lambda: model.partial_fit(x, unseen), match="classes not in")
    assert_as_before(
        model, lambda: model.partial_fit(x, y, classes=[0, 1]), match="not the same as on last call"
    )
    fresh = classifier()
    assert_as_before(fresh, lambda: fresh.partial_fit(x, y, classes=[0, 1]), match="classes not in")


def test_outputs_that_change_in_partial_fit():
    model = regressor().fit(features(), values())
    two = np.stack([values()] * 2, axis=1)
    assert_as_before(model, lambda: model.partial_fit(features(), two), match="has 2 outputs")
    many = MLPClassifier(**OPTIONS).fit(features(), (features() > 0).astype(int))
    for y in ((features()[:, :2] > 0).astype(int), labels()):
        assert_as_before(many, lambda y=y: many.partial_fit(features(), y))


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
