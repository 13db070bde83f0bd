"""Every loss against independent formulas, scikit-learn and central differences."""

import copy
import pickle

import array_api_compat.numpy as np_xp
import numpy as np
import pytest
from differences import central_differences
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn import metrics

from xpnn.activations import ACTIVATIONS
from xpnn.losses import LOSSES, Loss, get_loss

NAMES = list(LOSSES)
N, K = 6, 3
RNG = np.random.default_rng(0)
OUTPUT = 2.0 * RNG.normal(size=(N, K))
WEIGHT = np.asarray([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])

# What a loss is asked for: targets by name, plain numbers for any other.
REAL = OUTPUT + RNG.normal(size=(N, K))
SIGNS = np.where(RNG.random((N, K)) < 0.5, -1.0, 1.0)
PROBABILITIES = special.softmax(RNG.normal(size=(N, K)), axis=1)
TARGETS = {
    "poisson": RNG.poisson(2.0, (N, K)).astype(float),
    "binary_cross_entropy": RNG.random((N, K)),
    "softmax_cross_entropy": PROBABILITIES,
    "hinge": SIGNS,
    "perceptron": SIGNS,
}
LABELS = np.asarray([0, 2, 1, 1, 0, 2])


def target_of(name):
    return TARGETS.get(name, REAL)


def huber_oracle(r, delta=1.0):
    return np.where(np.abs(r) <= delta, r**2 / 2, delta * (np.abs(r) - delta / 2))


def binary_oracle(o, t):
    return -special.xlogy(t, special.expit(o)) - special.xlogy(1 - t, special.expit(-o))


# The loss of each element, and how a row and the whole are made of them.
ORACLE = {
    "half_squared_error": lambda o, t: (o - t) ** 2 / 2,
    "squared_error": lambda o, t: (o - t) ** 2 / o.shape[1],
    "sum_squared_error": lambda o, t: (o - t) ** 2,
    "absolute_error": lambda o, t: np.abs(o - t),
    "huber": lambda o, t: huber_oracle(o - t),
    "log_cosh": lambda o, t: np.log(np.cosh(o - t)),
    "pinball": lambda o, t: 0.5 * np.abs(o - t),
    "poisson": lambda o, t: special.kl_div(t, np.exp(o)),
    "binary_cross_entropy": binary_oracle,
    "softmax_cross_entropy": lambda o, t: -t * special.log_softmax(o, axis=1),
    "hinge": lambda o, t: np.maximum(0, 1 - t * o),
    "perceptron": lambda o, t: np.maximum(0, -t * o),
}


def oracle(name, weight):
    rows = ORACLE[name](OUTPUT, target_of(name)).sum(axis=1)
    if name == "sum_squared_error":
        return rows.sum() if weight is None else (weight * rows).sum()
    return np.average(rows, weights=weight)


def on(target, loss, output=OUTPUT, t=None, weight=None):
    """Run a loss on a target without a sync."""
    t = target_of(loss.name) if t is None else t
    arrays = [None if x is None else target.asarray(x) for x in (output, t, weight)]
    with target.forbid_sync():
        return loss(*arrays, target.xp)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", ORACLE)
def test_value_equals_an_independent_formula(target, name, weight):
    value, gradient = on(target, LOSSES[name], weight=weight)
    target.assert_close(value, oracle(name, weight))
    target.assert_here(gradient)
    assert gradient.shape == (N, K)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_equals_central_differences(name, weight):
    loss, t = LOSSES[name], target_of(name)
    _, gradient = loss(OUTPUT, t, weight, np_xp)
    numeric = central_differences(lambda o: loss(o, t, weight, np_xp)[0], OUTPUT)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-8, atol=1e-8 * np.abs(numeric).max())


PARAMETERS = [
    ("huber", {"delta": 0.3}),
    ("huber", {"delta": 10}),
    ("pinball", {"quantile": 0.1}),
    ("pinball", {"quantile": np.float64(0.9)}),
    ("binary_cross_entropy", {"label_smoothing": 0.2}),
    ("softmax_cross_entropy", {"label_smoothing": 0.1}),
]


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_gradient_with_parameters_equals_central_differences(target, name, params):
    loss, t = get_loss(name, **params), target_of(name)
    expected, _ = loss(OUTPUT, t, WEIGHT, np_xp)
    numeric = central_differences(lambda o: loss(o, t, WEIGHT, np_xp)[0], OUTPUT)
    value, gradient = on(target, loss, weight=WEIGHT)
    target.assert_close(value, expected)
    target.assert_close(gradient, numeric, rtol=max(1e-8, target.tol))


