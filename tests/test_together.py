"""Epochs whose steps are one call: the bits, and the ends, of epochs one by one."""

import math
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from small_training import N, config, dataset, network, rows, start

from xpnn import MLPClassifier
from xpnn.data import Dataset
from xpnn.losses import get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import SGD, Adam, AdamW
from xpnn.schedules import get_schedule
from xpnn.state import DivergedError
from xpnn.steps import compiled
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.training.loop import train

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="nothing is compiled here")


@pytest.fixture
def calls(monkeypatch):
    """The number of epochs of each call that has several."""
    found, seen = [], CompiledSteps.on_epochs

    def on_epochs(self, carry, rows, *rest):
        found.append(rows.epochs)
        return seen(self, carry, rows, *rest)

    monkeypatch.setattr(CompiledSteps, "on_epochs", on_epochs)
    return found


def both(net, data, options, **more):
    """The state after epochs that are taken together, and after those that a callback looks at."""
    states = []
    for callbacks in ((), (lambda end: None,)):
        state = start(net, options.optimizer, dtype=np.dtype(data.dtype).name)
        states.append(train(net, state, data, options, callbacks=callbacks, **more))
    return states


def assert_same(a, b):
    for one, other in zip((a.theta, *a.moments), (b.theta, *b.moments), strict=True):
        np.testing.assert_array_equal(one, other)
    assert a.scalars() == b.scalars()


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        ({}, {"patience": 3}),
        ({}, {"batch_size": N, "optimizer": Adam(), "patience": 3, "l2": 0.1}),
        ({"dropout": 0.3}, {"patience": 2, "clip_norm": 0.1}),
        ({"normalization": "layer"}, {"patience": 2.5, "max_norm": 1.0, "tol": 0.0}),
        ({}, {"learning_rate": 1e-9, "patience": 4, "epochs": 30}),  # ends by patience
        ({}, {"learning_rate": 3.0, "patience": 4, "epochs": 60}),
        ({}, {"patience": math.inf, "epochs": 40}),
    ],
    ids=str,
)
def test_bits_are_those_of_epochs_one_by_one(calls, layer, options):
    options = config(**{"epochs": 13} | options)
    for weighted in (False, True):
        assert_same(*both(network(**layer), dataset(weighted=weighted), options))
    assert max(calls) <= options.patience + 1
    assert sum(calls) > 10


def test_float32_and_sparse_features(calls):
    x, y, _ = rows()
    for features in (x, csr_array(np.maximum(x, 0.0))):
        data = Dataset(features.astype(np.float32), y, None, dataset().backend, np.float32)
        assert_same(*both(network(), data, config(epochs=9)))
    assert calls == [9, 9]


@pytest.mark.parametrize("parts", [2, 3])
def test_threads_share_the_steps_of_several_epochs(calls, monkeypatch, parts):
    monkeypatch.setattr(CompiledSteps, "threads", lambda self, rows: parts)
    assert_same(*both(network(dropout=0.3), dataset(weighted=True), config(epochs=9)))
    assert calls == [9]


def test_a_call_goes_on_from_another_with_patience_that_is_used_up(calls):
    net, options = network(), config(learning_rate=1e-9, epochs=3, patience=4)
    state = start(net, SGD())
    ends = []
    for _ in range(3):
        state = train(net, state, dataset(), options)
        ends.append((state.outcome, state.stale, len(state.history["loss"])))
    assert ends == [("finished", 2, 3), ("converged", 5, 6), ("converged", 6, 7)]
    assert calls == [3, 3]


@pytest.mark.parametrize("before", [0, 2])
def test_a_divergence_is_told_as_of_epochs_one_by_one(calls, before):
    x, y, _ = rows()
    net, options = Network((Dense(x.shape[1], 3),)), {"loss": get_loss("half_squared_error")}
    data = Dataset(x * 30.0, np.eye(3)[y], None, dataset().backend, np.float64)
    state = start(net, SGD())
    if before:
        state = train(net, state, data, config(**options, epochs=before, learning_rate=1e-4))
    errors, far = [], config(**options, learning_rate=10.0, epochs=60)
    for callbacks in ((), (lambda end: None,)):
        with pytest.raises(DivergedError) as caught:
            train(net, state, data, far, callbacks=callbacks)
        errors.append(caught.value)
    assert calls == [2, 11][not before :]  # thereafter epochs are taken one by one
    assert str(errors[0]) == str(errors[1])
    assert before + 3 < errors[0].epoch < before + 11
    assert_same(errors[0].state, errors[1].state)


def test_who_looks_gets_each_epoch(calls):
    """Validation, a callback, weights of the best epoch, and a rate that changes."""
    net, data = network(), dataset()
    measured = []

    def validation(theta, buffers):
        measured.append(theta.copy())
        return {"val_loss": 1.0, "val_score": 0.5}

    train(net, start(net, SGD()), data, config(epochs=4), validation=validation)
    assert len({m.tobytes() for m in measured}) == 4
    for options in (
        {"restore_best": True},
        {"schedule": get_schedule("invscaling")},
        {"decay": get_schedule("cosine"), "optimizer": AdamW()},
        {"shuffle": False},
    ):
        options = config(**{"epochs": 4} | options)
        train(net, start(net, options.optimizer), data, options)
    assert calls == []


def test_stop_is_asked_between_calls(calls):
    asked = iter([False, True, True])
    net = network()
    state = train(
        net, start(net, SGD()), dataset(), config(epochs=60, patience=4), stop=lambda: next(asked)
    )
    assert state.outcome == "stopped"
    assert [state.epoch] == calls == [len(state.history["loss"])]
    assert state.step == 5 * state.epoch


def test_a_default_fit_takes_epochs_together(calls):
    x = np.random.default_rng(0).standard_normal((150, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier(random_state=0, max_iter=40).fit(x, x.argmax(axis=1) % 3)
    assert sum(calls) == model.n_iter_ == len(model.loss_curve_)
    assert len(calls) <= 5
