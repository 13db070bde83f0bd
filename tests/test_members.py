"""Several networks trained as one: each is what it would be alone."""

from itertools import pairwise

import numpy as np
import pytest

from xpnn.data import Dataset
from xpnn.losses import LOSSES, get_loss
from xpnn.network import Dense, Network, PeriodicEmbedding, Scale, multilayer_perceptron
from xpnn.optimizers import get_optimizer
from xpnn.random import SHUFFLE, WEIGHTS, dropout_mask, host_generator, member_key
from xpnn.state import TrainingConfig, TrainingState
from xpnn.steps.compiled import library
from xpnn.steps.inference import host_outputs
from xpnn.training.loop import train

pytestmark = pytest.mark.own_context
RNG = np.random.default_rng(0)
N, N_IN, N_OUT, MEMBERS = 22, 3, 4, 3
X, Y, WEIGHT = RNG.normal(size=(N, N_IN)), RNG.integers(0, N_OUT, N), RNG.uniform(size=N)
CROSS_ENTROPY = get_loss("softmax_cross_entropy")


def network(members=1, **options):
    return multilayer_perceptron([N_IN, 6, 5, N_OUT], "tanh", members=members, **options)


def member(net, vector, m, buffers=False):
    """One member's part of a vector of all."""
    layout = net.buffer_layout if buffers else net.layout
    parts = [
        vector[e.offset : e.offset + e.size].reshape(e.shape)[m].ravel() for e in layout.entries
    ]
    return np.concatenate([np.zeros(0), *parts])


@pytest.mark.dtypes("float64")
@pytest.mark.parametrize(
    "options",
    [{}, {"normalization": "batch"}, {"normalization": "layer"}],
    ids=["plain", "batch norm", "layer norm"],
)
@pytest.mark.parametrize("weights", ["none", "shared", "own"])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "half_squared_error", "huber"])
def test_gradients_are_those_of_single_networks(target, loss, weights, options):
    t, net, one = target, network(MEMBERS, **options), network(**options)
    theta, buffers = net.init(1)
    theta = theta + 0.1 * np.random.default_rng(2).normal(size=theta.size)
    y = Y if loss == "softmax_cross_entropy" else RNG.normal(size=(N, N_OUT))
    own = np.random.default_rng(3).uniform(size=(N, MEMBERS))
    weight = {"none": None, "shared": WEIGHT, "own": own}[weights]
    given = [t.asarray(a) for a in (theta, buffers, X, y)]
    with t.backend.device_context():
        value, gradient, new = net.loss_and_gradient(
            *given, None if weight is None else t.asarray(weight), get_loss(loss), t.xp
        )
    values = []
    for m in range(MEMBERS):
        w = own[:, m] if weights == "own" else weight
        v, g, b = one.loss_and_gradient(
            member(net, theta, m), member(net, buffers, m, True), X, y, w, get_loss(loss), np
        )
        values.append(v)
        np.testing.assert_allclose(member(net, t.to_numpy(gradient), m), g, rtol=1e-11, atol=1e-13)
        found = member(net, t.to_numpy(new), m, True)
        np.testing.assert_allclose(found, b, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(float(t.to_numpy(value)), np.mean(values), rtol=1e-11)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("weights", ["none", "shared", "own"])
def test_every_loss_takes_members(name, weights):
    rng, loss = np.random.default_rng(4), LOSSES[name]
    output = rng.normal(size=(MEMBERS, N, N_OUT))
    y = Y if name == "softmax_cross_entropy" else np.abs(rng.normal(size=(N, N_OUT)))
    own = rng.uniform(size=(MEMBERS, N))
    weight = {"none": None, "shared": WEIGHT, "own": own}[weights]
    value, gradient = loss(output, y, weight, np)
    alone = [loss(o, y, own[m] if weights == "own" else weight, np) for m, o in enumerate(output)]
    np.testing.assert_allclose(value, np.mean([v for v, _ in alone]), rtol=1e-12)
    np.testing.assert_allclose(gradient, np.stack([g for _, g in alone]), rtol=1e-12, atol=1e-15)


def own_loss(output, target, weight, xp):
    """A user's own loss knows of no members: it is called for each."""
    assert output.ndim == 2
    r = output - target
    return xp.sum(r * r) / r.shape[0], 2.0 * r / r.shape[0]


def test_a_loss_of_ones_own_takes_members():
    output, y = RNG.normal(size=(MEMBERS, N, 2)), RNG.normal(size=(N, 2))
    value, gradient = get_loss(own_loss)(output, y, None, np)
    expected, slopes = LOSSES["squared_error"](output, y, None, np)
    np.testing.assert_allclose(value, 2 * expected)
    np.testing.assert_allclose(gradient, 2 * slopes)


def trained(target, net, *, moments, theta, rate=0.01, **options):
    backend = target.backend
    loss, optimizer = CROSS_ENTROPY, get_optimizer(moments)
    config = TrainingConfig(loss, optimizer, rate, epochs=3, batch_size=8, **options)
    with backend.device_context():
        start = target.asarray(theta)
        state = TrainingState(
            start, target.asarray(net.init(0)[1]), optimizer.init(start, target.xp), seed=5
        )
    data = Dataset(X, Y, WEIGHT, backend, target.dtype)
    state = train(net, state, data, config)
    return target.to_numpy(state.theta), state.history["loss"]


@pytest.mark.dtypes("float64")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"l1": 0.1, "l2": 0.2, "clip_norm": 0.05, "max_norm": 0.7},
        {"own_rows": True, "l2": 0.1},
    ],
    ids=["plain", "all rules", "own rows"],
)
@pytest.mark.parametrize("moments", ["adam", "nesterov"])
def test_a_training_is_that_of_single_networks(target, moments, options):
    """The same start, no dropout: each member's weights are those of a training of its own."""
    net, one = network(MEMBERS), network()
    theta = net.init(0)[0]
    found, losses = trained(target, net, moments=moments, theta=theta, **options)
    alone = [
        trained(target, one, moments=moments, theta=member(net, theta, m), **options)
        for m in range(1 if "own_rows" in options else MEMBERS)
    ]
    for m, (expected, _) in enumerate(alone):
        np.testing.assert_allclose(member(net, found, m), expected, rtol=1e-9, atol=1e-11)
    if len(alone) == MEMBERS:
        np.testing.assert_allclose(losses, np.mean([h for _, h in alone], axis=0), rtol=1e-9)
    assert np.abs(member(net, found, 0) - member(net, found, 1)).max() > 0.01


