"""The training loop: batches, losses, stopping, divergence, Ctrl-C; what it may not touch."""

import contextlib
import json
import math
import os
import pickle
import signal
import threading
from dataclasses import dataclass, replace

import numpy as np
import oracle
import pytest

from xpnn.backends import get_backend
from xpnn.data import Dataset
from xpnn.losses import LOSSES, get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import OPTIMIZERS, SGD, AdamW, get_optimizer
from xpnn.random import SHUFFLE, host_generator
from xpnn.schedules import Schedule, get_schedule
from xpnn.state import DivergedError, TrainingConfig, TrainingState
from xpnn.training import train

pytestmark = pytest.mark.own_context

N, N_IN, N_OUT = 23, 4, 3
NUMPY = get_backend("numpy")


def network(**options):
    return Network((Dense(N_IN, 6, "tanh", **options), Dense(6, N_OUT)), link="softmax")


def rows(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, N_IN)).astype(np.float32).astype(np.float64)
    return x, rng.integers(0, N_OUT, N), rng.integers(1, 4, N).astype(float)


def start(net, optimizer, backend=NUMPY, dtype="float64", seed=3):
    theta, buffers = net.init(seed)
    theta = theta.astype(np.float32)  # the same start in every dtype
    move = backend.asarray
    with backend.device_context():
        moved = move(theta, dtype=dtype)
        moments = optimizer.init(moved, backend.xp)
    return TrainingState(moved, move(buffers, dtype=dtype), moments, seed)


def config(**options):
    options = {"loss": get_loss("softmax_cross_entropy"), "batch_size": 5, "epochs": 2} | options
    options.setdefault("optimizer", SGD())
    options.setdefault("learning_rate", 0.1)
    return TrainingConfig(**options)


def dataset(target=None, weighted=False, stream=None):
    x, y, weight = rows()
    backend, dtype = (NUMPY, np.float64) if target is None else (target.backend, target.dtype)
    return Dataset(x, y, weight if weighted else None, backend, dtype, stream=stream)


def run(target=None, net=None, weighted=False, stream=None, validation=None, callbacks=(), **opts):
    net, options = net or network(), config(**opts)
    backend = NUMPY if target is None else target.backend
    state = start(net, options.optimizer, backend, target.dtype_name if target else "float64")
    data = dataset(target, weighted, stream)
    return train(net, state, data, options, validation=validation, callbacks=callbacks)


def weights_of(net, theta):
    p = net.layout.split(np.asarray(theta, dtype=np.float64), np)
    return [p["weight_0"], p["weight_1"]], [p["bias_0"], p["bias_1"]]


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


# -- validation, stopping, schedules -----------------------------------------------------------


def scripted(values, name="val_score"):
    """A validation whose metric takes the given values."""
    script = iter(values)
    return lambda theta, buffers: {"val_loss": 0.5, name: next(script)}


def test_early_stopping_counts_as_scikit_learn():
    """Stops once more than `patience` epochs in a row were no better than the best plus tol."""
    scores = [0.1, 0.5, 0.55, 0.54, 0.58, 0.60, 0.1, 0.2, 0.9]
    seen = []

    def validation(theta, buffers):
        seen.append(np.array(theta))
        return {"val_loss": 1.0, "val_score": scores[len(seen) - 1]}

    state = run(
        validation=validation, epochs=9, monitor="val_score", restore_best=True, tol=0.1, patience=2
    )
    # 0.55, 0.54 and 0.58 do not reach 0.5 + 0.1: the third is one more than the patience
    assert len(state.history["val_score"]) == 5
    assert state.outcome == "converged"
    assert state.best == 0.58
    np.testing.assert_array_equal(state.theta, seen[4])  # best, though no improvement by tol


def test_an_improvement_of_exactly_tol_is_one():
    scores = [0.25, 0.5, 0.5, 0.75, 0.75]
    state = run(validation=scripted(scores), epochs=5, monitor="val_score", tol=0.25, patience=0)
    assert state.history["val_score"] == [0.25, 0.5, 0.5]
    state = run(validation=scripted(scores), epochs=5, monitor="val_score", tol=0.25, patience=1)
    assert state.outcome == "finished"


def test_best_weights_are_restored():
    seen = []

    def validation(theta, buffers):
        seen.append(np.array(theta))
        return {"val_loss": 1.0, "val_score": [0.3, 0.9, 0.4][len(seen) - 1]}

    state = run(validation=validation, epochs=3, monitor="val_score", restore_best=True)
    np.testing.assert_array_equal(state.theta, seen[1])
    assert not np.array_equal(seen[1], seen[2])
    assert state.history["val_score"] == [0.3, 0.9, 0.4]
    kept = run(validation=scripted([0.3, 0.9, 0.4]), epochs=3, monitor="val_score")
    np.testing.assert_array_equal(kept.theta, seen[2])


