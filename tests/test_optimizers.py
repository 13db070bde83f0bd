"""Every optimizer against scikit-learn, torch and plain formulas; clipping, max-norm, penalties."""

import copy
import dataclasses
import pickle

import array_api_compat.numpy as np_xp
import numpy as np
import pytest
from differences import central_differences
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from xpnn.optimizers import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    clip_by_global_norm,
    get_optimizer,
    max_norm,
    penalty,
)

STEPS = 20
RNG = np.random.default_rng(0)
START = RNG.normal(size=9)
CURVATURE = RNG.uniform(0.5, 3.0, 9)
DECAY = np.asarray([1.0] * 6 + [0.0] * 3)


def slope(theta):
    """The gradient of a bowl with a ripple, by arithmetic that every library shares."""
    return CURVATURE * theta + 0.1 * theta * theta


def run(optimizer, target=None, lr=0.05, decay=None, steps=STEPS):
    """Follow `optimizer` from START; on a target if there is one, else on NumPy."""
    xp = np_xp if target is None else target.xp
    move = (lambda x: x.copy()) if target is None else target.asarray
    theta, curvature = move(START), move(CURVATURE)
    decay = None if decay is None else move(decay)
    state = optimizer.init(theta, xp)
    for t in range(1, steps + 1):
        gradient = curvature * theta + 0.1 * theta * theta
        coefficients = optimizer.coefficients(lr, t)
        theta, state = optimizer.update(theta, gradient, state, coefficients, decay, xp)
    return theta, state


def run_sklearn(make):
    theta = START.copy()
    optimizer = make([theta])
    for _ in range(STEPS):
        optimizer.update_params([theta], [slope(theta)])
    return theta


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("cls", [Momentum, Nesterov])
def test_momentum_follows_scikit_learn(cls, momentum):
    nesterov = cls is Nesterov
    expected = run_sklearn(
        lambda p: SGDOptimizer(p, 0.05, momentum=momentum, nesterov=nesterov),
    )
    np.testing.assert_allclose(run(cls(momentum=momentum))[0], expected, rtol=1e-12)


def test_sgd_is_momentum_of_zero():
    expected = run_sklearn(lambda p: SGDOptimizer(p, 0.05, momentum=0.0))
    np.testing.assert_array_equal(run(SGD())[0], expected)


@pytest.mark.parametrize("params", [{}, {"beta_1": 0.0}, {"beta_1": 0.5, "beta_2": 0.9}])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
def test_adam_follows_scikit_learn(params, epsilon):
    expected = run_sklearn(lambda p: AdamOptimizer(p, 0.05, epsilon=epsilon, **params))
    np.testing.assert_allclose(run(Adam(epsilon=epsilon, **params))[0], expected, rtol=1e-12)


