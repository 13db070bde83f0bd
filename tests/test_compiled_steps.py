"""The compiled steps against the reference: every option, and any shape."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from options import OPTIONS
from steps_alike import LOSS, network

from xpnn import get_backend
from xpnn.activations import ACTIVATIONS
from xpnn.losses import LOSSES, get_loss
from xpnn.model.layout import Group, make_groups
from xpnn.network import Dense, Network, PeriodicEmbedding, Scale
from xpnn.optimizers import OPTIMIZERS, get_optimizer
from xpnn.random import step_keys
from xpnn.steps.compiled import library
from xpnn.steps.compiled.members import CompiledMembers
from xpnn.steps.compiled.plan import (
    ACTIVATION_CODES,
    LOSS_CODES,
    OPTIMIZER_CODES,
    known_rules,
)
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Rows, Rules

NUMPY = get_backend("numpy")
TOLERANCE = {"float32": 2e-4, "float64": 1e-11}  # of weights after a few steps
pytestmark = pytest.mark.skipif(library() is None, reason="the compiled steps are not there")
TRAINED = [n for n, a in ACTIVATIONS.items() if a.differentiable]


def targets(rules, rows, rng):
    """What the loss takes."""
    c = rules.network.n_out
    if rules.loss.name == "softmax_cross_entropy":
        return rng.integers(0, c, rows)
    if rules.loss.name in ("hinge", "perceptron"):
        return np.where(rng.random((rows, c)) < 0.5, -1.0, 1.0)
    return rng.uniform(size=(rows, c))


def taken(kind, rules, dtype, data, order, batch, count):
    """Everything that some steps leave, from the same start."""
    net = rules.network
    theta, buffers = (a.astype(dtype) for a in net.init(1))
    theta += np.random.default_rng(2).normal(size=theta.size).astype(dtype) / 10
    reference = ReferenceSteps(rules, NUMPY, dtype)
    cls = CompiledSteps if net.members == 1 else CompiledMembers
    more = {} if isinstance(data.x, np.ndarray) else {"sparse": True}
    steps = reference if kind == "reference" else cls(rules, lambda: reference, **more)
    single = getattr(steps, "members", [steps])
    if kind not in ("reference", 0):
        for each in single:
            each.threads = lambda rows: kind
        if net.members > 1:
            steps.threads = lambda: kind
    keys = steps.words(step_keys(5, 0, count, len(net.layers) + 1)) if net.draws else None
    rates = [rules.optimizer.coefficients(0.01, k + 1) for k in range(count)]
    carry = Carry(theta, buffers, rules.optimizer.init(theta, np), dtype(0))
    with np.errstate(all="ignore"):
        carry = steps.on_rows(carry, Rows(data, order, 0, batch), keys, rates)
    if kind != "reference":
        assert steps.others is None
        if net.members > 1 and kind:
            assert steps.crew.parts == min(kind, net.members)
            kind = kind // net.members
        assert steps.suits
        assert all(s.plan.parts == max(kind, 1) for s in single)
    return [carry.theta, carry.buffers, carry.total, *carry.moments]


def check(
    rules,
    *,
    rows=50,
    batch=16,
    parts=(0, 2, 3),
    weight=None,
    shuffled=True,
    seed=4,
    x=None,
    own=False,
):
    """Compiled steps leave what the reference leaves, in both number types, on any threads."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, rules.network.n_in)) if x is None else x
    y, order = targets(rules, rows, rng), rng.permutation(rows) if shuffled else None
    if own:
        order = np.stack([rng.permutation(rows) for _ in range(rules.network.members)], axis=1)
    for dtype in (np.float32, np.float64):
        given_y = y if y.dtype.kind in "iu" else y.astype(dtype)
        given_w = None if weight is None else weight.astype(dtype)
        given_x = features if x is not None and x.dtype == dtype else features.astype(dtype)
        data = Batch(given_x, given_y, given_w)
        call = rules, dtype, data, order, batch, -(-rows // batch)
        expected = taken("reference", *call)
        tol = TOLERANCE[np.dtype(dtype).name]
        for kind in parts:
            for a, e in zip(taken(kind, *call), expected, strict=True):
                scale = max(np.abs(e).max(), 1e-30) if e.size else 1.0
                np.testing.assert_allclose(a, e, rtol=tol, atol=tol * scale)


WEIGHT = np.where(np.arange(50) < 20, 0.0, np.random.default_rng(3).uniform(size=50))


def test_all_that_is_built_in_has_a_code():
    assert set(ACTIVATION_CODES) == set(ACTIVATIONS)
    assert set(LOSS_CODES) == set(LOSSES)
    assert set(OPTIMIZER_CODES) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_training_runs_compiled(name):
    net, config = OPTIONS[name].make()
    rules = Rules(net, config.loss, config.optimizer, config.l1, config.l2, config.clip_norm,
                  config.max_norm, make_groups(config.groups, net.layout))  # fmt: skip
    assert known_rules(rules)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("name", [n for n in TRAINED if n != "exp"])
def test_every_activation(name, dropout):
    net = network(name, dropout, sizes=(7, 13, 33, 5))
    check(Rules(net, LOSS, get_optimizer("momentum")))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_an_activation_without_bound(dropout):
    check(Rules(network("exp", dropout, sizes=(7, 13, 5)), LOSS, get_optimizer("sgd")))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name, weighted):
    rules = Rules(network("tanh"), get_loss(name), get_optimizer("sgd"))
    check(rules, weight=WEIGHT if weighted else None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_far_out_outputs_are_finite(name, dtype):
    rules = Rules(network(sizes=(3, 5)), get_loss(name), get_optimizer("sgd"))
    rng = np.random.default_rng(0)
    x, y = 1e4 * rng.normal(size=(50, 3)), targets(rules, 50, rng)
    data = Batch(x.astype(dtype), y if y.dtype.kind in "iu" else y.astype(dtype), None)
    found, expected = (taken(kind, rules, dtype, data, None, 50, 1) for kind in (0, "reference"))
    for a, e in zip(found, expected, strict=True):
        assert np.isfinite(a).all()
        tol = TOLERANCE[np.dtype(dtype).name]
        np.testing.assert_allclose(a, e, rtol=tol, atol=tol * np.abs(e).max(initial=1e-30))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("softmax_cross_entropy", {"label_smoothing": 0.2}),
        ("binary_cross_entropy", {"label_smoothing": 0.2}),
        ("huber", {"delta": 0.1}),
        ("pinball", {"quantile": 0.9}),
    ],
)
def test_losses_with_parameters(name, parameters, weighted):
    rules = Rules(network("tanh"), get_loss(name, **parameters), get_optimizer("sgd"))
    check(rules, weight=WEIGHT if weighted else None)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_shares_of_classes_as_targets(smoothing, monkeypatch):
    shares = np.random.default_rng(0).dirichlet(np.ones(5), 50)
    monkeypatch.setitem(globals(), "targets", lambda rules, rows, rng: shares)
    loss = get_loss("softmax_cross_entropy", label_smoothing=smoothing)
    check(Rules(network(), loss, get_optimizer("adam")), weight=WEIGHT)


