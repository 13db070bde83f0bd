"""What ends a training: patience, schedules, divergence, Ctrl-C; and the weights it leaves."""

import json
import math
import os
import pickle
import signal
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from small_training import (
    N_IN,
    N_OUT,
    NUMPY,
    N,
    config,
    dataset,
    network,
    rows,
    run,
    start,
    weights_of,
)

from xpnn.data import Dataset
from xpnn.losses import get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import SGD, AdamW
from xpnn.random import SHUFFLE, host_generator
from xpnn.schedules import Schedule, get_schedule
from xpnn.state import DivergedError
from xpnn.training.loop import train

pytestmark = pytest.mark.own_context


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


@pytest.mark.long_to_compile
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
