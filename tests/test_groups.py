"""Groups of parameters: learning rate, decay, penalties and max-norm, on every library."""

import numpy as np
import pytest

from xpnn import get_loss
from xpnn.data import Dataset
from xpnn.network import GROUPS, Dense, Group, Network, Scale, make_groups
from xpnn.optimizers import OPTIMIZERS, get_optimizer
from xpnn.state import TrainingConfig, TrainingState
from xpnn.steps.rules import Rules
from xpnn.training.loop import train

RNG = np.random.default_rng(0)
N, N_IN = 12, 3
X, Y, WEIGHT = RNG.normal(size=(N, N_IN)), RNG.normal(size=(N, 2)), RNG.uniform(size=N)
LOSS = get_loss("half_squared_error")
NET = Network((Scale(N_IN), Dense(N_IN, 4, "tanh"), Dense(4, 2, group="head")))

pytestmark = pytest.mark.own_context


def trained(target, groups, optimizer, net=NET, epochs=1, weight=None, **options):
    t, rule = target, optimizer
    config = TrainingConfig(
        LOSS, rule, 0.1, epochs=epochs, batch_size=N, shuffle=False, groups=groups, **options
    )
    theta, buffers = net.init(1)
    theta = theta + 0.1 * np.random.default_rng(2).normal(size=theta.size)
    with t.backend.device_context():
        start, state = t.asarray(theta), t.asarray(buffers)
        state = TrainingState(start, state, rule.init(start, t.xp), seed=3)
    state = train(net, state, Dataset(X, Y, weight, t.backend, t.dtype), config)
    return theta, t.to_numpy(state.theta).astype(float)


def by_group(net, vector):
    found = {}
    for e in net.layout.entries:
        found.setdefault(e.group, []).append(vector[e.offset : e.offset + e.size])
    return {name: np.concatenate(parts) for name, parts in found.items()}


class Own:
    """A user's own optimizer, which knows of no groups."""

    def init(self, theta, xp):
        return ()

    def coefficients(self, lr, t):
        return (lr,)

    def update(self, theta, gradient, state, coefficients, decay, xp):
        return theta - coefficients[0] * gradient, ()


RATES = {"weight": 0.5, "head": 2.0, "bias": 0.0, "scale": 6.0}


@pytest.mark.long_to_compile
@pytest.mark.parametrize("name", [*sorted(OPTIMIZERS), "own"])
def test_a_rate_is_a_factor_of_the_step(name, target):
    """After one step each group has moved by its factor times what it moves without."""
    rule = Own() if name == "own" else get_optimizer(name)
    if name == "adamw":
        rule = get_optimizer("adamw", weight_decay=0.3)
    groups = {g: Group(r, *_factors(g)) for g, r in RATES.items()}
    start, plain = trained(target, {"head": GROUPS["weight"]}, rule)
    _, found = trained(target, groups, rule)
    for group, rate in RATES.items():
        moved, expected = (by_group(NET, v - start)[group] for v in (found, plain))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            moved, rate * expected, rtol=0, atol=20 * target.tol * scale * 10
        )
    np.testing.assert_array_equal(
        by_group(NET, found)["bias"], by_group(NET, start)["bias"].astype(target.dtype_name)
    )


def _factors(group):
    known = GROUPS["weight"] if group in ("weight", "head") else GROUPS["bias"]
    return known.decay, known.penalty, known.max_norm


@pytest.mark.dtypes("float64")
def test_a_rate_by_fan_in(target):
    rule = get_optimizer("sgd")
    start, plain = trained(target, {}, rule)
    _, found = trained(target, {"weight": Group(3.0, by_fan_in=True)}, rule)
    moved, expected = (by_group(NET, v - start) for v in (found, plain))
    np.testing.assert_allclose(moved["weight"], 3.0 / N_IN**0.5 * expected["weight"], rtol=1e-9)
    np.testing.assert_allclose(moved["head"], expected["head"], rtol=1e-9)


