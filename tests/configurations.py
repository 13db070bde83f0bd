"""Whole trainings that every target must repeat, for `test_parity.py` and ci/parity.md."""

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from targets import LOSS_TOLERANCE, TOLERANCE, WEIGHT_TOLERANCE, Target, running

import xpnn
from xpnn.backends import Backend
from xpnn.data import Dataset
from xpnn.layers import Dense
from xpnn.losses import Loss, get_loss
from xpnn.network import Network
from xpnn.optimizers import OPTIMIZERS, get_optimizer
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training import data as module
from xpnn.training import loop as training
from xpnn.training import together

EPOCHS, BATCH, SEED, LEAST = 5, 50, 3, 0.999
BULK_TOLERANCE = 1e-5  # of the float32 weights, all but one in a thousand
TIE = 1e-4  # two classes this close may change places in float32


@dataclass(frozen=True)
class Configuration:
    """An estimator, its problem and the loss that it takes."""

    problem: str
    loss: str = "softmax_cross_entropy"
    parameters: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Any:
        """The estimator."""
        if self.problem == "perceptron":
            common = {"tol": None, "max_iter": EPOCHS, "random_state": SEED}
            return xpnn.Perceptron(**common, **self.parameters)
        cls = xpnn.MLPRegressor if self.problem == "diabetes" else xpnn.MLPClassifier
        common = {"hidden_layer_sizes": (32, 16), "max_iter": EPOCHS, "batch_size": BATCH}
        common |= {"random_state": SEED, "n_iter_no_change": np.inf}
        return cls(**common | self.parameters)


PLAIN = {"classifier": "digits", "regressor": "diabetes", "multilabel": "bits"}
LOSSES = {
    "digits": "softmax_cross_entropy",
    "diabetes": "half_squared_error",
    "bits": "binary_cross_entropy",
}
CONFIGURATIONS: dict[str, Configuration] = {
    **{name: Configuration(p, LOSSES[p]) for name, p in PLAIN.items()},
    "dropout": Configuration("digits", parameters={"dropout": 0.5, "input_dropout": 0.2}),
    **{
        f"optimizer {name}": Configuration("digits", parameters={"solver": get_optimizer(name)})
        for name in OPTIMIZERS
    },
    "class weights": Configuration("digits", parameters={"class_weight": "balanced"}),
    "batch normalization": Configuration("digits", parameters={"normalization": "batch"}),
    "layer normalization": Configuration("digits", parameters={"normalization": "layer"}),
    "early stopping": Configuration("digits", parameters={"early_stopping": True}),
    "perceptron": Configuration("perceptron"),
    "perceptron, class weights": Configuration(
        "perceptron", parameters={"class_weight": {c: 1.0 + c % 4 for c in range(10)}}
    ),
}


@functools.cache
def rows(problem: str) -> tuple[np.ndarray, np.ndarray]:
    """Real data on the host; float64 numbers that float32 holds exactly."""
    if problem == "diabetes":
        x, y = load_diabetes(return_X_y=True)
        x, y = x[:220] * 20.0, (y[:220] - y.mean()) / y.std()
    else:
        x, y = load_digits(return_X_y=True)
        x, y = x[:220] / 16.0, y[:220]
        if problem == "bits":
            y = np.stack([y >> bit & 1 for bit in range(4)], axis=1)
    return x.astype(np.float32).astype(np.float64), (
        y if y.dtype.kind == "i" else y.astype(np.float32).astype(np.float64)
    )


@dataclass(frozen=True)
class Trained:
    """What a training left, on the host in float64."""

    orders: list[list[int]]
    weights: np.ndarray
    losses: np.ndarray
    scores: np.ndarray  # decides the prediction: a column a class or output
    predicted: np.ndarray
    gradient: np.ndarray | None  # of the first step
    masks: list[np.ndarray]


@contextmanager
def recorded_orders() -> Iterator[list[list[int]]]:
    """The order of each epoch, as it reached the device."""
    orders: list[list[int]] = []
    original = module.placed

    def record(order: Any, backend: Backend) -> Any:
        placed = original(order, backend)
        on_host = placed if placed is order else backend.to_numpy(placed)
        orders.append([] if order is None else np.asarray(on_host).tolist())
        return placed

    with mock.patch.object(module, "placed", record), mock.patch.object(together, "placed", record):
        yield orders


def train(configuration: Configuration, target: Target) -> Trained:
    """Train on a target from data that lie there."""
    x, y = (target.asarray(a) for a in rows(configuration.problem))
    with warnings.catch_warnings(), recorded_orders() as orders:
        warnings.simplefilter("ignore")  # ConvergenceWarning: five epochs
        model = configuration.make().fit(x, y)
    gradient, masks = None, []
    if configuration.problem == "perceptron":
        weights = [model.coef_, model.intercept_]
        losses, scores = [], host(model.decision_function(x))
    else:
        weights = [*model.coefs_, *model.intercepts_]
        losses = model.loss_curve_
        proba = getattr(model, "predict_proba", None)
        scores = host(model.predict(x) if proba is None else proba(x))
        gradient = first_gradient(configuration, model, target, orders)
        masks = [a for layer, rate in enumerate(rates(model.network_)) if rate
                 for a in drawn_masks(target, model, layer, rate)]  # fmt: skip
    flat = np.concatenate([host(a).ravel() for a in weights])
    predicted = host(model.predict(x))
    return Trained(orders, flat, np.asarray(losses), scores, predicted, gradient, masks)


def host(a: Any) -> np.ndarray:
    """An array of any library, on the host in float64."""
    return np.asarray(xpnn.to_numpy(a), dtype=np.float64)


def rates(network: Network) -> list[float]:
    """Dropout rates: of the input, then of each layer."""
    return [network.input_dropout, *(layer.dropout for layer in network.layers)]