RULES = [
    (0.0, 0.1, None, None),
    (0.1, 0.1, None, None),
    (0.0, 0.1, 0.01, None),
    (0.1, 0.0, 0.01, 0.5),
    (0.0, 0.0, None, 0.5),
    (0.0, 0.0, 100.0, None),
]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("hidden", [(13, 33), (330, 150)])  # fewer weights than numbers, and more
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_and_rule(name, hidden, rule):
    net = network(dropout=0.2, input_dropout=0.1, sizes=(7, *hidden, 5))
    check(Rules(net, LOSS, get_optimizer(name), *rule), parts=(0, 2))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("rule", RULES[:3])
def test_groups_learn_at_rates_of_their_own(name, rule):
    net = Network((Dense(7, 9, "tanh", normalization="layer"), Dense(9, 5)))
    groups = {"bias": Group(0.1, 0.5, 0.5), "scale": Group(0.0, 1.0, 0.3)}
    groups["weight"] = Group(2.0, 1.0, 0.7, 1.5, by_fan_in=True)
    made = make_groups(groups, net.layout)
    check(Rules(net, LOSS, get_optimizer(name), *rule, groups=made), parts=(0, 2))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalization(kind, dropout):
    layers = [Dense(7, 13, "tanh", dropout, normalization=kind), Dense(13, 9, "relu")]
    layers += [Dense(9, 8, "gelu", dropout, normalization=kind), Dense(8, 5)]
    check(Rules(Network(tuple(layers)), LOSS, get_optimizer("adam"), 0.0, 0.1))
    check(Rules(Network(tuple(layers)), LOSS, get_optimizer("sgd")), rows=50, batch=49)


TABULAR = (
    Scale(7, 0.3),
    PeriodicEmbedding(7, 5, 2, passed=3),
    Dense(15, 13, "silu", 0.2, group="wide"),
)
TABULAR += (Scale(13), Dense(13, 5))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layers", [TABULAR, TABULAR[1:], TABULAR[:1]], ids=len)
def test_layers_of_the_tabular_model(layers, rule):
    net = Network(layers, 0.1)
    loss = LOSS if len(layers) > 1 else get_loss("half_squared_error")
    groups = {"embedding": Group(0.5, 0.1, 0.3, 1.5, by_fan_in=True)} if len(layers) > 1 else {}
    check(Rules(net, loss, get_optimizer("adamw"), *rule, make_groups(groups, net.layout)))


