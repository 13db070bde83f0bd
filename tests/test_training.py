"""The training loop: its batches and losses, what it waits for and what it may not touch."""

import contextlib
from dataclasses import replace

import numpy as np
import oracle
import pytest
from small_training import N_OUT, NUMPY, N, config, dataset, network, rows, run, start, weights_of

from xpnn.data import Dataset
from xpnn.losses import LOSSES, get_loss
from xpnn.optimizers import OPTIMIZERS, SGD, get_optimizer
from xpnn.random import SHUFFLE, host_generator
from xpnn.schedules import get_schedule
from xpnn.training.loop import train

pytestmark = pytest.mark.own_context


# -- batches and losses ------------------------------------------------------------------------


def oracle_epoch_loss(net, theta, order, weight=None, rate=0.0):
    """Plain gradient descent by hand; the mean loss of the epoch, every row counting once."""
    x, y, _ = rows()
    (w0, w1), (b0, b1) = weights_of(net, theta)
    total = 0.0
    for first in range(0, N, 5):
        i = order[first : first + 5]
        w = None if weight is None else weight[i]
        z = oracle.forward([w0, w1], [b0, b1], ["tanh", "identity"], x[i])
        value, _ = oracle.cross_entropy(z, y[i], w)
        total += value * len(i)
        dw, db = oracle.gradients(
            [w0, w1], [b0, b1], ["tanh", "identity"], x[i], [None] * 3,
            lambda z, i=i, w=w: oracle.cross_entropy(z, y[i], w)[1],
        )  # fmt: skip
        w0, w1 = w0 - rate * dw[0], w1 - rate * dw[1]
        b0, b1 = b0 - rate * db[0], b1 - rate * db[1]
    return total / N, np.concatenate([a.ravel() for a in (w0, w1, b0, b1)])


@pytest.mark.parametrize("weighted", [False, True])
def test_epoch_counts_every_row_once(target, weighted):
    """23 rows in batches of 5: the last batch has 3, and counts as 3."""
    net = network()
    state = run(target, weighted=weighted, epochs=1)
    theta = start(net, SGD()).theta
    order = host_generator(3, SHUFFLE, 0).permutation(N)
    weight = rows()[2] if weighted else None
    loss, expected = oracle_epoch_loss(net, theta, order, weight, rate=0.1)
    assert state.history["loss"] == [pytest.approx(loss, rel=target.loss_tol)]
    target.assert_close(state.theta, expected)
    assert (state.step, state.t, state.epoch, state.samples) == (5, 5, 1, N)


def test_rows_in_their_order_without_shuffling(target):
    state = run(target, epochs=1, shuffle=False)
    _, expected = oracle_epoch_loss(
        network(), start(network(), SGD()).theta, np.arange(N), rate=0.1
    )
    target.assert_close(state.theta, expected)


def test_whole_number_weights_are_repeated_rows():
    x, y, weight = rows()
    repeat = np.repeat(np.arange(N), weight.astype(int))
    options = config(batch_size=1000, epochs=3, shuffle=False, l2=0.5)
    finals = []
    for data in (
        Dataset(x, y, weight, NUMPY, np.float64),
        Dataset(x[repeat], y[repeat], None, NUMPY, np.float64),
    ):
        finals.append(train(network(), start(network(), SGD()), data, options).theta)
    np.testing.assert_allclose(*finals, rtol=1e-12)


def test_a_batch_without_weight_changes_nothing():
    x, y, _ = rows()
    data = Dataset(x, y, np.zeros(N), NUMPY, np.float64)
    before = start(network(), SGD())
    after = train(network(), before, data, config())
    np.testing.assert_array_equal(after.theta, before.theta)
    assert after.history["loss"] == [0.0, 0.0]


def test_shuffles_are_a_function_of_seed_and_epoch():
    """Two epochs in one call, or in two; with another call's draws between: the same."""
    net, options = network(dropout=0.3), config(epochs=2)
    whole = train(net, start(net, SGD()), dataset(), options)
    first = train(net, start(net, SGD()), dataset(), replace(options, epochs=1))
    run(epochs=1)  # of another seed's global state nothing is left
    second = train(net, first, dataset(), replace(options, epochs=1))
    np.testing.assert_array_equal(second.theta, whole.theta)
    assert second.history == whole.history
    other = train(net, replace(start(net, SGD()), seed=4), dataset(), options)
    assert not np.array_equal(other.theta, whole.theta)
    orders = [host_generator(3, SHUFFLE, epoch).permutation(N).tolist() for epoch in range(3)]
    assert len(set(map(tuple, orders))) == 3


