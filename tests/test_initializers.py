"""Initial weights: their distribution, their seed, and what is refused."""

import copy
import math
import pickle

import numpy as np
import pytest

from xpnn.initializers import INITIALIZERS, Initializer, get_initializer

NAMES = list(INITIALIZERS)
FAN_IN, FAN_OUT = 120, 80

# The standard deviation each promises, and for the uniform ones the bound.
STD = {
    "glorot_uniform": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "glorot_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "he_uniform": math.sqrt(2 / FAN_IN),
    "he_normal": math.sqrt(2 / FAN_IN),
    "lecun_uniform": math.sqrt(1 / FAN_IN),
    "lecun_normal": math.sqrt(1 / FAN_IN),
    "orthogonal": math.sqrt(1 / FAN_IN),
    "normal": 0.05,
    "uniform": 0.05 / math.sqrt(3),
    "zeros": 0.0,
}


def draw(name, shape=(FAN_IN, FAN_OUT), seed=0, **params):
    return get_initializer(name, **params)(np.random.default_rng(seed), *shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (7, 3), (3, 7)])
def test_float64_weights_of_the_shape_asked_for(name, shape):
    weights = draw(name, shape)
    assert weights.shape == shape
    assert weights.dtype == np.float64
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("name", STD)
def test_mean_and_spread(name):
    weights, n = draw(name), FAN_IN * FAN_OUT
    assert abs(weights.mean()) <= 4 * STD[name] / math.sqrt(n)
    assert abs(weights.std() - STD[name]) <= 4 * STD[name] / math.sqrt(n)


@pytest.mark.parametrize("name", [name for name in STD if name.endswith("uniform")])
def test_a_uniform_draw_fills_its_bounds(name):
    weights, bound = draw(name), math.sqrt(3) * STD[name]
    assert np.abs(weights).max() <= bound
    assert np.abs(weights).max() > 0.99 * bound


@pytest.mark.parametrize("name", [name for name in STD if name.endswith("normal")])
def test_a_normal_draw_has_tails(name):
    weights = np.abs(draw(name)) / STD[name]
    assert abs(np.mean(weights < 1) - 0.6827) < 0.02
    assert weights.max() > 3


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal(shape, gain):
    w = draw("orthogonal", shape, gain=gain)
    product = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(product, gain**2 * np.eye(min(shape)), atol=1e-13)


def test_orthogonal_draws_from_the_whole_group():
    determinants = [np.linalg.det(draw("orthogonal", (3, 3), seed)) for seed in range(40)]
    assert 10 < sum(d > 0 for d in determinants) < 30


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name):
    np.testing.assert_array_equal(draw(name), draw(name))
    if name != "zeros":
        assert not np.array_equal(draw(name), draw(name, seed=1))


def test_the_draws_of_scikit_learn():
    bound = math.sqrt(6 / (FAN_IN + FAN_OUT))
    expected = np.random.default_rng(0).uniform(-bound, bound, (FAN_IN, FAN_OUT))
    np.testing.assert_array_equal(draw("glorot_uniform"), expected)


@pytest.mark.parametrize(
    ("name", "param"),
    [
        ("glorot_uniform", "gain"),
        ("glorot_normal", "gain"),
        ("orthogonal", "gain"),
        ("normal", "std"),
        ("uniform", "bound"),
    ],
)
def test_the_spread_is_a_factor(name, param):
    one, three = draw(name, **{param: 1.0}), draw(name, **{param: np.float64(3.0)})
    np.testing.assert_allclose(three, 3 * one, rtol=0, atol=1e-15 * np.abs(three).max())
    for value in (0, -1, np.nan, np.inf, "1", None, True):
        with pytest.raises(ValueError, match=rf"{param} of initializer '{name}' is .*expected"):
            get_initializer(name, **{param: value})


@pytest.mark.parametrize("fans", [(0, 3), (3, -1), (2.0, 3), ("2", 3), (3, None), (True, 3)])
def test_a_fan_that_is_no_positive_integer_is_an_error(fans):
    with pytest.raises(ValueError, match=r"fan_(in|out) is .*expected a positive integer"):
        draw("zeros", fans)


@pytest.mark.parametrize("name", NAMES)
def test_pickle_copy_and_hash(name):
    initializer = INITIALIZERS[name]
    assert pickle.loads(pickle.dumps(initializer)) == copy.deepcopy(initializer) == initializer
    assert hash(initializer) == hash(copy.deepcopy(initializer))
    assert get_initializer(name) is initializer
    assert get_initializer(initializer) is initializer


def eye(rng, fan_in, fan_out, *, scale=1.0):
    return (scale * np.eye(fan_in, fan_out)).astype(np.float32)


def test_a_users_own_function():
    weights = get_initializer(eye, scale=2)(np.random.default_rng(0), 2, 3)
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, 2 * np.eye(2, 3))


@pytest.mark.parametrize("wrong", [np.zeros((3, 2)), np.full((2, 3), np.nan), 0.0])
def test_a_users_wrong_weights_are_an_error(wrong):
    initializer = Initializer("mine", lambda rng, fan_in, fan_out: wrong)
    with pytest.raises(ValueError, match=r"'mine' returned .*\(2, 3\)"):
        initializer(np.random.default_rng(0), 2, 3)


def test_an_unknown_name_or_parameter_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"did you mean 'he_normal'\?") as error:
        get_initializer("he_norm")
    assert all(name in str(error.value) for name in NAMES)
    with pytest.raises(ValueError, match="'he_normal' has no parameter 'gain': it takes none"):
        get_initializer("he_normal", gain=2.0)
    for spec in (None, 3, Initializer):
        with pytest.raises(ValueError, match="expected a name"):
            get_initializer(spec)