@pytest.mark.parametrize("name", NAMES)
def test_every_target_agrees_with_numpy(target, name):
    expected, slope = LOSSES[name](OUTPUT, target_of(name), WEIGHT, np_xp)
    value, gradient = on(target, LOSSES[name], weight=WEIGHT)
    target.assert_close(value, expected)
    target.assert_close(gradient, slope)


@pytest.mark.parametrize("name", NAMES)
def test_weights_all_zero_give_zero(target, name):
    value, gradient = on(target, LOSSES[name], weight=np.zeros(N))
    target.assert_close(value, 0.0)
    target.assert_close(gradient, np.zeros((N, K)))


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", NAMES)
def test_far_out_outputs_are_finite_and_warn_of_nothing(target, name, weight):
    output = np.resize([-1e4, 1e4, 0.0, 1e4, -100.0], (N, K))
    value, gradient = on(target, LOSSES[name], output, weight=weight)
    assert np.isfinite(target.to_numpy(value))
    assert np.isfinite(target.to_numpy(gradient)).all()


@pytest.mark.parametrize("name", NAMES)
def test_nan_shows_in_the_loss(name):
    output = OUTPUT.copy()
    output[1, 1] = np.nan
    assert np.isnan(LOSSES[name](output, target_of(name), None, np_xp)[0])


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_is_zero(target_any, name):
    if name == "softmax_cross_entropy":  # also as labels
        value, _ = on(target_any, LOSSES[name], np.zeros((0, K)), np.zeros(0, int))
        target_any.assert_close(value, 0.0)
    value, gradient = on(target_any, LOSSES[name], np.zeros((0, K)), np.zeros((0, K)))
    target_any.assert_close(value, 0.0)
    assert gradient.shape == (0, K)


