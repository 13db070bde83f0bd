"""Whole steps in one block of CUDA, beside the reference."""

import logging

import numpy as np
import pytest
from options import Option
from test_cuda_steps import NAMES, assert_near, rules_of, trained

from xpnn.layers import Dense
from xpnn.losses import LOSSES, get_loss
from xpnn.network import Group, Network, make_groups
from xpnn.optimizers import OPTIMIZERS, get_optimizer
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Rules

pytestmark = [pytest.mark.targets("cupy:0"), pytest.mark.dtypes("float64")]


def assert_alike(target, rules, *data, **more):
    from xpnn.steps.cuda.graph import GraphOps
    from xpnn.steps.cuda.whole import WholeSteps

    made = []

    def whole(rules):
        made.append(WholeSteps(rules, GraphOps(target.xp), target.backend, target.dtype))
        return made[-1]

    found = trained(target, whole, rules, *data, **more)
    assert made[0].suits()
    reference = trained(
        target,
        lambda rules: ReferenceSteps(rules, target.backend, target.dtype),
        rules,
        *data,
        **more,
    )
    assert_near(target, found, reference)


def rules_with(network, loss="huber", **config):
    config = {"optimizer": get_optimizer("adam"), **config}
    return rules_of(network, Option(loss=loss, config=config).make()[1])


def network_of(*names, rate=0.3):
    sizes = (5, *(7 + 30 * i for i in range(len(names))), 3)
    hidden = [
        Dense(a, b, f, rate, bias=i != 1)
        for i, (a, b, f) in enumerate(zip(sizes, sizes[1:-1], names, strict=False))
    ]
    return Network((*hidden, Dense(sizes[-2], 3, "tanh")), input_dropout=rate / 2)


@pytest.mark.parametrize("name", [n for n in NAMES if "softmax" not in n])
def test_every_activation(target, name):
    x, y, weight = Option(loss="huber", weighted=True).rows()
    assert_alike(target, rules_with(network_of(name, name)), x, y, weight, False)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_loss(target, loss, weighted):
    x, y, weight = Option(loss=loss, weighted=weighted).rows()
    network = Network((Dense(5, 9, "relu"), Dense(9, 3)))
    assert_alike(target, rules_with(network, loss, l1=0.01, l2=0.02), x, y, weight, False)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_with_groups(target, name):
    network = network_of("relu", rate=0.0)
    groups = {"weight": Group(0.5, 0.5, 2.0, by_fan_in=True), "bias": Group(2.0)}
    optimizer, (x, y, _) = get_optimizer(name), Option(loss="huber").rows()
    for given in ({}, groups):
        made = make_groups(given, network.layout)
        rules = Rules(network, get_loss("huber"), optimizer, 0.1, 0.1, groups=made)
        assert_alike(target, rules, x, y, None, False)


@pytest.mark.parametrize("order", [True, False])
def test_rows_that_lie_apart_and_a_stream(target, order):
    x, y, weight = Option(loss="huber", weighted=True).rows()
    rules = rules_with(network_of("gelu"))
    assert_alike(target, rules, x, y, weight, False, order=order, views=True)
    assert_alike(target, rules, x, y, weight, False, stream=order)


@pytest.mark.parametrize("kind", ["whole", "graph", "launches"])
def test_the_environment_asks_for_it(target, monkeypatch, caplog, kind):
    from xpnn import MLPClassifier
    from xpnn.steps.cuda.choice import KINDS

    monkeypatch.setenv("XPNN_CUDA_STEPS", kind)
    x = np.random.default_rng(0).normal(size=(90, 4))
    about = {"dropout": 0.2, "max_iter": 3, "batch_size": 20, "random_state": 0}
    about |= {"early_stopping": True, "hidden_layer_sizes": (6, 5)}
    models = []
    for rows in (target.asarray(x), x):
        with caplog.at_level(logging.DEBUG, "xpnn"), pytest.warns(match="Maximum iterations"):
            models.append(MLPClassifier(**about).fit(rows, np.arange(90) % 3))
    found, expected = models
    assert f"training steps: {KINDS[kind].__name__}" in caplog.text
    for a, b in zip(found.coefs_, expected.coefs_, strict=True):
        target.assert_close(a, b, rtol=1e-9)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_)


@pytest.mark.parametrize("kind", ["whole", "graph"])
def test_what_it_does_not_take_goes_by_launches(target, monkeypatch, caplog, kind):
    from xpnn import MLPRegressor

    monkeypatch.setenv("XPNN_CUDA_STEPS", kind)
    x = target.asarray(np.random.default_rng(0).normal(size=(30, 4)))
    own = {"activation": (lambda z, xp: z, lambda z, a, xp: 1.0)}
    with caplog.at_level(logging.DEBUG, "xpnn"), pytest.warns(match="Maximum iterations"):
        MLPRegressor(hidden_layer_sizes=(6,), max_iter=2, **own).fit(x, x[:, 0])
    assert "training steps: CupySteps" in caplog.text


def test_an_unknown_kind_is_told(target, monkeypatch):
    from xpnn import MLPRegressor

    monkeypatch.setenv("XPNN_CUDA_STEPS", "fast")
    x = target.asarray(np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"XPNN_CUDA_STEPS is 'fast', expected one of launches, "):
        MLPRegressor(hidden_layer_sizes=(6,)).fit(x, x[:, 0])