def test_training_loss_that_no_longer_falls_stops():
    state = run(epochs=50, learning_rate=1e-9, patience=3)
    assert state.outcome == "converged"
    assert len(state.history["loss"]) == 5  # the first is the best, then four
    assert run(epochs=6, learning_rate=1e-9, patience=math.inf).outcome == "finished"


def test_adaptive_rate_drops_on_plateaus_until_it_ends():
    options = {
        "learning_rate": 1e-5, "schedule": get_schedule("adaptive"), "patience": 1, "tol": 10.0,
    }  # fmt: skip
    state = run(epochs=30, **options)
    rates = state.history["learning_rate"]
    assert rates[:3] == [1e-5] * 3
    assert sorted(set(rates), reverse=True) == pytest.approx([1e-5, 2e-6, 4e-7])
    assert state.outcome == "converged"
    assert state.plateaus == 2
    assert len(rates) < 30


def test_history_has_every_metric_of_every_epoch():
    state = run(validation=scripted([0.25, 0.5]), epochs=2)
    assert list(state.history) == ["loss", "learning_rate", "val_loss", "val_score"]
    assert state.history["val_score"] == [0.25, 0.5]
    assert state.history["learning_rate"] == [0.1, 0.1]
    assert all(type(v) is float for curve in state.history.values() for v in curve[:1])
    plain = {name: list(curve) for name, curve in state.history.items()}
    assert json.loads(json.dumps(plain)) == state.history


def test_schedule_is_asked_before_each_step_or_epoch():
    asked = []

    def rule(base, progress):
        asked.append(progress)
        return base

    run(epochs=2, schedule=Schedule("mine", rule))
    assert [p.step for p in asked] == list(range(10))
    assert {(p.total_steps, p.total_epochs) for p in asked} == {(10, 2)}
    asked.clear()
    run(epochs=2, schedule=Schedule("mine", rule, per="epoch"))
    assert [(p.epoch, p.samples) for p in asked] == [(0, 0), (1, N)]


def test_weight_decay_follows_a_schedule(target):
    """Asked for once an epoch; it is the decay that the optimizer would have had."""
    grown = Schedule("grown", lambda base, p: base * (1.0 + 2.0 * p.epoch), per="epoch")
    found = run(target, epochs=2, optimizer=AdamW(weight_decay=0.1), decay=grown)
    first = run(target, epochs=1, optimizer=AdamW(weight_decay=0.1))
    rest = dataset(target), config(epochs=1, optimizer=AdamW(weight_decay=0.1 * 3.0))
    wanted = train(network(), first, *rest)
    target.assert_close(found.theta, target.to_numpy(wanted.theta))


def test_penalty_is_divided_by_rows_and_leaves_biases_alone(target):
    net, options = network(), config(batch_size=N, epochs=1, learning_rate=0.5)
    state = run(target, net=net, batch_size=N, epochs=1, learning_rate=0.5, l1=0.4, l2=0.7)
    plain = run(target, net=net, batch_size=N, epochs=1, learning_rate=0.5)
    theta = np.asarray(start(net, options.optimizer).theta)
    pull = (0.4 * np.sign(theta) + 0.7 * theta) * net.layout.mask("weight") / N
    expected = target.to_numpy(plain.theta).astype(float) - 0.5 * pull
    target.assert_close(state.theta, expected)
    penalty = (np.abs(theta) * 0.4 + theta**2 * 0.35)[net.layout.mask("weight") == 1].sum() / N
    difference = state.history["loss"][0] - plain.history["loss"][0]
    assert difference == pytest.approx(penalty, rel=100 * target.loss_tol)


def test_max_norm_and_clipping_hold(target):
    state = run(target, epochs=3, learning_rate=5.0, max_norm=0.5)
    (w0, w1), _ = weights_of(network(), target.to_numpy(state.theta))
    assert max(np.linalg.norm(w, axis=0).max() for w in (w0, w1)) <= 0.5 * (1 + target.tol)
    before = np.asarray(start(network(), SGD()).theta, dtype=float)
    state = run(target, epochs=1, batch_size=N, learning_rate=1.0, clip_norm=0.01)
    moved = np.linalg.norm(target.to_numpy(state.theta).astype(float) - before)
    assert moved == pytest.approx(0.01, rel=max(1e-9, 30 * target.tol))


# -- divergence --------------------------------------------------------------------------------

SENTENCE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


@dataclass(frozen=True)
class Breaks(SGD):
    """Gradient descent whose weights become NaN in one step."""

    step: int = 8

    def __post_init__(self):
        pass

    def coefficients(self, lr, t):
        return (math.nan if t == self.step else lr,)