@pytest.mark.dtypes("float64")
def test_the_first_member_is_the_network_alone(target):
    """Weights, shuffles and masks of member 0 are those of a single network of that seed."""
    options = {"dropout": 0.5, "input_dropout": 0.2}
    net, one = network(MEMBERS, **options), network(**options)
    np.testing.assert_array_equal(member(net, net.init(9)[0], 0), one.init(9)[0])
    found, _ = trained(target, net, moments="adam", theta=net.init(9)[0], own_rows=True)
    alone, _ = trained(target, one, moments="adam", theta=one.init(9)[0])
    np.testing.assert_allclose(member(net, found, 0), alone, rtol=1e-9, atol=1e-11)


def test_members_draw_weights_rows_and_masks_of_their_own():
    theta = network(MEMBERS).init(3)[0]
    firsts = [member(network(MEMBERS), theta, m)[:18] for m in range(MEMBERS)]
    assert all(np.abs(a - b).max() > 0.1 for a, b in pairwise(firsts))
    for stream in (WEIGHTS, SHUFFLE):
        draws = [host_generator(3, stream, 1, m).random() for m in range(MEMBERS)]
        assert len(set(draws)) == MEMBERS
        assert draws[0] == host_generator(3, stream, 1).random()
    masks = [
        dropout_mask(member_key((7, 0xFFFFFFFF), m), 0, (8, 8), 0.5, np.float64, np, None)
        for m in range(MEMBERS)
    ]
    assert len({m.tobytes() for m in masks}) == MEMBERS
    assert member_key((7, 0xFFFFFFFF), 2) == (7, 1)
    traced = member_key((np.uint32(7), np.asarray(0xFFFFFFFF, np.uint32)), 2)
    assert int(traced[1]) == 1