@pytest.mark.dtypes("float64")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_penalties_by_group(kind, weighted, target):
    rule, weight = get_optimizer("sgd"), WEIGHT if weighted else None
    groups = {"weight": Group(penalty=0.5), "head": Group(), "scale": Group(penalty=2.0)}
    start, plain = trained(target, groups, rule, weight=weight)
    _, found = trained(target, groups, rule, weight=weight, **{kind: 0.3})
    over = WEIGHT.sum() if weighted else N
    push = np.sign(start) if kind == "l1" else start
    for group, factor in {"weight": 0.5, "head": 0.0, "scale": 2.0, "bias": 0.0}.items():
        moved, penalty = (by_group(NET, v)[group] for v in (plain - found, push))
        np.testing.assert_allclose(moved, 0.1 * factor * 0.3 * penalty / over, atol=1e-12)


@pytest.mark.dtypes("float64")
def test_weight_decay_by_group(target):
    groups = {"weight": Group(decay=0.5), "head": Group(), "bias": Group(decay=2.0)}
    start, found = trained(target, groups, get_optimizer("adamw", weight_decay=0.3))
    _, plain = trained(target, groups, get_optimizer("adam"))
    for group, factor in {"weight": 0.5, "head": 0.0, "scale": 0.0, "bias": 2.0}.items():
        moved, theta = (by_group(NET, v)[group] for v in (plain - found, start))
        np.testing.assert_allclose(moved, 0.1 * 0.3 * factor * theta, atol=1e-12)


@pytest.mark.dtypes("float64")
def test_max_norm_by_group(target):
    groups = {"weight": Group(max_norm=2.0), "head": Group()}
    _, found = trained(target, groups, get_optimizer("sgd"), max_norm=0.1)
    parts = NET.layout.split(found, np)
    np.testing.assert_allclose(np.linalg.norm(parts["weight_1"], axis=0), 0.2, rtol=1e-9)
    assert np.linalg.norm(parts["weight_2"], axis=0).min() > 0.2


@pytest.mark.dtypes("float64")
def test_groups_as_they_are_by_default_change_nothing(target):
    """Said or not, on the same path: to the bit."""
    net = Network((Dense(N_IN, 4, "tanh"), Dense(4, 2)))
    for name in ("adam", "adamw"):
        rule = get_optimizer(name)
        said = {"weight": GROUPS["weight"], "bias": GROUPS["bias"]}
        results = [trained(target, g, rule, net, l2=0.1, epochs=3)[1] for g in ({}, said)]
        np.testing.assert_array_equal(*results)


def test_segments_say_what_learns_alike():
    rules = Rules(NET, LOSS, get_optimizer("adam"), groups=make_groups({}, NET.layout))
    factors = [(s.rate, s.decay, s.penalty) for s in rules.segments]
    assert factors == [(1.0, 1.0, 1.0), (1.0, 0.0, 0.0)]
    assert rules.segments[-1].stop == NET.layout.size
    net = Network((Dense(3, 4), Dense(4, 2)))
    plain = Rules(net, LOSS, get_optimizer("adam"), groups=make_groups({}, net.layout))
    assert [(s.start, s.stop) for s in plain.segments] == [(0, 20), (20, 26)]
    assert plain.n_weights == 20
    groups = make_groups({"weight": Group(0.5, 1.0, 1.0)}, net.layout)
    assert Rules(net, LOSS, get_optimizer("adam"), groups=groups).n_weights is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"wieght": Group()}, "groups names 'wieght', but the network's parameters are in"),
        ({"weight": 0.5}, r"groups\['weight'\] is 0.5, expected a Group: pass Group\(...\)"),
    ],
)
def test_groups_that_are_none(groups, message):
    with pytest.raises(ValueError, match=message):
        make_groups(groups, NET.layout)


@pytest.mark.parametrize("name", ["rate", "decay", "penalty", "max_norm"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), "much"])
def test_factors_that_are_none(name, value):
    with pytest.raises(ValueError, match=f"{name} of a group is"):
        Group(**{name: value})