# Of torch's rules these are the same; its epsilon in Adam is not, so there it is next to nothing.
TORCH = {
    "sgd": (lambda t, p: t.optim.SGD(p, lr=0.05), {}),
    "momentum": (lambda t, p: t.optim.SGD(p, lr=0.05, momentum=0.8), {"momentum": 0.8}),
    "nesterov": (
        lambda t, p: t.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
        {"momentum": 0.8},
    ),
    "adagrad": (lambda t, p: t.optim.Adagrad(p, lr=0.05, eps=1e-3), {"epsilon": 1e-3}),
    "rmsprop": (
        lambda t, p: t.optim.RMSprop(p, lr=0.05, alpha=0.7, eps=1e-3),
        {"rho": 0.7, "epsilon": 1e-3},
    ),
    "adam": (lambda t, p: t.optim.Adam(p, lr=0.05, eps=1e-40), {"epsilon": 1e-40}),
    "adamw": (
        lambda t, p: t.optim.AdamW(p, lr=0.05, eps=1e-40, weight_decay=0.3),
        {"epsilon": 1e-40, "weight_decay": 0.3},
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_torch_follows_the_same_path(name, torch):
    make, params = TORCH[name]
    theta = torch.tensor(START)
    optimizer = make(torch, [theta])
    for _ in range(STEPS):
        theta.grad = torch.tensor(slope(theta.numpy()))
        optimizer.step()
    np.testing.assert_allclose(run(get_optimizer(name, **params))[0], theta.numpy(), rtol=1e-12)


@pytest.mark.parametrize("epsilon", [1e-8, 0.5])
def test_adagrad_and_rmsprop_equal_their_formulas(epsilon):
    for name, keep, add in (("adagrad", 1.0, 1.0), ("rmsprop", 0.9, 0.1)):
        theta, squares = START.copy(), np.zeros(9)
        for _ in range(STEPS):
            squares = keep * squares + add * slope(theta) ** 2
            theta = theta - 0.05 * slope(theta) / (np.sqrt(squares) + epsilon)
        ours, _ = run(get_optimizer(name, epsilon=epsilon))
        np.testing.assert_allclose(ours, theta, rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_of_zero_moves_nothing(target, name):
    optimizer, theta = get_optimizer(name), target.asarray(START)
    state, zero = optimizer.init(theta, target.xp), target.xp.zeros_like(theta)
    for t in (1, 2):
        coefficients = optimizer.coefficients(0.1, t)
        theta, state = optimizer.update(theta, zero, state, coefficients, zero, target.xp)
    target.assert_close(theta, START)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_target_follows_numpy(target, name):
    optimizer = get_optimizer(name)
    expected, state = run(optimizer, decay=DECAY)
    with target.forbid_sync():
        theta, moved = run(optimizer, target, decay=DECAY)
    target.assert_close(theta, expected)
    assert len(moved) == len(state)
    for theirs, ours in zip(moved, state, strict=True):
        target.assert_close(theirs, ours)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_goes_downhill_to_the_minimum(name):
    start = np.sum(START**2)
    assert np.sum(run(get_optimizer(name), lr=0.01, steps=1)[0] ** 2) < start
    assert np.sum(run(get_optimizer(name), lr=0.1, steps=500)[0] ** 2) < 1e-2 * start


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_coefficients_are_python_floats(name):
    coefficients = get_optimizer(name).coefficients(np.float64(0.1), 3)
    assert all(type(c) is float for c in coefficients)


@pytest.mark.targets("jax:cpu", "jax:cuda")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_compiled_step_serves_every_learning_rate(target, name):
    import jax

    optimizer, xp = get_optimizer(name), target.xp
    traced = []

    def step(theta, gradient, state, coefficients, decay):
        traced.append(1)
        return optimizer.update(theta, gradient, state, coefficients, decay, xp)

    compiled, theta, decay = jax.jit(step), target.asarray(START), target.asarray(DECAY)
    state = optimizer.init(theta, xp)
    for t, lr in ((1, 0.1), (2, 0.05), (3, 0.01)):
        theta, state = compiled(theta, theta, state, optimizer.coefficients(lr, t), decay)
    target.assert_here(theta)
    assert len(traced) == 1


def test_adamw_decays_where_the_mask_is_one():
    nothing, theta = np.zeros(9), START.copy()
    optimizer = AdamW(weight_decay=0.5)
    state, coefficients = optimizer.init(theta, np_xp), optimizer.coefficients(0.1, 1)
    masked, _ = optimizer.update(theta, nothing, state, coefficients, DECAY, np_xp)
    whole, _ = optimizer.update(theta, nothing, state, coefficients, None, np_xp)
    np.testing.assert_allclose(masked, np.where(DECAY == 1, 0.95 * START, START), rtol=1e-15)
    np.testing.assert_allclose(whole, 0.95 * START, rtol=1e-15)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pickle_copy_and_hash(name):
    optimizer = get_optimizer(name)
    assert pickle.loads(pickle.dumps(optimizer)) == copy.deepcopy(optimizer) == optimizer
    assert hash(optimizer) == hash(copy.deepcopy(optimizer))
    assert get_optimizer(optimizer) is optimizer


FIELDS = [(name, f.name) for name, cls in OPTIMIZERS.items() for f in dataclasses.fields(cls)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, "0.9", None, True, [0.5]], ids=repr)
@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_hyper_parameter_out_of_range_is_an_error(name, field, value):
    with pytest.raises(ValueError, match=rf"{field} of optimizer '{name}' is .*expected a finite"):
        get_optimizer(name, **{field: value})


@pytest.mark.parametrize("field", ["beta_1", "beta_2"])
def test_one_is_no_decay_rate(field):
    with pytest.raises(ValueError, match=rf"{field}.*\[0, 1\)"):
        Adam(**{field: 1.0})


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_hyper_parameters_become_python_floats(name, field):
    assert type(getattr(get_optimizer(name, **{field: np.float32(0.5)}), field)) is float


def test_an_unknown_name_or_hyper_parameter_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"did you mean 'adam'\?") as error:
        get_optimizer("adamm")
    assert all(name in str(error.value) for name in OPTIMIZERS)
    with pytest.raises(ValueError, match=r"no hyper-parameter 'beta'.*beta_1, beta_2, epsilon"):
        get_optimizer("adam", beta=0.5)
    for spec in (Adam, None, 3):
        with pytest.raises(ValueError, match="expected a name"):
            get_optimizer(spec)


def test_a_users_own_optimizer_needs_three_methods():
    class Signs:
        def init(self, theta, xp):
            return ()

        def coefficients(self, lr, t):
            return (lr,)

        def update(self, theta, gradient, state, coefficients, decay, xp):
            return theta - coefficients[0] * xp.sign(gradient), ()

    optimizer = Signs()
    assert get_optimizer(optimizer) is optimizer
    with pytest.raises(ValueError, match="it takes none"):
        get_optimizer(optimizer, speed=3)


# --- clipping, max-norm, penalties ---------------------------------------------------------------

NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32)


