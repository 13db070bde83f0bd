"""Twenty steps with dropout: the same losses and weights on every library and device."""

import functools
import json
from itertools import pairwise

import numpy as np
import oracle
import pytest
from scripts import load_script
from targets import TABLE

from xpnn.backends import get_backend
from xpnn.data import Dataset
from xpnn.losses import get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import get_optimizer
from xpnn.random import SHUFFLE, host_generator
from xpnn.schedules import get_schedule
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training.loop import train

pytestmark = pytest.mark.own_context

N, BATCH, EPOCHS = 70, 16, 4  # five steps an epoch, the last of six rows
SIZES = (8, 40, 24, 3)
SEED = 2**61 + 17
NET = Network(
    (
        Dense(SIZES[0], SIZES[1], "relu", dropout=0.5),
        Dense(SIZES[1], SIZES[2], "tanh", dropout=0.2),
        Dense(SIZES[2], SIZES[3]),
    ),
    input_dropout=0.1,
)
RATES = (0.1, 0.5, 0.2)
RULES = {
    "sgd": {"learning_rate": 0.2},
    "momentum": {"learning_rate": 0.05, "schedule": get_schedule("cosine")},
    "nesterov": {"learning_rate": 0.05, "l2": 0.3},
    "adagrad": {"learning_rate": 0.05, "max_norm": 0.9},
    "rmsprop": {"learning_rate": 0.002, "l1": 0.05},
    "adam": {"learning_rate": 0.003, "l2": 0.3},
    "adamw": {"learning_rate": 0.003, "clip_norm": 0.5},
}


def rows():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(N, SIZES[0])).astype(np.float32).astype(np.float64)
    return x, rng.integers(0, SIZES[3], N), rng.uniform(0.5, 2.0, N).astype(np.float32)


def initial_theta():
    return NET.init(SEED)[0].astype(np.float32).astype(np.float64)


def trajectory(backend, dtype, rule):
    """The state after 20 steps."""
    optimizer, options = get_optimizer(rule), dict(RULES[rule])
    config = TrainingConfig(
        loss=get_loss("softmax_cross_entropy"), optimizer=optimizer,
        epochs=EPOCHS, batch_size=BATCH, **options,
    )  # fmt: skip
    move = backend.asarray
    with backend.device_context():
        theta = move(initial_theta(), dtype=dtype)
        moments = optimizer.init(theta, backend.xp)
    state = TrainingState(theta, move(np.zeros(0), dtype=dtype), moments, SEED)
    x, y, weight = rows()
    data = Dataset(x, y, weight, backend, backend.float_dtype(dtype))
    return train(NET, state, data, config)


@functools.cache
def reference(rule):
    return trajectory(get_backend("numpy"), "float64", rule)


def by_hand(rule):
    """The same by plain formulas: Adam, or Nesterov's momentum, with an L2 penalty."""
    x, y, weight = rows()
    rate, l2 = RULES[rule]["learning_rate"], RULES[rule]["l2"]
    names = ["relu", "tanh", "identity"]
    shapes = list(pairwise(SIZES))
    cuts = np.cumsum([a * b for a, b in shapes] + list(SIZES[1:]))
    parts = np.split(initial_theta(), cuts)
    w, b = [p.reshape(s) for p, s in zip(parts[:3], shapes, strict=True)], parts[3:6]
    params = [*w, *b]
    first, second = ([np.zeros_like(p) for p in params] for _ in range(2))
    losses, step = [], 0
    for epoch in range(EPOCHS):
        order = host_generator(SEED, SHUFFLE, epoch).permutation(N)
        total = 0.0
        for start in range(0, N, BATCH):
            i = order[start : start + BATCH]
            masks = [
                oracle.mask(oracle.step_key(SEED, step, layer), 0, len(i), units, p)
                for layer, (units, p) in enumerate(zip(SIZES[:-1], RATES, strict=True))
            ]
            masks.append(None)
            w, b = params[:3], params[3:]
            z = oracle.forward(w, b, names, x[i], masks)
            loss, _ = oracle.cross_entropy(z, y[i], weight[i].astype(float))
            rows_seen = weight[i].astype(float).sum()
            loss += l2 / 2 * sum((v**2).sum() for v in w) / rows_seen
            total += loss * len(i)
            dw, db = oracle.gradients(
                w, b, names, x[i], masks,
                lambda z, i=i: oracle.cross_entropy(z, y[i], weight[i].astype(float))[1],
            )  # fmt: skip
            gradient = [g + l2 * v / rows_seen for g, v in zip(dw, w, strict=True)] + db
            step += 1
            for k, g in enumerate(gradient):
                if rule == "adam":
                    first[k] = 0.9 * first[k] + 0.1 * g
                    second[k] = 0.999 * second[k] + 0.001 * g**2
                    scale = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                    params[k] = params[k] - scale * first[k] / (np.sqrt(second[k]) + 1e-8)
                else:
                    first[k] = 0.9 * first[k] - rate * g
                    params[k] = params[k] + 0.9 * first[k] - rate * g
        losses.append(total / N)
    return losses, np.concatenate([p.ravel() for p in params])


@pytest.mark.parametrize("rule", ["adam", "nesterov"])
def test_numpy_follows_plain_formulas(rule):
    losses, theta = by_hand(rule)
    state = reference(rule)
    assert state.step == 20
    np.testing.assert_allclose(state.history["loss"], losses, rtol=1e-11)
    np.testing.assert_allclose(state.theta, theta, rtol=0, atol=1e-11 * np.abs(theta).max())


@pytest.mark.parametrize("rule", ["adam", "nesterov", "adamw"])
def test_targets_follow_numpy(target, rule):
    """float64 to 1e-11; float32 losses to 1e-4, 99.9 % of the weights to 1e-5 and all to 1e-3."""
    assert_follows_numpy(target, rule)


@pytest.mark.targets(*[name for name in TABLE if not name.startswith("jax")])
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adagrad", "rmsprop"])
def test_targets_follow_numpy_by_other_rules(target, rule):
    """Not on JAX, which would compile for seconds each; `test_optimizers.py` has them there."""
    assert_follows_numpy(target, rule)


def assert_follows_numpy(target, rule):
    expected = reference(rule)
    state = trajectory(target.backend, target.dtype_name, rule)
    target.assert_here(state.theta)
    losses, expected_losses = state.history["loss"], expected.history["loss"]
    np.testing.assert_allclose(losses, expected_losses, rtol=target.loss_tol)
    target.assert_close(state.theta, expected.theta, rtol=target.weight_tol)
    error = np.abs(target.to_numpy(state.theta) - expected.theta) / np.abs(expected.theta).max()
    assert np.quantile(error, 0.999) <= target.tol
    assert min(expected_losses) < 0.98 * expected_losses[0]  # it does learn


def test_step_benchmark_times_every_target(target_any, capsys):
    module = load_script("benchmarks/step.py")
    name = target_any.backend.name
    options = ["--json", "--rounds=1", "--epochs=1", "--hidden=4"]
    module.main([*options, f"--device={name}", "--device=numpy"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["device"] for row in rows] == [name, "numpy"]
    assert rows[0]["ratio"] == 1.0
    assert all(row["microseconds_per_step"] > 0 for row in rows)