SCALED = {
    "few weights": (Dense(7, 13, "relu", 0.2), Dense(13, 5)),
    "many weights": (Dense(7, 330, "tanh", normalization="layer"), Dense(330, 150), Dense(150, 5)),
    "one output": (Dense(7, 1), Dense(1, 5)),
    "no bias": (Dense(7, 9, "relu", normalization="batch", bias=False), Dense(9, 5)),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layers", SCALED)
def test_a_scale_in_front_of_a_dense_layer(layers, rule):
    """Compiled steps multiply the weights by it, not the rows."""
    net = Network((Scale(7), *SCALED[layers]), 0.1 if rule[0] else 0.0)
    groups = make_groups({"scale": Group(6.0, 0.0, 0.5)}, net.layout)
    check(Rules(net, LOSS, get_optimizer("adamw"), *rule, groups), weight=WEIGHT, parts=(0, 2))


def test_an_embedding_with_more_weights_than_numbers_of_a_batch():
    net = Network((PeriodicEmbedding(7, 40, 9), Dense(70, 5)))
    check(Rules(net, LOSS, get_optimizer("adam"), 0.0, 0.1), batch=2, rows=11)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_members(rule, own, monkeypatch):
    monkeypatch.setattr("xpnn.steps.compiled.members._FEWEST_PRODUCTS", 0)
    layers = (Dense(7, 13, "tanh", 0.2, normalization="batch"), Dense(13, 5))
    net = Network(layers, 0.1, members=3)
    weight = np.random.default_rng(0).uniform(size=(50, 3)) if own else WEIGHT
    check(Rules(net, LOSS, get_optimizer("adam"), *rule), weight=weight, parts=(0, 2, 6), own=own)


def test_layers_without_biases_and_a_last_one_that_is_not_linear():
    bare = Network((Dense(7, 9, "relu", bias=False), Dense(9, 5, bias=False)))
    check(Rules(bare, LOSS, get_optimizer("adam"), 0.0, 0.1, 0.1))
    last = Dense(9, 5, "tanh", dropout=0.3, normalization="layer", bias=False)
    net = Network((Dense(7, 9, "relu"), last))
    check(Rules(net, get_loss("half_squared_error"), get_optimizer("adam"), 0.0, 0.1))


@pytest.mark.parametrize("scale", [1e-170, 1e170, np.inf, np.nan])
def test_clipping_neither_overflows_nor_loses_a_divergence(scale):
    """Squares of float64 gradients do; the reference divides by the largest first."""
    rules = Rules(network("identity", sizes=(3, 2)), get_loss("absolute_error"),
                  get_optimizer("sgd"), clip_norm=1e-150)  # fmt: skip
    x = np.random.default_rng(0).normal(size=(8, 3)) * scale
    data = Batch(x, np.zeros((8, 2)), None)
    found, expected = (
        taken(kind, rules, np.float64, data, None, 8, 1)[0] for kind in (0, "reference")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


sizes = st.integers(1, 40)


@given(
    widths=st.lists(sizes, min_size=2, max_size=5),
    rows=st.integers(1, 70),
    batch=st.integers(1, 70),
    activation=st.sampled_from(["relu", "tanh", "silu", "softmax"]),
    normalization=st.sampled_from([None, "batch", "layer"]),
    loss=st.sampled_from(["softmax_cross_entropy", "half_squared_error", "hinge"]),
    dropout=st.sampled_from([0.0, 0.4]),
    rule=st.sampled_from(RULES),
    layout=st.sampled_from(["C", "F", "strided", "columns", "reversed", "readonly"]),
    shuffled=st.booleans(),
    parts=st.integers(0, 4),
)
def test_any_shape_and_memory_layout(
    widths, rows, batch, activation, normalization, loss, dropout, rule, layout, shuffled, parts
):
    layers = [
        Dense(a, b, activation, dropout, normalization=normalization)
        for a, b in pairwise(widths[:-1])
    ]
    net = Network((*layers, Dense(widths[-2], widths[-1])), dropout / 2)
    x = np.random.default_rng(0).normal(size=(rows, widths[0]))
    if layout == "F":
        x = np.asfortranarray(x)
    elif layout == "strided":
        x = np.repeat(x, 2, axis=0)[::2]
    elif layout == "columns":
        x = np.repeat(x, 2, axis=1)[:, ::2]
    elif layout == "reversed":
        x = x[::-1]
    x.flags.writeable = layout != "readonly"
    before = x.copy()
    rules = Rules(net, get_loss(loss), get_optimizer("sgd"), *rule)
    check(rules, rows=rows, batch=min(rows, batch), parts=(parts,), shuffled=shuffled, x=x)
    np.testing.assert_array_equal(x, before)