@pytest.mark.long_to_compile
@pytest.mark.parametrize("weighted", [False, True])
def test_streaming_equals_resident(target, weighted):
    options = {"net": network(dropout=0.5), "weighted": weighted, "l2": 0.1}
    resident = run(target, **options)
    streamed = run(target, stream=True, **options)
    if target.backend.library.name == "jax":  # two programs may be fused differently
        target.assert_close(streamed.theta, target.to_numpy(resident.theta))
        return
    np.testing.assert_array_equal(target.to_numpy(streamed.theta), target.to_numpy(resident.theta))
    assert streamed.history == resident.history


# -- no wait, no warning, nothing touched ------------------------------------------------------


def step_of(target, loss, optimizer, net, **options):
    """One training step as the loop makes it, and its arguments."""
    from xpnn.steps.reference import ReferenceSteps
    from xpnn.steps.rules import Batch, Carry, Rules

    x, y, weight = rows()
    if loss.name not in ("softmax_cross_entropy",):
        y = np.eye(N_OUT)[y]
    t, keys = target, [[1, 2]] * (len(net.layers) + 1)
    with t.backend.device_context():
        theta = t.asarray(net.init(0)[0])
        moments = optimizer.init(theta, t.xp)
        total = t.xp.zeros((), dtype=t.dtype, device=t.device)
    rules = (options.get("l1", 0.0), options.get("l2", 0.0))
    rules += (options.get("clip_norm"), options.get("max_norm"))
    steps = ReferenceSteps(Rules(net, loss, optimizer, *rules), t.backend, t.dtype)
    carry = Carry(theta, t.asarray(np.zeros(0)), moments, total)
    batch = Batch(t.asarray(x), t.asarray(y), t.asarray(weight))
    keys = np.asarray(keys, np.uint32) if t.backend.library.name == "jax" else keys
    return steps, (carry, batch, keys, optimizer.coefficients(0.1, 1))


EVERYTHING = {"l1": 0.1, "l2": 0.1, "clip_norm": 1.0, "max_norm": 2.0}


@pytest.mark.targets("strict:device1", "strict:no_x64", "torch:cuda", "cupy:0", "jax:cuda")
def test_steps_wait_for_nothing(target_any):
    """Every optimizer, loss and penalty with every read of a device value forbidden."""
    net = network(dropout=0.5)
    for optimizer in OPTIMIZERS.values():
        for options in ({}, EVERYTHING):
            loss = get_loss("softmax_cross_entropy")
            step, args = step_of(target_any, loss, optimizer(), net, **options)
            with target_any.backend.device_context(), target_any.forbid_sync():
                step.on_batch(*args)
    for loss in LOSSES.values():
        step, args = step_of(target_any, loss, SGD(), net)
        with target_any.backend.device_context(), target_any.forbid_sync():
            step.on_batch(*args)


@pytest.mark.targets("strict:device1")
def test_epoch_reads_the_device_once(target_any, monkeypatch):
    """A loop of ten steps converts to the host what one of five does."""
    backend, calls = target_any.backend, []
    original = type(backend.library).to_numpy

    def counted(self, x):
        calls.append(tuple(x.shape))
        return original(self, x)

    monkeypatch.setattr(type(backend.library), "to_numpy", counted)
    counts = []
    for batch_size in (5, 2):
        calls.clear()
        run(target_any, net=network(dropout=0.5), batch_size=batch_size, epochs=3)
        counts.append(len(calls))
    assert counts == [3, 3]


@pytest.mark.targets("torch:cpu")
def test_steps_read_no_value(target_any):
    """On torch's meta device there is no value to read."""
    import torch

    net = network(dropout=0.5)
    for optimizer in OPTIMIZERS.values():
        loss = get_loss("softmax_cross_entropy")
        steps, (carry, batch, keys, coefficients) = step_of(
            target_any, loss, optimizer(), net, **EVERYTHING
        )

        def meta(a):
            if isinstance(a, torch.Tensor):
                return a.to("meta")
            if a is None:
                return None
            return type(a)(*map(meta, a)) if hasattr(a, "_fields") else tuple(map(meta, a))

        steps.factors = meta(steps.factors)
        out = steps.on_batch(meta(carry), meta(batch), keys, coefficients)
        assert out.theta.shape == carry.theta.shape
        assert out.theta.device.type == "meta"


