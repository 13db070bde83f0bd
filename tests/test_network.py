"""Networks: what lies where, values against an oracle, gradients against differences."""

import json

import numpy as np
import oracle
import pytest
from differences import central_differences
from hypothesis import given
from hypothesis import strategies as st

from xpnn.activations import ACTIVATIONS, Activation
from xpnn.losses import LOSSES, get_loss
from xpnn.network import Dense, Network, multilayer_perceptron
from xpnn.random import step_keys

N, N_IN, N_OUT = 6, 5, 3
DIFFERENTIABLE = [name for name, a in ACTIVATIONS.items() if a.differentiable]
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "dropout": {"dropout": 0.4, "input_dropout": 0.3},
}
KEYS = step_keys(2024, 3, 1, 3)[0].tolist()


def network(activation="tanh", *, dropout=0.0, input_dropout=0.0, bias=True, out="identity"):
    hidden = Dense(N_IN, 7, activation, dropout, bias)
    return Network((hidden, Dense(7, N_OUT, out, 0.0, bias)), input_dropout)


def problem(loss, seed=0):
    """theta, x, y and weights on the host, for a loss by name."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(N, N_OUT))
    if loss.name == "softmax_cross_entropy":
        y = rng.integers(0, N_OUT, N)
    elif loss.name == "binary_cross_entropy":
        y = rng.uniform(size=y.shape)
    elif loss.name in ("hinge", "perceptron"):
        y = np.sign(y)
    elif loss.name == "poisson":
        y = rng.poisson(2.0, y.shape).astype(float)
    return rng.normal(size=(N, N_IN)), y, rng.uniform(0.5, 2.0, N)


def parameters(net, seed=1):
    """Random biases too, and float32 numbers, so that every target starts from the same."""
    theta = np.random.default_rng(seed).normal(size=net.layout.size)
    return theta.astype(np.float32).astype(np.float64)


def rounded(a):
    return a.astype(np.float32).astype(np.float64) if a.dtype.kind == "f" else a


def gradient_on(target, net, theta, x, y, weight, loss, **options):
    arrays = [target.asarray(a) for a in (theta, np.zeros(0), x, y)]
    weight = None if weight is None else target.asarray(weight)
    options.setdefault("keys", KEYS if net.draws else None)
    result = net.loss_and_gradient(*arrays, weight, loss, target.xp, **options)
    for moved, original in zip(arrays, (theta, np.zeros(0), x, y), strict=True):
        expected = original.astype(target.dtype_name) if original.dtype.kind == "f" else original
        np.testing.assert_array_equal(target.to_numpy(moved), expected)  # never written
    return result


def numpy_gradient(net, theta, x, y, weight, loss, **options):
    options.setdefault("keys", KEYS if net.draws else None)
    value, gradient, _ = net.loss_and_gradient(
        theta, np.zeros(0), x, y, weight, loss, np, **options
    )
    return float(value), gradient


# -- layout ------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_split_and_join_are_inverse(sizes, biases):
    layers = [
        Dense(a, b, bias=bias)
        for a, b, bias in zip(sizes[:-1], sizes[1:], biases[: len(sizes) - 1], strict=True)
    ]
    layout = Network(tuple(layers)).layout
    theta = np.arange(float(layout.size))
    parts = layout.split(theta, np)
    assert [p.shape for p in parts.values()] == [e.shape for e in layout.entries]
    np.testing.assert_array_equal(np.concatenate([p.ravel() for p in parts.values()]), theta)
    np.testing.assert_array_equal(layout.join(parts, np), theta)
    assert layout.size == sum(d.n_in * d.n_out + d.bias * d.n_out for d in layers)
    weights = layout.mask("weight")
    np.testing.assert_array_equal(weights + layout.mask("bias"), 1.0)
    assert weights.sum() == sum(d.n_in * d.n_out for d in layers)
    assert layout.mask("scale").sum() == 0


def test_split_and_join_on_every_target(target):
    layout = network().layout
    theta = target.asarray(np.arange(float(layout.size)))
    joined = layout.join(layout.split(theta, target.xp), target.xp)
    target.assert_close(joined, np.arange(float(layout.size)), rtol=0)


def test_weights_lie_before_biases_in_layer_order():
    net = Network((Dense(2, 3), Dense(3, 4, bias=False), Dense(4, 1)))
    assert [(e.name, e.offset, e.role, e.layer) for e in net.layout.entries] == [
        ("weight_0", 0, "weight", 0),
        ("weight_1", 6, "weight", 1),
        ("weight_2", 18, "weight", 2),
        ("bias_0", 22, "bias", 0),
        ("bias_2", 25, "bias", 2),
    ]


def test_initial_weights_are_drawn_on_the_host():
    net = network()
    theta, buffers = net.init(seed=2**63 + 5)
    assert (theta.dtype, buffers.shape) == (np.float64, (0,))
    np.testing.assert_array_equal(theta, net.init(seed=2**63 + 5)[0])
    assert not np.array_equal(theta, net.init(seed=5)[0])
    parts = net.layout.split(theta, np)
    assert not parts["bias_0"].any()
    assert np.abs(parts["weight_0"]).max() <= np.sqrt(6 / (N_IN + 7))


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_equals_the_oracle(target, activation):
    net = network(activation)
    theta, (x, _, _) = parameters(net), problem(LOSSES["huber"])
    x = rounded(x)
    out = net.forward(
        target.asarray(theta), target.asarray(np.zeros(0)), target.asarray(x), target.xp
    )
    p = net.layout.split(theta, np)
    weights, biases = [p["weight_0"], p["weight_1"]], [p["bias_0"], p["bias_1"]]
    target.assert_close(out, oracle.forward(weights, biases, [activation, "identity"], x))


def test_predict_is_the_link_of_forward(target_any):
    t = target_any
    for link in ("softmax", "sigmoid", "exp", "identity"):
        net = Network((Dense(N_IN, N_OUT),), link=link)
        theta, (x, _, _) = parameters(net), problem(LOSSES["huber"])
        args = [t.asarray(a) for a in (theta, np.zeros(0), x)]
        raw = t.to_numpy(net.forward(*args, t.xp)).astype(np.float64)
        t.assert_close(net.predict(*args, t.xp), oracle.ACTIVATION[link](raw))


def test_training_loss_has_the_masks_of_the_oracle(target):
    net = network("tanh", **OPTIONS["dropout"])
    theta, loss = parameters(net), get_loss("half_squared_error")
    x, y, weight = (rounded(a) for a in problem(loss))
    p = net.layout.split(theta, np)
    masks = [oracle.mask(KEYS[0], 2, N, N_IN, 0.3), oracle.mask(KEYS[1], 2, N, 7, 0.4), None]
    z = oracle.forward(
        [p["weight_0"], p["weight_1"]], [p["bias_0"], p["bias_1"]], ["tanh", "identity"], x, masks
    )
    value, _, _ = gradient_on(target, net, theta, x, y, weight, loss, first_row=2)
    expected, _ = oracle.half_squares(z, y, weight)
    target.assert_close(value, np.asarray(expected), rtol=target.loss_tol)


def test_dropout_acts_in_training_only():
    net, plain = network(**OPTIONS["dropout"]), network()
    x, y, weight = problem(LOSSES["huber"])
    theta = parameters(net)
    trained = numpy_gradient(net, theta, x, y, weight, get_loss("huber"))
    off = numpy_gradient(net, theta, x, y, weight, get_loss("huber"), keys=None, train=False)
    never = numpy_gradient(plain, theta, x, y, weight, get_loss("huber"))
    assert off[0] == never[0] != trained[0]
    np.testing.assert_array_equal(off[1], never[1])


# -- gradients ---------------------------------------------------------------------------------


# A gradient is a product: an activation meets a loss by way of one array, whatever either is. So
# each of them is tried once, with dropout and without.
PAIRS = [(name, "softmax_cross_entropy") for name in DIFFERENTIABLE]
PAIRS += [("tanh", name) for name in LOSSES if name != "softmax_cross_entropy"]
CASES = [(*pair, options) for pair in PAIRS for options in ("plain", "dropout")]
CASES += [(*pair, "no bias") for pair in (PAIRS[0], PAIRS[-1])]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("activation", "loss", "options"), CASES)
def test_gradient_equals_central_differences(activation, loss, options):
    net, loss = network(activation, **OPTIONS[options]), LOSSES[loss]
    x, y, weight = problem(loss)
    theta = 0.5 * parameters(net)
    _, gradient = numpy_gradient(net, theta, x, y, weight, loss)
    expected = central_differences(
        lambda t: numpy_gradient(net, t, x, y, weight, loss)[0], theta, step=2e-6
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7 * abs(expected).max())


@pytest.mark.parametrize("activation", DIFFERENTIABLE)
def test_gradient_through_an_output_activation(activation):
    """The last layer may have one too: no loss assumes a linear output."""
    net, loss = network("tanh", out=activation), get_loss("half_squared_error")
    x, y, weight = problem(loss)
    theta = 0.5 * parameters(net)
    _, gradient = numpy_gradient(net, theta, x, y, weight, loss)
    expected = central_differences(
        lambda t: numpy_gradient(net, t, x, y, weight, loss)[0], theta, step=2e-6
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7 * abs(expected).max())


def assert_gradient_follows_numpy(target, net, loss, weighted=True):
    x, y, weight = (rounded(a) for a in problem(loss))
    weight = weight if weighted else None
    theta = parameters(net) * 0.5
    value, gradient, buffers = gradient_on(target, net, theta, x, y, weight, loss)
    expected_value, expected = numpy_gradient(net, theta, x, y, weight, loss)
    target.assert_close(value, np.asarray(expected_value))
    target.assert_close(gradient, expected)
    target.assert_here(buffers)


@pytest.mark.parametrize("activation", DIFFERENTIABLE)
def test_gradient_follows_numpy_for_every_activation(target, activation):
    net = network(activation, **OPTIONS["dropout"])
    assert_gradient_follows_numpy(target, net, get_loss("softmax_cross_entropy"))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradient_follows_numpy_for_every_loss(target, loss):
    assert_gradient_follows_numpy(target, network("tanh", bias=False), loss)
    assert_gradient_follows_numpy(target, network("sigmoid"), loss, weighted=False)


def test_shards_of_a_batch_add_up(target_any):
    """Masks know a row's place in the global batch, so the split leaves no trace."""
    t, net, loss = target_any, network(**OPTIONS["dropout"]), get_loss("softmax_cross_entropy")
    x, y, _ = (rounded(a) for a in problem(loss))
    theta = parameters(net)
    whole = numpy_gradient(net, theta, x, y, None, loss)[1]
    total = np.zeros_like(theta)
    for first, last in ((0, 2), (2, N)):
        rows = slice(first, last)
        _, g, _ = gradient_on(t, net, theta, x[rows], y[rows], None, loss, first_row=first)
        total += t.to_numpy(g).astype(np.float64) * (last - first) / N
    np.testing.assert_allclose(total, whole, rtol=0, atol=10 * t.tol * np.abs(whole).max())