def test_divergence_is_an_error_that_keeps_the_last_good_epoch(target, monkeypatch):
    monkeypatch.setenv("XPNN_COMPILED", "0")  # the same kernel for an optimizer of one's own
    good = run(target, epochs=1)
    with pytest.raises(DivergedError) as caught:
        run(target, epochs=5, optimizer=Breaks())  # step 8 is in epoch 2
    error = caught.value
    assert isinstance(error, ValueError)
    assert str(error).startswith(SENTENCE)
    assert "epoch 2" in str(error)
    assert all(cure in str(error) for cure in ("StandardScaler", "learning_rate_init", "clip"))
    assert error.epoch == 2
    np.testing.assert_array_equal(target.to_numpy(error.state.theta), target.to_numpy(good.theta))
    assert math.isfinite(error.state.history["loss"][0])


def test_divergence_in_the_first_epoch_has_no_good_state():
    with pytest.raises(DivergedError) as caught:
        run(optimizer=Breaks(step=1))
    assert caught.value.state is None
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.epoch) == (str(caught.value), 1)


def test_a_large_rate_diverges_without_another_warning(target):
    x, y, _ = rows()
    net = Network((Dense(N_IN, N_OUT),))
    loss = get_loss("half_squared_error")
    data = Dataset(x * 1e6, np.eye(N_OUT)[y], None, target.backend, target.dtype)
    state = start(net, SGD(), target.backend, target.dtype_name)
    with pytest.raises(DivergedError):  # warnings are errors here
        train(net, state, data, config(loss=loss, learning_rate=1e3, epochs=60))


def test_divergence_under_early_stopping_restores_the_best():
    seen = []

    def validation(theta, buffers):
        seen.append(np.array(theta))
        return {"val_loss": 1.0, "val_score": 0.5}

    with pytest.warns(UserWarning, match="Solver produced non-finite.*epoch 2.*restored"):
        state = run(
            validation=validation, optimizer=Breaks(), epochs=5,
            monitor="val_score", restore_best=True,
        )  # fmt: skip
    np.testing.assert_array_equal(state.theta, seen[0])
    assert len(seen) == 1
    assert state.history["val_score"][0] == 0.5
    assert math.isnan(state.history["val_score"][1])
    assert state.outcome == "diverged"


# -- Ctrl-C ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PressesCtrlC(SGD):
    """Gradient descent in whose n-th step somebody presses Ctrl-C, once or twice."""

    step: int = 8
    times: int = 1

    def __post_init__(self):
        pass

    def coefficients(self, lr, t):
        for _ in range(self.times if t == self.step else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return (lr,)


def test_ctrl_c_acts_between_steps_and_keeps_the_weights(monkeypatch):
    monkeypatch.setenv("XPNN_COMPILED", "0")  # the same kernel for an optimizer of one's own
    before = signal.getsignal(signal.SIGINT)
    calls = []
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        state = run(optimizer=PressesCtrlC(), epochs=5, callbacks=[calls.append])
    assert signal.getsignal(signal.SIGINT) is before
    assert (state.outcome, state.step, state.epoch) == ("interrupted", 8, 1)
    assert len(state.history["loss"]) == len(calls) == 1
    by_hand = run(epochs=1)
    order = host_generator(3, SHUFFLE, 1).permutation(N)[: 3 * 5]
    x, y, _ = rows()
    data = Dataset(x[order], y[order], None, NUMPY, np.float64)
    expected = train(network(), by_hand, data, config(epochs=1, shuffle=False))
    np.testing.assert_array_equal(state.theta, expected.theta)


def test_ctrl_c_in_a_callback_ends_after_the_epoch():
    def press(end):
        if end.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(UserWarning, match="interrupted"):
        state = run(epochs=5, callbacks=[press])
    assert (state.outcome, len(state.history["loss"])) == ("interrupted", 2)
    np.testing.assert_array_equal(state.theta, run(epochs=2).theta)


def test_second_ctrl_c_interrupts_at_once():
    before = signal.getsignal(signal.SIGINT)
    ended = []

    class Watch:
        def __call__(self, end):
            pass

        def on_end(self):
            ended.append(True)

    net, optimizer = network(), PressesCtrlC(times=2)
    state = start(net, optimizer)
    theta = state.theta.copy()
    with pytest.raises(KeyboardInterrupt):
        train(net, state, dataset(), config(optimizer=optimizer), callbacks=[Watch()])
    assert signal.getsignal(signal.SIGINT) is before
    assert ended == [True]
    np.testing.assert_array_equal(state.theta, theta)


def test_training_outside_the_main_thread_leaves_signals_alone():
    before, result = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: result.append(run()))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(result[0].theta, run().theta)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_ctrl_c_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        state = run(optimizer=PressesCtrlC(), epochs=2)
        assert state.outcome == "finished"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_optimizer_of_ones_own_need_not_be_hashable(monkeypatch):
    monkeypatch.setenv("XPNN_COMPILED", "0")  # the same kernel for an optimizer of one's own

    @dataclass
    class Mine:
        def init(self, theta, xp):
            return ()

        def coefficients(self, lr, t):
            return (lr,)

        def update(self, theta, gradient, state, coefficients, decay, xp):
            return theta - coefficients[0] * gradient, ()

    np.testing.assert_array_equal(run(optimizer=Mine()).theta, run().theta)


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
