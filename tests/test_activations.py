"""Every activation against SciPy and central differences, on every target."""

import copy
import pickle

import array_api_compat.numpy as np_xp
import numpy as np
import pytest
from differences import central_differences
from scipy import special

from xpnn.activations import ACTIVATIONS, Activation, get_activation

NAMES = list(ACTIVATIONS)
DIFFERENTIABLE = [name for name in NAMES if ACTIVATIONS[name].differentiable]

# Independent formulas, (value, derivative) in float64. An entry of ACTIVATIONS without a line here
# is still checked by central differences and between libraries.
LAMBDA, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def gelu_oracle(z):
    return z * special.expit(2 * np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))


ORACLE = {
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
    "step": (lambda z: np.heaviside(z, 1.0), None),
    "sigmoid": (special.expit, lambda z: special.expit(z) * special.expit(-z)),
    "tanh": (np.tanh, lambda z: np.cosh(z) ** -2),
    "relu": (lambda z: z * (z > 0), lambda z: np.heaviside(z, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, z / 100), lambda z: np.where(z > 0, 1, 0.01)),
    "elu": (lambda z: np.where(z > 0, z, np.exp(z) - 1), lambda z: np.exp(np.minimum(z, 0))),
    "selu": (
        lambda z: LAMBDA * np.where(z > 0, z, ALPHA * (np.exp(z) - 1)),
        lambda z: LAMBDA * np.where(z > 0, 1, ALPHA * np.exp(z)),
    ),
    "gelu": (gelu_oracle, None),
    "silu": (
        lambda z: z * special.expit(z),
        lambda z: special.expit(z) * (1 + z * special.expit(-z)),
    ),
    "mish": (lambda z: z * np.tanh(np.log1p(np.exp(z))), None),
    "softplus": (lambda z: -special.log_expit(-z), special.expit),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: (1 + np.abs(z)) ** -2.0),
    "hard_sigmoid": (
        lambda z: np.interp(z, [-3, 3], [0, 1]),
        lambda z: np.where(np.abs(z) < 3, 1 / 6, 0),
    ),
    "exp": (np.exp, np.exp),
    "softmax": (lambda z: special.softmax(z, axis=-1), None),
    "log_softmax": (lambda z: special.log_softmax(z, axis=-1), None),
}


def inputs(shape=(7, 5), scale=3.0, seed=0):
    """Random numbers away from the kinks, which lie on whole numbers."""
    z = scale * np.random.default_rng(seed).normal(size=shape)
    return np.where(np.abs(z - np.round(z)) < 0.01, z + 0.05, z)


@pytest.mark.parametrize("name", ORACLE)
def test_value_equals_an_independent_formula(target, name):
    z = inputs()
    with target.forbid_sync():
        a = ACTIVATIONS[name](target.asarray(z), target.xp)
    target.assert_close(a, ORACLE[name][0](z))


@pytest.mark.parametrize("name", [name for name, (_, slope) in ORACLE.items() if slope])
def test_derivative_equals_an_independent_formula(target, name):
    z, g = inputs(), inputs(seed=1)
    activation, xp, here = ACTIVATIONS[name], target.xp, target.asarray(z)
    with target.forbid_sync():
        back = activation.backward(here, activation(here, xp), target.asarray(g), xp)
    target.assert_close(back, g * ORACLE[name][1](z))
    if activation.derivative is not None:
        slope = activation.derivative(here, activation(here, xp), xp)
        target.assert_close(slope, ORACLE[name][1](z))


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_backward_equals_central_differences(name):
    z, g = inputs(), inputs(seed=1)
    activation = ACTIVATIONS[name]
    back = activation.backward(z, activation(z, np_xp), g, np_xp)
    numeric = central_differences(lambda x: np.sum(g * activation(x, np_xp)), z)
    np.testing.assert_allclose(back, numeric, rtol=1e-8, atol=1e-8 * np.abs(numeric).max())


@pytest.mark.parametrize("name", NAMES)
def test_every_target_agrees_with_numpy(target, name):
    z, g = inputs(), inputs(seed=1)
    activation, xp, here = ACTIVATIONS[name], target.xp, target.asarray(z)
    a = activation(here, xp)
    target.assert_close(a, activation(z, np_xp))
    if activation.differentiable:
        expected = activation.backward(z, activation(z, np_xp), g, np_xp)
        with target.forbid_sync():
            back = activation.backward(here, a, target.asarray(g), xp)
        target.assert_close(back, expected)


@pytest.mark.parametrize("name", NAMES)
def test_far_out_values_are_finite_and_warn_of_nothing(target, name):
    z = np.resize([-1e4, -100.0, -1.0, -0.0, 0.0, 1.0, 100.0, 1e4], (7, 5))
    activation, xp, here = ACTIVATIONS[name], target.xp, target.asarray(z)
    a = activation(here, xp)
    assert np.isfinite(target.to_numpy(a)).all()
    if activation.differentiable:
        g = target.asarray(np.ones_like(z))
        assert np.isfinite(target.to_numpy(activation.backward(here, a, g, xp))).all()