@pytest.mark.targets("strict:device1")
def test_first_layer_computes_no_input_gradient(target_any, monkeypatch):
    """A product a layer forward, one for each weight gradient, one between two layers."""
    cls, calls = type(target_any.xp.asarray(0.0)), []
    multiply = cls.__matmul__

    def counted(self, other):
        calls.append((self.shape, other.shape))
        return multiply(self, other)

    monkeypatch.setattr(cls, "__matmul__", counted)
    for depth in (1, 2, 4):
        net, calls[:] = multilayer_perceptron([N_IN] + [4] * (depth - 1) + [N_OUT]), []
        loss = get_loss("half_squared_error")
        x, y, _ = problem(loss)
        gradient_on(target_any, net, parameters(net), x, y, None, loss)
        assert len(calls) == 3 * depth - 1


def test_a_step_waits_for_nothing(target_any):
    net, loss = network("gelu", **OPTIONS["dropout"]), get_loss("softmax_cross_entropy")
    x, y, weight = problem(loss)
    t = target_any
    args = [t.asarray(a) for a in (parameters(net), np.zeros(0), x, y, weight)]
    with t.forbid_sync():
        net.loss_and_gradient(*args, loss, t.xp, keys=KEYS)


@pytest.mark.targets("torch:cpu")
def test_a_step_reads_no_value(target_any):
    """On torch's meta device there is no value to read."""
    import torch

    xp, names = target_any.xp, DIFFERENTIABLE
    for i in range(max(len(names), len(LOSSES))):
        loss = list(LOSSES.values())[i % len(LOSSES)]
        net = network(names[i % len(names)], **OPTIONS["dropout"])
        arrays = [torch.asarray(a, device="meta") for a in (parameters(net), *problem(loss))]
        theta, x, y, weight = arrays
        buffers = torch.empty(0, device="meta")
        value, gradient, _ = net.loss_and_gradient(
            theta, buffers, x, y, weight, loss, xp, keys=KEYS
        )
        assert (value.shape, gradient.shape) == ((), theta.shape)