@given(
    arrays(np.float32, st.integers(1, 12), elements=NUMBERS), st.floats(2.0**-10, 2.0**20, width=32)
)
def test_clipping_never_exceeds_the_limit_nor_turns_the_gradient(g, limit):
    kept = g.copy()
    clipped = clip_by_global_norm(g, limit, np_xp)
    wide, norm = g.astype(float), np.linalg.norm(g.astype(float))
    assert np.linalg.norm(clipped.astype(float)) <= limit * (1 + 1e-6)
    expected = wide * min(1.0, limit / norm) if norm else wide
    np.testing.assert_allclose(clipped, expected, rtol=2e-6, atol=1e-6 * limit)
    if norm < 0.999 * limit:
        np.testing.assert_array_equal(clipped, g)
    np.testing.assert_array_equal(g, kept)


@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clipping_on_every_target(target, limit):
    expected = START * min(1.0, limit / np.linalg.norm(START))
    g = target.asarray(START)
    with target.forbid_sync():
        clipped = clip_by_global_norm(g, limit, target.xp)
    target.assert_close(clipped, expected)


def test_clipping_keeps_zero_and_shows_nan(target):
    zero = target.asarray(np.zeros(3))
    target.assert_close(clip_by_global_norm(zero, 1.0, target.xp), np.zeros(3))
    bad = clip_by_global_norm(target.asarray(np.asarray([1.0, np.nan])), 1.0, target.xp)
    assert np.isnan(target.to_numpy(bad)).all()


@given(arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6)), st.floats(1e-3, 1e3))
def test_max_norm_is_idempotent_and_leaves_short_columns(w, limit):
    once = max_norm(w, limit, np_xp)
    np.testing.assert_allclose(max_norm(once, limit, np_xp), once, rtol=1e-14)
    norms = np.linalg.norm(w, axis=0)
    assert np.all(np.linalg.norm(once, axis=0) <= limit * (1 + 1e-12))
    short = norms < limit * (1 - 1e-12)
    np.testing.assert_array_equal(once[:, short], w[:, short])


def test_max_norm_on_every_target(target):
    w = START.reshape(3, 3)
    here = target.asarray(w)
    with target.forbid_sync():
        constrained = max_norm(here, 1.0, target.xp)
    target.assert_close(constrained, w / np.maximum(1.0, np.linalg.norm(w, axis=0)))


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_the_penalty_and_its_gradient(target, l1, l2):
    def formula(w):
        return l1 * np.abs(w).sum() + 0.5 * l2 * (w**2).sum()

    w = target.asarray(START)
    with target.forbid_sync():
        value, gradient = penalty(w, l1, l2, target.xp)
    target.assert_close(value, formula(START))
    target.assert_close(gradient, central_differences(formula, START), rtol=max(1e-9, target.tol))


def test_the_l1_penalty_leaves_zero_alone():
    _, gradient = penalty(np.zeros(2), 1.0, 1.0, np_xp)
    np.testing.assert_array_equal(gradient, np.zeros(2))