@pytest.mark.parametrize("name", [name for name in ORACLE if name != "exp"])
def test_far_out_values_are_right(name):
    z = np.asarray([[-1e4, -700.0, -90.0, -30.0, 30.0, 90.0, 700.0, 1e4]])
    with np.errstate(over="ignore"):  # the oracle's own
        expected = ORACLE[name][0](z)
    np.testing.assert_allclose(ACTIVATIONS[name](z, np_xp), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(target, name):
    z = inputs()
    z[0, 0] = np.nan
    a = target.to_numpy(ACTIVATIONS[name](target.asarray(z), target.xp))
    assert np.isnan(a[0, 0])
    assert np.isfinite(a[1:]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0, 5), (1, 1)])
def test_odd_shapes(target_any, name, shape):
    activation, xp, z = ACTIVATIONS[name], target_any.xp, target_any.asarray(inputs(shape))
    a = activation(z, xp)
    assert a.shape == shape
    if activation.differentiable:
        assert activation.backward(z, a, xp.ones_like(a), xp).shape == shape


@pytest.mark.targets("jax:cpu", "jax:cuda")
@pytest.mark.parametrize("name", NAMES)
def test_jit(target, name):
    import jax

    activation, xp, z = ACTIVATIONS[name], target.xp, target.asarray(inputs())
    compiled = jax.jit(lambda z: activation(z, xp))(z)
    target.assert_close(compiled, activation(inputs(), np_xp))
    if activation.differentiable:
        jax.jit(lambda z: activation.backward(z, activation(z, xp), z, xp))(z)


@pytest.mark.parametrize("name", NAMES)
def test_torch_meta_reads_nothing(name, torch):
    import array_api_compat.torch as xp

    activation, z = ACTIVATIONS[name], torch.empty((3, 2), device="meta")
    a = activation(z, xp)
    assert a.device.type == "meta"
    if activation.differentiable:
        assert activation.backward(z, a, z, xp).device.type == "meta"


def test_conventions_on_the_kink(target):
    zero, xp = target.asarray(np.zeros((1, 1))), target.xp
    one = xp.ones_like(zero)
    relu, step = ACTIVATIONS["relu"], ACTIVATIONS["step"]
    target.assert_close(relu.backward(zero, relu(zero, xp), one, xp), np.zeros((1, 1)))
    target.assert_close(step(zero, xp), np.ones((1, 1)))


@pytest.mark.parametrize("name", NAMES)
def test_pickle_and_copy_keep_the_functions(name):
    activation = ACTIVATIONS[name]
    assert pickle.loads(pickle.dumps(activation)) == activation
    assert copy.deepcopy(activation) == activation
    assert get_activation(name) is activation
    assert get_activation(activation) is activation


def test_the_name_scikit_learn_uses():
    assert get_activation("logistic") is ACTIVATIONS["sigmoid"]


def square(z, xp):
    return z * z


def square_derivative(z, a, xp):
    return 2.0 * z


@pytest.mark.parametrize(
    "spec", [(square, square_derivative), Activation("square", square, square_derivative)]
)
def test_a_users_own_function(target, spec):
    z = inputs()
    activation, here = get_activation(spec), target.asarray(z)
    assert activation.name == "square"
    a = activation(here, target.xp)
    target.assert_close(a, z * z)
    target.assert_close(activation.backward(here, a, here, target.xp), 2 * z * z)
    assert pickle.loads(pickle.dumps(activation)) == activation


@pytest.mark.parametrize("spec", [square, "step"])
def test_training_without_a_derivative_is_an_error(spec):
    activation, z = get_activation(spec), inputs()
    assert not activation.differentiable
    with pytest.raises(ValueError, match=r"no derivative.*Activation\(name, value"):
        activation.backward(z, activation(z, np_xp), z, np_xp)


def test_a_function_that_changes_the_shape_is_an_error():
    with pytest.raises(ValueError, match=r"'total'.*keep the shape"):
        Activation("total", lambda z, xp: xp.sum(z))(inputs(), np_xp)


def test_an_unknown_name_lists_the_known_ones_nearest_first():
    with pytest.raises(ValueError, match=r"unknown activation 'conv2d'\. Known, nearest first: "):
        get_activation("conv2d")  # is like none of them
    with pytest.raises(ValueError, match=r"'leaky_rule'; did you mean 'leaky_relu'\?") as error:
        get_activation("leaky_rule")
    assert all(name in str(error.value) for name in NAMES)


@pytest.mark.parametrize("spec", [None, 3, Activation, (square,), (square, 3), ("relu", square)])
def test_what_is_no_activation_is_an_error(spec):
    with pytest.raises(ValueError, match="expected a"):
        get_activation(spec)
