"""Parameters and functions that cannot be get a clear error, and the estimator is as it was."""

import math

import numpy as np
import pytest
import sklearn
from mistakes import N, assert_as_before, classifier, features, labels, regressor, values

from xpnn import Activation, Perceptron, ProgressBar
from xpnn.estimators._labels import CLASS_LOSSES
from xpnn.losses import LOSSES, REGRESSION_LOSSES, get_loss
from xpnn.schedules import get_schedule

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


class Module:
    """As PyTorch's: called with anything, which `forward` does not take."""

    def __call__(self, *args, **options):
        return self.forward(*args, **options)

    def forward(self, given):
        return given


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
    ("learning_rate", 0.01, "'learning_rate' .* the rate itself is learning_rate_init=0.01"),
    ("callbacks", [3], "callable with an EpochEnd, got 3"),
    ("callbacks", [lambda: None], r"callback '<lambda>' cannot be called with \(end\)"),
    ("callbacks", ProgressBar, r"the class ProgressBar: pass an object of it, as ProgressBar\("),
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
        Module(),
    ],
)
def test_activation_that_takes_other_arguments(spec):
    model = classifier(activation=spec)
    match = r"activation '.*' cannot be called with \((z, xp|z, a, xp)\)"
    assert_as_before(model, lambda: model.fit(features(), labels()), match=match)


WRONG_ARGUMENTS = {
    "loss": (
        r"loss '.*' cannot be called with \(output, target, weight, xp\): pass",
        [lambda output, target: 0.0, lambda *, output: 0.0, np.tanh, Module()],
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