def test_predictions_are_the_members_mean(target_any):
    t, net = target_any, network(MEMBERS, link="softmax")
    theta, buffers = net.init(0)
    with t.backend.device_context():
        given = [t.asarray(a) for a in (theta, buffers, X)]
        raw, out = net.forward(*given, t.xp), net.predict(*given, t.xp)
    assert tuple(raw.shape) == (MEMBERS, N, N_OUT)
    e = np.exp(t.to_numpy(raw))
    t.assert_close(out, (e / e.sum(axis=-1, keepdims=True)).mean(axis=0))


def cube(z, xp):
    return z * z * z


def cube_slope(z, a, xp):
    return 3.0 * z * z


@pytest.mark.parametrize("method", ["forward", "predict"])
@pytest.mark.parametrize("kind", ["compiled", "of one's own", "layers", "batch norm"])
def test_members_predict_on_numpy_what_the_reference_says(kind, method):
    """Each as a network of its own: compiled, in place, or by the layers' own passes."""
    layers = (PeriodicEmbedding(N_IN, 5, 2), Scale(3 * N_IN), Dense(3 * N_IN, N_OUT))
    net = {
        "compiled": network(MEMBERS, link="softmax"),
        "of one's own": Network(
            (Dense(N_IN, 5, (cube, cube_slope)), Dense(5, N_OUT)), link="sigmoid", members=MEMBERS
        ),
        "layers": Network(layers, link="exp", members=MEMBERS),
        "batch norm": network(MEMBERS, normalization="batch", link="sigmoid"),
    }[kind]
    theta, buffers = net.init(2)
    buffers = buffers + np.random.default_rng(3).uniform(size=buffers.size)
    x = np.tile(X, (30, 1))
    expected = getattr(net, method)(theta, buffers, x, np)
    assert expected.shape == ((MEMBERS,) * (method == "forward") + (len(x), N_OUT))
    found = host_outputs(net, theta, buffers, x, method)
    if library() is None and kind in ("layers", "batch norm"):
        assert found is None  # by the layers' own passes, for all members at once
        return
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    single = theta.astype(np.float32), buffers.astype(np.float32), x[:3].astype(np.float32)
    found = host_outputs(net, *single, method)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[..., :3, :], rtol=1e-4, atol=1e-5)


def test_every_kind_of_layer_has_members():
    layers = (PeriodicEmbedding(N_IN, 5, 2), Scale(3 * N_IN), Dense(3 * N_IN, N_OUT))
    net, one = Network(layers, 0.3, members=2), Network(layers, 0.3)
    theta, buffers = net.init(4)
    keys = [(1, 2)] * 4
    _, gradient, _ = net.loss_and_gradient(theta, buffers, X, Y, None, CROSS_ENTROPY, np, keys=keys)
    for m in range(2):
        own = [member_key(k, m) for k in keys]
        _, expected, _ = one.loss_and_gradient(
            member(net, theta, m), buffers, X, Y, None, CROSS_ENTROPY, np, keys=own
        )
        np.testing.assert_allclose(member(net, gradient, m), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("members", [0, -1, 1.5, "two", True])
def test_a_number_of_members_that_is_none(members):
    with pytest.raises(ValueError, match="members must be a whole number of at least 1"):
        network(members)


def test_summary_and_description_name_the_members():
    net = network(MEMBERS)
    assert "total of 3 members" in net.summary()
    assert Network.from_dict(net.to_dict()) == net
    before = network().to_dict()
    del before["members"]
    assert Network.from_dict(before) == network()


def test_an_error_in_a_thread_is_told_and_ends_the_others(monkeypatch):
    import contextlib
    import time

    from xpnn.steps.compiled import shards

    @contextlib.contextmanager
    def turn():
        yield True

    monkeypatch.setattr(shards.threads, "blas_turn", turn)
    begun = []

    def work(i):
        begun.append(i)
        time.sleep(0.2 if i == 0 else 0.02)
        if i == 1:
            raise MemoryError("no room")
        return 1.0

    with pytest.raises(MemoryError, match="no room"):
        shards.in_threads(work, 50, 2)
    assert len(begun) < 10
    assert shards.in_threads(lambda i: float(i), 5, 2) == [0.0, 1.0, 2.0, 3.0, 4.0]