def one_step(
    target: Target,
    network: Network,
    theta: Any,
    rows: tuple[Any, ...],
    loss: Loss,
    seed: int,
    step: int,
) -> np.ndarray:
    """The gradient of a step of the training loop itself, whichever kernels it takes.

    The velocity of a first step with momentum, at a learning rate of 1, is minus the gradient.
    """
    backend, optimizer = target.backend, get_optimizer("momentum")
    buffers = target.asarray(network.init(seed)[1])
    config = TrainingConfig(loss, optimizer, 1.0, epochs=1, batch_size=len(rows[0]), shuffle=False)
    with backend.device_context():
        theta = target.asarray(theta)
        state = TrainingState(theta, buffers, optimizer.init(theta, target.xp), seed, step=step)
    data = Dataset(*rows, None, backend, target.dtype)
    return -host(training.train(network, state, data, config).moments[0])


def first_gradient(
    configuration: Configuration, model: Any, target: Target, orders: Any
) -> np.ndarray:
    """The gradient of the first batch at the initial weights."""
    batch, seed = np.asarray(orders[0][:BATCH]), model._state.seed
    x, y = rows(configuration.problem)
    y = y.reshape(len(y), -1).astype(float) if configuration.loss != "softmax_cross_entropy" else y
    theta, _ = model.network_.init(seed)
    loss = get_loss(configuration.loss)
    return one_step(target, model.network_, theta, (x[batch], y[batch]), loss, seed, 0)


def _target_as_gradient(output: Any, y: Any, weight: Any, xp: Any) -> Any:
    return xp.sum(output), y + xp.zeros_like(output)


LOOK = Loss("look", _target_as_gradient)


def drawn_masks(target: Target, model: Any, layer: int, rate: float) -> Iterator[np.ndarray]:
    """The masks that a layer of the network draws in each step of training.

    The layer puts out ones, times its mask. The next takes the unit matrix as the gradient of its
    outputs, so the gradient of its weights is the mask.
    """
    network = model.network_
    units = network.layers[0].n_in if layer == 0 else network.layers[layer - 1].n_out
    if layer == 0:
        probe, x = Network((Dense(units, BATCH),), rate), np.ones((BATCH, units))
    else:
        before = [Dense(1, 1)] * (layer - 1)
        probe = Network((*before, Dense(1, units, dropout=rate), Dense(units, BATCH)))
        x = np.ones((BATCH, 1))
    theta = probe.layout.mask("bias")  # weights of 0 and biases of 1
    last = max((e for e in probe.layout.entries if e.role == "weight"), key=lambda e: e.layer)
    for step in range(EPOCHS * -(-len(rows("digits")[0]) // BATCH)):
        data = (x, np.eye(BATCH))
        gradient = one_step(target, probe, theta, data, LOOK, model._state.seed, step)
        yield gradient[last.offset : last.offset + last.size] != 0


@functools.cache
def reference(name: str, dtype: str) -> Trained:
    """The same training on NumPy."""
    with running("numpy", dtype, own_context=True) as target:
        return train(CONFIGURATIONS[name], target)


@dataclass(frozen=True)
class Comparison:
    """How far a target's training is from NumPy's; errors relative to the largest magnitude."""

    same_orders: bool
    same_masks: bool
    gradient: float
    losses: float
    weights: float
    bulk: float  # fraction of the weights within BULK_TOLERANCE
    other_predictions: int  # that no tie explains

    def faults(self, name: str, dtype: str) -> list[str]:
        """What is outside the tolerances of `targets.py`."""
        exact = CONFIGURATIONS[name].problem == "perceptron"
        limits = {
            "gradient": TOLERANCE[dtype],
            "losses": LOSS_TOLERANCE[dtype],
            "weights": 0.0 if exact else WEIGHT_TOLERANCE[dtype],
            "other_predictions": 0,
        }
        found = [
            f"{k} {getattr(self, k):.2g}" for k, v in limits.items() if not getattr(self, k) <= v
        ]
        found += [k for k in ("same_orders", "same_masks") if not getattr(self, k)]
        return [*found, f"bulk {self.bulk:.5f}"] if self.bulk < LEAST else found


def compare(name: str, target: Target) -> Comparison:
    """Train a configuration on a target and beside it on NumPy."""
    expected = reference(name, target.dtype_name)
    actual = train(CONFIGURATIONS[name], target)

    def error(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.max(np.abs(a - b)) / np.max(np.abs(b))) if b.size else 0.0

    away = np.abs(actual.weights - expected.weights) / np.max(np.abs(expected.weights))
    return Comparison(
        actual.orders == expected.orders,
        len(actual.masks) == len(expected.masks)
        and all(np.array_equal(a, b) for a, b in zip(actual.masks, expected.masks, strict=True)),
        0.0 if actual.gradient is None else error(actual.gradient, expected.gradient),
        error(actual.losses, expected.losses),
        float(away.max()),
        float(np.mean(away <= BULK_TOLERANCE)),
        _unexplained(name, actual, expected, target.dtype_name),
    )


def _unexplained(name: str, actual: Trained, expected: Trained, dtype: str) -> int:
    """Rows whose prediction differs although NumPy's was no tie."""
    tie = TIE if dtype == "float32" else 1e-9
    problem = CONFIGURATIONS[name].problem
    if problem == "diabetes":
        return int(np.sum(np.abs(actual.predicted - expected.predicted) > 10 * tie))
    differs = actual.predicted != expected.predicted
    if problem == "bits":
        return int(np.sum(differs & (np.abs(expected.scores - 0.5) > tie)))
    first, second = np.sort(expected.scores, axis=1)[:, :-3:-1].T
    return int(np.sum(differs & (first - second > tie)))