# -- descriptions ------------------------------------------------------------------------------


def test_summary():
    net = Network((Dense(64, 100, "relu", 0.5), Dense(100, 10, bias=False)), input_dropout=0.2)
    assert net.summary().splitlines() == [
        "layer    shape       activation    dropout    parameters",
        "--------------------------------------------------------",
        "input    64                            0.2             0",
        "dense    64 x 100    relu              0.5         6,500",
        "dense    100 x 10    identity                      1,000",
        "--------------------------------------------------------",
        "total                                              7,500",
    ]
    assert str(net) == net.summary()


def test_description_survives_json():
    net = Network((Dense(3, 4, "gelu", 0.25, bias=False), Dense(4, 2)), 0.1, "softmax")
    again = Network.from_dict(json.loads(json.dumps(net.to_dict())))
    assert again == net
    assert hash(again) == hash(net)


def test_description_of_own_activation_is_refused():
    own = Activation("relu", lambda z, xp: z, lambda z, a, xp: a)  # a built-in's name is not enough
    with pytest.raises(ValueError, match="'relu' is your own function"):
        Network((Dense(2, 2, own),)).to_dict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0, 3), "n_in must be a whole number of at least 1, got 0"),
        (lambda: Dense(3, -1), "n_out must be a whole number of at least 1, got -1"),
        (lambda: Dense(3, 2.5), "n_out must be a whole number of at least 1, got 2.5"),
        (lambda: Dense(3, True), "n_out must be a whole number of at least 1, got True"),
        (lambda: Dense(3, 2, dropout=1.0), "dropout must be .* below 1, got 1.0"),
        (lambda: Dense(3, 2, dropout=-0.1), "dropout must be .* at least 0"),
        (lambda: Dense(3, 2, dropout=float("nan")), "got nan"),
        (lambda: Dense(3, 2, dropout="0.5"), "got '0.5'"),
        (lambda: Dense(3, 2, "relux"), "relu"),
        (lambda: Network(()), "at least one layer"),
        (lambda: Network((Dense(2, 3), Dense(4, 1))), "Layer 0 has 3 outputs and layer 1 takes 4"),
        (lambda: Network((Dense(2, 3),), input_dropout=1), "input_dropout must be"),
        (lambda: Network((Dense(2, 3),), link="sofmax"), "softmax"),
    ],
)
def test_errors_name_value_and_cure(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_activation_without_derivative_cannot_be_trained():
    net, loss = network("step"), get_loss("half_squared_error")
    x, y, _ = problem(loss)
    with pytest.raises(ValueError, match="'step' has no derivative"):
        numpy_gradient(net, parameters(net), x, y, None, loss)
    assert net.forward(parameters(net), np.zeros(0), x, np).shape == (N, N_OUT)


def test_the_vector_of_another_network_is_refused():
    net, theta = network(bias=False), parameters(network())  # longer: its beginning would do
    match = rf"has shape \({len(theta)},\), and this network's has \({net.layout.size},\)"
    with pytest.raises(ValueError, match=match):
        net.forward(theta, np.zeros(0), np.zeros((2, net.n_in)), np)


def test_dropout_needs_keys():
    net, loss = network(dropout=0.5), get_loss("half_squared_error")
    x, y, _ = problem(loss)
    with pytest.raises(ValueError, match="keys"):
        numpy_gradient(net, parameters(net), x, y, None, loss, keys=None)
