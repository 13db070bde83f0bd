"""Layers of every kind: gradients against central differences, on every library, in place too."""

import numpy as np
import pytest

from xpnn import get_loss, get_optimizer
from xpnn.data import Dataset
from xpnn.layers import Layer, Parameter
from xpnn.model.layer import EVALUATE, Drop, Pass
from xpnn.network import LAYERS, Dense, Network, PeriodicEmbedding, Scale
from xpnn.state import TrainingConfig, TrainingState
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Rows, Rules
from xpnn.training.loop import train

RNG = np.random.default_rng(0)
N, N_IN = 9, 3
X, Y = RNG.normal(size=(N, N_IN)), RNG.normal(size=(N, 2))
LOSS = get_loss("half_squared_error")
KINDS = {
    "dense": Dense(N_IN, 4, "tanh"),
    "dense, no bias": Dense(N_IN, 4, "sigmoid", bias=False),
    "dense, batch norm": Dense(N_IN, 4, "tanh", normalization="batch"),
    "dense, layer norm": Dense(N_IN, 4, "tanh", normalization="layer"),
    "dense, dropout": Dense(N_IN, 4, "tanh", dropout=0.4),
    "scale": Scale(N_IN),
    "scale, dropout": Scale(N_IN, dropout=0.4),
    "periodic_embedding": PeriodicEmbedding(N_IN, 4, 2, deviation=0.5),
    "periodic_embedding of some": PeriodicEmbedding(N_IN, 4, 2, deviation=0.5, passed=1),
}


def network(layer, before=False):
    """The layer with a linear one behind it, and one before it where its own gradient is needed."""
    first = (Dense(N_IN, N_IN, "tanh"),) if before else ()
    return Network((*first, layer, Dense(layer.n_out, 2)))


def start(net):
    theta, buffers = net.init(1)
    rng = np.random.default_rng(2)
    return theta + 0.2 * rng.normal(size=theta.size), buffers


def keys(net):
    return [(3, 4 + i) for i in range(len(net.layers) + 1)]


def test_every_kind_is_tried():
    assert {layer.kind for layer in KINDS.values()} == set(LAYERS)
    assert all(isinstance(layer, Layer) for layer in KINDS.values())


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_gradient_against_central_differences(name, before):
    net = network(KINDS[name], before)
    theta, buffers = start(net)

    def loss(t):
        return net.loss_and_gradient(t, buffers, X, Y, None, LOSS, np, keys=keys(net))

    steps = 1e-6 * np.eye(theta.size)
    numeric = [(loss(theta + s)[0] - loss(theta - s)[0]) / 2e-6 for s in steps]
    np.testing.assert_allclose(loss(theta)[1], numeric, atol=2e-8)


@pytest.mark.long_to_compile
@pytest.mark.parametrize("name", KINDS)
def test_a_layer_on_every_library(name, target):
    t, net = target, network(KINDS[name], before=True)
    theta, buffers = start(net)
    words = np.asarray(keys(net), np.uint32)
    given = words if t.backend.library.name == "jax" else words.tolist()
    arrays = [t.asarray(a) for a in (theta, buffers, X, Y)]
    value, gradient, new = net.loss_and_gradient(*arrays, None, LOSS, t.xp, keys=given)
    expected = net.loss_and_gradient(theta, buffers, X, Y, None, LOSS, np, keys=words.tolist())
    t.assert_close(value, expected[0])
    t.assert_close(gradient, expected[1])
    t.assert_close(new, expected[2])
    t.assert_close(net.forward(*arrays[:3], t.xp), net.forward(theta, buffers, X, np))


