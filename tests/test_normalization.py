"""Batch and layer normalization between affine map and activation, against plain NumPy."""

import json

import numpy as np
import pytest

from xpnn import Dense, MLPRegressor, Network, get_loss, get_optimizer
from xpnn.model.normalization import EPSILON, MOMENTUM
from xpnn.network import multilayer_perceptron
from xpnn.training.data import Dataset
from xpnn.training.loop import train
from xpnn.training.state import TrainingConfig, TrainingState

LOSS = get_loss("half_squared_error")


def make(kind, activation="tanh", **kw):
    net = multilayer_perceptron([3, 5, 4, 2], activation, normalization=kind, **kw)
    rng = np.random.default_rng(0)
    theta, buffers = net.init(1)
    theta = theta + 0.3 * rng.normal(size=theta.size)
    buffers = buffers + rng.uniform(0.1, 0.5, buffers.size)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    return net, theta, buffers, x, y


def plain_forward(net, theta, buffers, x, train):
    p = net.layout.split(theta, np)
    state = net.buffer_layout.split(buffers, np)
    for i, layer in enumerate(net.layers):
        u = x @ p[f"weight_{i}"]
        if layer.normalization == "layer":
            u = (u - u.mean(1, keepdims=True)) / np.sqrt(u.var(1, keepdims=True) + EPSILON)
        elif layer.normalization == "batch":
            mean, var = (u.mean(0), u.var(0)) if train else (state[f"mean_{i}"], None)
            var = state[f"variance_{i}"] if var is None else var
            u = (u - mean) / np.sqrt(var + EPSILON)
        x = u * p.get(f"scale_{i}", 1.0) + p[f"bias_{i}"]
        x = np.tanh(x) if i < len(net.layers) - 1 else x
    return x


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_prediction_uses_running_statistics(kind, target):
    net, theta, buffers, x, _ = make(kind)
    out = net.forward(*map(target.asarray, (theta, buffers, x)), target.xp)
    target.assert_close(out, plain_forward(net, theta, buffers, x, train=False))


@pytest.mark.parametrize("kind", ["batch", "layer"])
@pytest.mark.parametrize("train", [True, False])
def test_gradient_against_central_differences(kind, train):
    net, theta, buffers, x, y = make(kind)
    _, gradient, _ = net.loss_and_gradient(theta, buffers, x, y, None, LOSS, np, train=train)

    def value(t):
        r = plain_forward(net, t, buffers, x, train) - y
        return 0.5 * (r * r).sum() / len(x)

    steps = 1e-6 * np.eye(theta.size)
    numeric = np.array([(value(theta + s) - value(theta - s)) / 2e-6 for s in steps])
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)


@pytest.mark.long_to_compile
@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_gradient_on_every_target(kind, target):
    net, theta, buffers, x, y = make(kind, "relu", dropout=0.3)
    keys = [(1, 2), (3, 4), (5, 6), (7, 8)]
    expected = net.loss_and_gradient(theta, buffers, x, y, None, LOSS, np, keys=keys)
    here = [target.asarray(a) for a in (theta, buffers, x, y)]
    got = net.loss_and_gradient(*here, None, LOSS, target.xp, keys=keys)
    for a, b in zip(got, expected, strict=True):
        target.assert_close(a, b)


def test_running_statistics_follow_batches():
    net, theta, buffers, x, y = make("batch")
    *_, new = net.loss_and_gradient(theta, buffers, x, y, None, LOSS, np)
    u = x @ net.layout.split(theta, np)["weight_0"]
    old, new = (net.buffer_layout.split(b, np) for b in (buffers, new))
    for name, seen in (("mean_0", u.mean(0)), ("variance_0", u.var(0, ddof=1))):
        np.testing.assert_allclose(new[name], (1 - MOMENTUM) * old[name] + MOMENTUM * seen)


def test_one_row_goes_by_the_running_statistics():
    net, theta, buffers, x, y = make("batch")
    how = (theta, buffers, x[:1], y[:1], None, LOSS, np)
    found, expected = (net.loss_and_gradient(*how, train=train) for train in (True, False))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.own_context
@pytest.mark.parametrize("rest", [1, 2])
def test_a_short_last_batch_counts_by_its_size(target_any, rest):
    """Compared with steps by hand, at a rate so low that weights stay."""
    t, (net, theta, buffers, x, _) = target_any, make("batch")
    x = np.random.default_rng(1).normal(size=(8 + rest, 3))
    rule = {"optimizer": get_optimizer("sgd"), "learning_rate": 1e-30, "shuffle": False}
    config = TrainingConfig(loss=LOSS, epochs=1, batch_size=8, **rule)
    backend, dtype = t.backend, t.dtype_name
    start = TrainingState(*(t.asarray(a) for a in (theta, buffers)), (), seed=0)
    rows = (t.asarray(a) for a in (x, np.zeros((8 + rest, 2))))
    data = Dataset(*rows, None, backend, backend.float_dtype(dtype))
    expected = buffers
    for batch, share in ((x[:8], 1.0), (x[8:], rest / 8)):
        y = np.zeros((len(batch), 2))
        *_, new = net.loss_and_gradient(theta, expected, batch, y, None, LOSS, np)
        expected = expected + share * (new - expected)
    t.assert_close(train(net, start, data, config).buffers, expected)


def test_batches_of_one_row():
    x, y = np.random.default_rng(0).normal(size=(33, 2)), np.arange(33.0)
    about = {"hidden_layer_sizes": 4, "normalization": "batch", "max_iter": 2, "random_state": 0}
    cure = r"batch_size=2 or more.*normalization='layer'"
    for model, n in ((MLPRegressor(batch_size=1, **about), 33), (MLPRegressor(**about), 1)):
        with pytest.raises(ValueError, match=cure):
            model.fit(x[:n], y[:n])
    with pytest.raises(ValueError, match="One row has no variance"):
        MLPRegressor(solver="lbfgs", **about).fit(x[:1], y[:1])
    model = MLPRegressor(**about).partial_fit(x, y)
    before = model.predict(x)
    with pytest.warns(UserWarning, match=cure):
        model.partial_fit(x[:1], y[:1])
    assert (model.predict(x) != before).any()
    assert len(np.unique(MLPRegressor(batch_size=32, **about).partial_fit(x, y).predict(x))) == 33


@pytest.mark.parametrize(("kind", "statistics"), [("batch", 18), ("layer", 0)])
def test_layout(kind, statistics):
    net, theta, buffers, *_ = make(kind)
    assert [(e.name, e.role) for e in net.layout.entries] == [
        *((f"weight_{i}", "weight") for i in range(3)),
        *((f"bias_{i}", "bias") for i in range(3)),  # of a normalized layer: the shift after it
        *((f"scale_{i}", "scale") for i in range(2)),
    ]
    theta, buffers = net.init(0)
    assert net.layout.mask("scale") @ theta == 9
    assert len(buffers) == statistics
    assert buffers.sum() == statistics / 2  # means of 0, variances of 1


def test_description_round_trip():
    net = make("batch")[0]
    assert Network.from_dict(json.loads(json.dumps(net.to_dict()))) == net
    assert "dense, batch norm" in net.summary()


def test_unknown_kind():
    with pytest.raises(ValueError, match='None, "batch" or "layer", got \'group\''):
        Dense(2, 3, normalization="group")