@given(st.lists(st.integers(0, 4), min_size=N, max_size=N).filter(any))
def test_a_weight_is_a_number_of_repetitions(counts):
    for name in NAMES:
        loss, t, weight = LOSSES[name], target_of(name), np.asarray(counts, float)
        rows = np.repeat(np.arange(N), counts)
        value, gradient = loss(OUTPUT, t, weight, np_xp)
        expected, slope = loss(OUTPUT[rows], t[rows], None, np_xp)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        summed = np.zeros((N, K))
        np.add.at(summed, rows, slope)
        np.testing.assert_allclose(gradient, summed, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sum_squared_error"])
def test_the_scale_of_the_weights_does_not_matter(name):
    value, gradient = LOSSES[name](OUTPUT, target_of(name), WEIGHT, np_xp)
    scaled, slope = LOSSES[name](OUTPUT, target_of(name), 1e3 * WEIGHT, np_xp)
    np.testing.assert_allclose(value, scaled, rtol=1e-13)
    np.testing.assert_allclose(gradient, slope, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["widest", "int32", "uint8", "float"])
@pytest.mark.parametrize("params", [{}, {"label_smoothing": 0.1}], ids=["hard", "smoothed"])
def test_labels_are_one_hot_probabilities(target, dtype, params):
    loss = get_loss("softmax_cross_entropy", **params)
    expected, slope = loss(OUTPUT, np.eye(K)[LABELS], WEIGHT, np_xp)
    named = {"widest": None, "float": target.dtype_name}.get(dtype, dtype)
    labels = target.asarray(LABELS, named)
    with target.forbid_sync():
        value, gradient = loss(target.asarray(OUTPUT), labels, target.asarray(WEIGHT), target.xp)
    target.assert_close(value, expected)
    target.assert_close(gradient, slope)


def test_poisson_of_tiny_and_of_no_counts(target):
    t = np.asarray([[0.0, 1e-30, 1e-6, 1e-3, 0.5, 1e3]])
    output = np.zeros((1, 6))
    value, gradient = on(target, LOSSES["poisson"], output, t)
    target.assert_close(value, special.kl_div(t, np.ones((1, 6))).sum())
    target.assert_close(gradient, 1.0 - t)


@pytest.mark.parametrize(("name", "output"), [("perceptron", 0.0), ("hinge", 1.0)])
def test_a_row_on_the_margin_still_learns(target, name, output):
    """As in scikit-learn; a perceptron starts at zero."""
    sign = np.asarray([[1.0], [-1.0]])
    value, gradient = on(target, LOSSES[name], output * sign, sign)
    target.assert_close(value, 0.0)
    target.assert_close(gradient, -0.5 * sign)


def test_label_smoothing_moves_the_target():
    hot = np.eye(K)[LABELS]
    for name, moved in (
        ("softmax_cross_entropy", 0.9 * hot + 0.1 / K),
        ("binary_cross_entropy", 0.9 * hot + 0.05),
    ):
        value, _ = get_loss(name, label_smoothing=0.1)(OUTPUT, hot, None, np_xp)
        np.testing.assert_allclose(value, ORACLE[name](OUTPUT, moved).sum() / N, rtol=1e-13)


SKLEARN = {
    "half_squared_error": lambda t, p, w: (
        0.5 * K * metrics.mean_squared_error(t, p, sample_weight=w)
    ),
    "squared_error": lambda t, p, w: metrics.mean_squared_error(t, p, sample_weight=w),
    "absolute_error": lambda t, p, w: K * metrics.mean_absolute_error(t, p, sample_weight=w),
    "pinball": lambda t, p, w: K * metrics.mean_pinball_loss(t, p, sample_weight=w),
    "poisson": lambda t, p, w: (
        0.5
        * sum(metrics.mean_poisson_deviance(t[:, k], p[:, k], sample_weight=w) for k in range(K))
    ),
    "softmax_cross_entropy": lambda t, p, w: metrics.log_loss(LABELS, p, sample_weight=w),
    "binary_cross_entropy": lambda t, p, w: sum(
        metrics.log_loss(t[:, k], p[:, k], sample_weight=w, labels=[0, 1]) for k in range(K)
    ),
    "hinge": lambda t, p, w: sum(
        metrics.hinge_loss(t[:, k], p[:, k], sample_weight=w, labels=[-1, 1]) for k in range(K)
    ),
}


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", SKLEARN)
def test_scikit_learn_measures_the_same_through_the_link(name, weight):
    t = target_of(name)
    if name.endswith("cross_entropy"):
        t = np.eye(K)[LABELS]
    loss = LOSSES[name]
    prediction = ACTIVATIONS[loss.link](OUTPUT, np_xp)
    value, _ = loss(OUTPUT, t, weight, np_xp)
    np.testing.assert_allclose(value, SKLEARN[name](t, prediction, weight), rtol=1e-12)


def test_torch_measures_the_same(torch):
    f = torch.nn.functional
    output = torch.tensor(OUTPUT, requires_grad=True)
    real, labels = torch.tensor(REAL), torch.tensor(LABELS)
    for theirs, ours, t in (
        (f.huber_loss(output, real, delta=0.4) * K, get_loss("huber", delta=0.4), REAL),
        (f.l1_loss(output, real) * K, get_loss("absolute_error"), REAL),
        (
            f.cross_entropy(output, labels, label_smoothing=0.3),
            get_loss("softmax_cross_entropy", label_smoothing=0.3),
            LABELS,
        ),
    ):
        (slope,) = torch.autograd.grad(theirs, output)
        value, gradient = ours(OUTPUT, t, None, np_xp)
        np.testing.assert_allclose(value, theirs.item(), rtol=1e-13)
        np.testing.assert_allclose(gradient, slope.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("quantile", "expected"), [(0.1, 1.0), (0.5, 5.0), (0.9, 9.0)])
def test_the_quantile_has_the_least_pinball_loss(quantile, expected):
    t = np.arange(11.0)[:, None]
    loss = get_loss("pinball", quantile=quantile)
    values = [loss(np.full((11, 1), c), t, None, np_xp)[0] for c in np.arange(11.0)]
    assert np.argmin(values) == expected


@pytest.mark.targets("jax:cpu", "jax:cuda")
@pytest.mark.parametrize("name", NAMES)
def test_jit_and_autodiff(target, name):
    import jax

    loss, t, w = LOSSES[name], target.asarray(target_of(name)), target.asarray(WEIGHT)
    compiled = jax.jit(lambda o: loss(o, t, w, target.xp))(target.asarray(OUTPUT))
    target.assert_close(compiled[0], oracle(name, WEIGHT) if name in ORACLE else compiled[0])
    slope = jax.grad(lambda o: loss(o, t, w, target.xp)[0])(target.asarray(OUTPUT))
    target.assert_close(compiled[1], target.to_numpy(slope))


@pytest.mark.parametrize("name", NAMES)
def test_torch_meta_reads_nothing(name, torch):
    import array_api_compat.torch as xp

    output, weight = torch.empty((N, K), device="meta"), torch.empty(N, device="meta")
    for w in (None, weight):
        value, gradient = LOSSES[name](output, output, w, xp)
        assert (value.shape, gradient.shape) == ((), (N, K))


@pytest.mark.parametrize("name", NAMES)
def test_pickle_copy_and_hash(name):
    loss = LOSSES[name]
    assert pickle.loads(pickle.dumps(loss)) == copy.deepcopy(loss) == loss
    assert hash(loss) == hash(copy.deepcopy(loss))
    assert get_loss(name) is loss
    assert loss.link in ACTIVATIONS


def cubic(output, target, weight, xp, *, power=3.0):
    r = output - target
    return xp.sum(xp.abs(r) ** power), power * r * xp.abs(r) ** (power - 2.0)


def test_a_users_own_function(target):
    loss = get_loss(cubic)
    assert (loss.name, loss.link, loss.params) == ("cubic", "identity", (("power", 3.0),))
    value, gradient = on(target, Loss("cubic", cubic))
    target.assert_close(value, np.sum(np.abs(OUTPUT - REAL) ** 3))
    assert gradient.shape == (N, K)
    assert get_loss(loss, power=2).params == (("power", 2.0),)
    assert get_loss(cubic, power=2).params == (("power", 2.0),)


@pytest.mark.parametrize(
    "wrong", [None, 1.0, (1.0, OUTPUT), (np.ones(1), OUTPUT), (np.float64(1), OUTPUT[:, :1])]
)
def test_a_users_wrong_result_is_an_error(wrong):
    loss = get_loss(lambda output, target, weight, xp: wrong)
    with pytest.raises(ValueError, match=r"must return a tuple of a 0-d array and .*\(6, 3\)"):
        loss(OUTPUT, REAL, None, np_xp)


def test_parameters_given_are_kept_beside_those_changed():
    loss = get_loss("huber", delta=2)
    assert get_loss(loss).params == (("delta", 2.0),)
    assert get_loss(loss, delta=3).params == (("delta", 3.0),)
    assert LOSSES["huber"].params == (("delta", 1.0),)


BAD = [np.nan, np.inf, -0.1, "1", None, True, [0.5]]


@pytest.mark.parametrize("value", BAD, ids=repr)
@pytest.mark.parametrize(
    ("name", "param"),
    [("huber", "delta"), ("pinball", "quantile"), ("softmax_cross_entropy", "label_smoothing")],
)
def test_a_parameter_out_of_range_is_an_error(name, param, value):
    with pytest.raises(
        ValueError, match=rf"{param} of loss '{name}' is .*expected a finite number"
    ):
        get_loss(name, **{param: value})


@pytest.mark.parametrize(
    ("name", "param", "value"),
    [
        ("huber", "delta", 0),
        ("pinball", "quantile", 0),
        ("pinball", "quantile", 1),
        ("binary_cross_entropy", "label_smoothing", 1),
    ],
)
def test_the_end_of_an_open_range_is_an_error(name, param, value):
    with pytest.raises(ValueError, match=param):
        get_loss(name, **{param: value})


def test_an_unknown_parameter_or_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'huber' has no parameter 'dleta': it takes delta"):
        get_loss("huber", dleta=1.0)
    with pytest.raises(ValueError, match=r"did you mean 'huber'\?") as error:
        get_loss("hubert")
    assert all(name in str(error.value) for name in NAMES)
    with pytest.raises(
        ValueError, match=r"'log_loss' is an estimator's .* 'softmax_cross_entropy'"
    ):
        get_loss("log_loss")
    with pytest.raises(ValueError, match="expected a name"):
        get_loss(3)
    with pytest.raises(ValueError, match="expected a function"):
        Loss("nothing", None)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_of_another_shape_is_an_error(name):
    with pytest.raises(ValueError, match=r"\(6, 2\).*\(6, 3\).*reshape the target"):
        LOSSES[name](OUTPUT, target_of(name)[:, :2], None, np_xp)


def test_a_column_against_a_row_is_an_error():
    with pytest.raises(ValueError, match="reshape"):
        LOSSES["half_squared_error"](np.ones((4, 1)), np.ones(4), None, np_xp)