@pytest.mark.own_context
@pytest.mark.dtypes("float64")
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_the_loop_trains_it_as_the_reference_does(name, members, target):
    """Whatever steps a library takes: in place, compiled, or the reference itself."""
    t, layer = target, KINDS[name]
    net = Network((*network(layer).layers,), 0.2, members=members)
    optimizer = get_optimizer("adam")
    config = TrainingConfig(LOSS, optimizer, 0.05, epochs=2, batch_size=4, shuffle=False, l2=0.1)
    with t.backend.device_context():
        theta, buffers = (t.asarray(a) for a in start(net))
        state = TrainingState(theta, buffers, optimizer.init(theta, t.xp), seed=3)
    state = train(net, state, Dataset(X, Y, None, t.backend, t.dtype), config)

    from xpnn.backends import get_backend
    from xpnn.random import step_keys

    steps = ReferenceSteps(Rules(net, LOSS, optimizer, l2=0.1), get_backend("numpy"), np.float64)
    theta, buffers = start(net)
    carry = Carry(theta, buffers, optimizer.init(theta, np), np.zeros(()))
    words = steps.words(step_keys(3, 0, 6, len(net.layers) + 1))
    for epoch in range(2):
        rates = [optimizer.coefficients(0.05, 3 * epoch + i + 1) for i in range(3)]
        rows = Rows(Batch(X, Y, None), None, 0, 4)
        carry = steps.on_rows(carry, rows, words[3 * epoch : 3 * epoch + 3], rates)
    np.testing.assert_allclose(t.to_numpy(state.theta), carry.theta, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(t.to_numpy(state.buffers), carry.buffers, rtol=1e-9, atol=1e-11)


def test_a_layer_of_ones_own_is_one_class():
    """Another kind of layer needs no other file: this one adds what is learned to its input."""

    class Shift:
        kind, n_in, n_out, dropout = "shift", N_IN, N_IN, 0.0

        def parameters(self):
            return (Parameter("shift", (N_IN,), "bias", "bias"),)

        def statistics(self):
            return ()

        def initial(self, rng, draw):
            return {}

        def forward(self, p, state, x, how, xp):
            return x + p["shift"], None, {}

        def backward(self, p, saved, g, xp, need_dx):
            return (g if need_dx else None), {"shift": xp.sum(g, axis=-2)}

        def check(self, like, xp):
            pass

        def to_dict(self):
            return {}

    assert isinstance(Shift(), Layer)
    net = network(Shift())
    theta, buffers = start(net)
    value, gradient, _ = net.loss_and_gradient(theta, buffers, X, Y, None, LOSS, np)
    e = next(e for e in net.layout.entries if e.part == "shift")
    moved = theta.copy()
    moved[e.offset] += 1e-6
    more, *_ = net.loss_and_gradient(moved, buffers, X, Y, None, LOSS, np)
    np.testing.assert_allclose((more - value) / 1e-6, gradient[e.offset], atol=1e-5)
    with pytest.raises(ValueError, match="is of your own kind, which a file cannot hold"):
        net.to_dict()


def test_descriptions_come_back():
    for layer in KINDS.values():
        net = network(layer)
        assert Network.from_dict(net.to_dict()) == net
        assert layer.kind.split("_")[0] in net.summary()


def test_an_embedding_is_its_formula():
    layer = PeriodicEmbedding(2, 3, 2)
    rng = np.random.default_rng(5)
    p = {e.part: rng.normal(size=e.shape) for e in layer.parameters()}
    x = rng.normal(size=(4, 2))
    y, _, _ = layer.forward(p, {}, x, EVALUATE, np)
    for row in range(4):
        for j in range(2):
            waves = np.cos(2 * np.pi * p["frequency"][j] * x[row, j] + p["phase"][j])
            expected = [x[row, j], *(waves @ p["weight"][j] + p["bias"][j])]
            np.testing.assert_allclose(y[row, 3 * j : 3 * j + 3], expected)


def test_dropout_of_a_scale_is_scaled():
    layer, x = Scale(40), np.ones((50, 40))
    y, _, _ = layer.forward({"scale": np.ones(40)}, {}, x, Pass(True, Drop((1, 2), 0, 0.25)), np)
    assert set(np.unique(y)) == {0.0, 4 / 3}
    assert abs(y.mean() - 1) < 0.05


@pytest.mark.parametrize("layers", [[int], ["dense"], [Dense]])
def test_what_is_no_layer_is_refused(layers):
    with pytest.raises(ValueError, match=r"Layer 0 is .* expected a layer: pass Dense"):
        Network(layers)