@pytest.mark.targets("jax:cpu", "jax:cuda")
@pytest.mark.dtypes("float32")
def test_step_is_compiled_once_for_all_epochs(target_any):
    """Learning rate, step number and keys are arguments: two programs (full and short batch)."""
    import jax

    from xpnn.network import make_groups
    from xpnn.steps.reference import ReferenceSteps
    from xpnn.steps.rules import Rules

    options = config(
        epochs=4, learning_rate=0.1, schedule=get_schedule("cosine"),
        optimizer=get_optimizer("adam"),
    )  # fmt: skip
    net = network(dropout=0.5)
    state = start(net, options.optimizer, target_any.backend, "float32")
    train(net, state, dataset(target_any), options)
    rules = Rules(net, options.loss, options.optimizer, groups=make_groups((), net.layout))
    on_rows = ReferenceSteps(rules, target_any.backend, target_any.dtype)._on_rows
    assert isinstance(on_rows, type(jax.jit(lambda x: x)))
    assert on_rows._cache_size() == 2


def test_given_state_and_data_are_untouched(target):
    net, options = network(dropout=0.5), config(optimizer=get_optimizer("adam"), l2=0.1)
    state = start(net, options.optimizer, target.backend, target.dtype_name)
    x, y, weight = rows()
    x, y, weight = (a.copy() for a in (x, y, weight))
    held = [target.asarray(a) for a in (x, y, weight)]
    arrays = (state.theta, state.buffers, *state.moments)
    before = [target.to_numpy(a).copy() for a in arrays]
    seen = dict(vars(state))
    data = Dataset(*held, target.backend, target.dtype)
    first = train(net, state, data, options)
    kept = target.to_numpy(first.theta).copy()
    second = train(net, first, data, options)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(target.to_numpy(a), b)
    assert all(vars(state)[k] is v for k, v in seen.items())
    assert state.history == {}
    np.testing.assert_array_equal(target.to_numpy(first.theta), kept)
    assert len(first.history["loss"]) == 2
    assert len(second.history["loss"]) == 4
    for a, b in zip(held, rows(), strict=True):
        expected = b.astype(target.dtype_name) if b.dtype.kind == "f" else b
        np.testing.assert_array_equal(target.to_numpy(a), expected)
    target.assert_here(second.theta)


@pytest.mark.targets("numpy", "numpy:readonly", "strict:device1")
def test_host_rows_are_never_written(target):
    x, y, weight = rows()
    for a in (x, y, weight):
        a.flags.writeable = False
    net, options = network(dropout=0.5), config()
    data = Dataset(x, y, weight, target.backend, target.dtype)
    train(net, start(net, SGD(), target.backend, target.dtype_name), data, options)


# -- class numbers, and keys drawn ahead -----------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wrong", [N_OUT, 1_000_000, -1])
def test_class_numbers_out_of_range_are_refused_before_training(target_any, wrong, stream):
    x, y, _ = rows()
    y[7] = wrong
    backend, net, options = target_any.backend, network(), config()
    state = start(net, options.optimizer, backend, target_any.dtype_name)
    before = target_any.to_numpy(state.theta).copy()
    data = Dataset(x, target_any.asarray(y), None, backend, target_any.dtype, stream=stream)
    message = rf"y has the class number {wrong} in row 7, but the network has 3 outputs: number the"
    with pytest.raises(ValueError, match=message):
        train(net, state, data, options)
    np.testing.assert_array_equal(target_any.to_numpy(state.theta), before)
    assert state.epoch == 0


def test_class_numbers_out_of_range_are_refused_by_lbfgs_too():
    from xpnn.training.lbfgs import train_lbfgs

    x, y, _ = rows()
    y[0] = 3
    net, options = network(), config()
    data = Dataset(x, y, None, NUMPY, np.float64)
    with pytest.raises(ValueError, match="class number 3 in row 0"):
        train_lbfgs(net, start(net, SGD()), data, options, max_fun=9)


def test_other_losses_take_any_whole_numbers():
    x, y, _ = rows()
    net, options = network(), config(loss=get_loss("half_squared_error"))
    data = Dataset(x, (np.eye(N_OUT)[y] * 100).astype(float), None, NUMPY, np.float64)
    assert train(net, start(net, SGD()), data, options).epoch == 2


@pytest.mark.parametrize(("epochs", "most"), [(1, 5), (3, 15), (2000, 2048)])
def test_dropout_keys_are_drawn_for_the_steps_there_are(monkeypatch, epochs, most):
    """Five steps an epoch: a call of one epoch draws five keys, a long one some epochs' ahead."""
    from xpnn.training import loop

    drawn = []
    original = loop.step_keys

    def counted(seed, first, n_steps, n_layers):
        drawn.append(n_steps)
        return original(seed, first, n_steps, n_layers)

    class Enough(Exception):
        pass

    def stop(end):
        if end.epoch == 3:
            raise Enough

    monkeypatch.setattr(loop, "step_keys", counted)
    with contextlib.suppress(Enough):
        run(net=network(dropout=0.5), epochs=epochs, callbacks=[stop])
    assert drawn == [most]
