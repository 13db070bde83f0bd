"""What is done by hand first: one weight that learns, measures of error, a mask of dropout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend, backend_of, dtype_name, get_backend
from xpnn.arrays.typing import Array
from xpnn.model.dense import Dense
from xpnn.model.network import Network
from xpnn.neurons.learning import Trace
from xpnn.neurons.units import floating
from xpnn.parts.losses import get_loss
from xpnn.parts.optimizers import get_optimizer


class _OneWeight:
    """A single weight without bias, and the square of its error."""

    def __init__(self, device: Any) -> None:
        self.backend: Backend = get_backend("numpy" if device is None else device)
        self.network = Network((Dense(1, 1, bias=False),))
        self.loss = get_loss("half_squared_error")
        self.dtype = "float64" if "float64" in self.backend.dtypes else "float32"

    def array(self, value: float) -> Array:
        return self.backend.asarray(np.asarray([[value]]), dtype=self.dtype)

    def predict(self, theta: Array, x: Array) -> float:
        return float(self.network.forward(theta, theta[:0], x, self.backend.xp)[0, 0])

    def run(
        self, weight: float, steps: int, x: float, target: float, step: Callable[..., Any]
    ) -> Trace:
        errors, predictions, weights, evaluations = [], [], [], 0
        with self.backend.device_context():
            inputs, goal, theta = self.array(x), self.array(target), self.array(weight)[0, :]
            for _ in range(steps):
                theta, prediction, used = step(theta, inputs, goal)
                predictions.append(prediction)
                errors.append((prediction - target) ** 2)
                weights.append(float(theta[0]))
                evaluations += used
        return Trace(tuple(errors), theta, evaluations, tuple(predictions), tuple(weights))


def hot_and_cold(
    x: float,
    weight: float,
    target: float,
    *,
    step: float = 0.001,
    steps: int = 20,
    device: Any = None,
) -> Trace:
    """Learn one weight by trying a fixed step up and a fixed step down and keeping the better.

    It costs two more evaluations a step than it needs, and never gets nearer than the step.

    Parameters
    ----------
    x, weight, target : float
    step : float, default=0.001
    steps : int, default=20
    device : str or Backend, default=None
        None is NumPy.

    Returns
    -------
    Trace

    Examples
    --------
    >>> trace = hot_and_cold(0.5, 0.5, 0.8, step=0.001, steps=1101)
    >>> round(trace.predictions[-1], 4)
    0.8
    """
    one = _OneWeight(device)

    def move(theta: Array, inputs: Array, goal: Array) -> tuple[Array, float, int]:
        wanted = float(goal[0, 0])
        tries = [theta, theta + step, theta - step]
        predictions = [one.predict(t, inputs) for t in tries]
        misses = [abs(p - wanted) for p in predictions]
        return tries[misses.index(min(misses))], predictions[0], 3

    return one.run(weight, steps, x, target, move)


def delta_rule(
    x: float,
    weight: float,
    target: float,
    *,
    learning_rate: float = 1.0,
    steps: int = 20,
    device: Any = None,
) -> Trace:
    """Learn one weight by ``weight -= learning_rate * (prediction - target) * x``.

    The gradient of half the squared error says direction and size of the step at once.

    Parameters
    ----------
    x, weight, target : float
    learning_rate : float, default=1.0
    steps : int, default=20
    device : str or Backend, default=None
        None is NumPy.

    Returns
    -------
    Trace

    References
    ----------
    B. Widrow, M. E. Hoff. Adaptive switching circuits. IRE WESCON Convention Record 4, 1960.

    Examples
    --------
    >>> delta_rule(0.4, 0.2, 0.7).errors[:2]
    (0.38439999999999985, 0.2712326399999999)
    """
    one, optimizer = _OneWeight(device), get_optimizer("sgd")

    def move(theta: Array, inputs: Array, goal: Array) -> tuple[Array, float, int]:
        xp = one.backend.xp
        _, gradient, _ = one.network.loss_and_gradient(
            theta, theta[:0], inputs, goal, None, one.loss, xp
        )
        prediction = one.predict(theta, inputs)
        rate = optimizer.coefficients(learning_rate, 1)
        return optimizer.update(theta, gradient, (), rate, None, xp)[0], prediction, 2

    return one.run(weight, steps, x, target, move)


@dataclass(frozen=True)
class ErrorMeasures:
    """Three ways to add up errors ``target - output``.

    `signed` is no loss: errors of opposite sign cancel, so it is 0 for outputs that are wrong
    everywhere, and it has no minimum; growing outputs push it below every bound.

    Attributes
    ----------
    signed, absolute, half_squared : float
    """

    signed: float
    absolute: float
    half_squared: float


def error_measures(targets: Array, outputs: Array) -> ErrorMeasures:
    """Sum of the differences, of their absolute values, and of half their squares.

    Parameters
    ----------
    targets, outputs : arrays of one shape (n,)

    Returns
    -------
    ErrorMeasures

    Examples
    --------
    >>> error_measures(np.asarray([2, 3, 5, 9]), np.asarray([1, 5, 3, 6]))
    ErrorMeasures(signed=4.0, absolute=8.0, half_squared=9.0)
    """
    backend = backend_of(targets, outputs)
    with backend.device_context():
        xp = backend.xp
        t, o = (xp.reshape(floating(a, backend), (1, -1)) for a in (targets, outputs))
        absolute, half = (
            float(get_loss(name)(o, t, None, xp)[0])
            for name in ("absolute_error", "half_squared_error")
        )
        return ErrorMeasures(float(xp.sum(t - o)), absolute, half)


@dataclass(frozen=True)
class Masked:
    """A layer under a dropout mask.

    Attributes
    ----------
    outputs : array of shape (n,)
        The kept values divided by the probability of being kept; the others 0.
    deltas : array of shape (n,)
        What of the gradient passes back: the same mask, the same factor.
    """

    outputs: Array
    deltas: Array


def mask_layer(
    layer: Array, mask: Array, keep_probability: float, deltas: Array | None = None
) -> Masked:
    """Dropout with a mask of one's own.

    Parameters
    ----------
    layer : array of shape (n,)
    mask : array of 0 and 1, shape (n,)
    keep_probability : float
        In (0, 1].
    deltas : array of shape (n,), default=None
        The gradient with respect to the outputs; None is ones.

    Returns
    -------
    Masked

    References
    ----------
    N. Srivastava et al. Dropout: a simple way to prevent neural networks from overfitting.
    Journal of Machine Learning Research 15, 2014.

    Examples
    --------
    >>> mask_layer(np.asarray([0.5, 2.0, 4.0]), np.asarray([1, 1, 0]), 0.5).outputs
    array([1., 4., 0.])
    """
    if not 0.0 < keep_probability <= 1.0:
        raise ValueError(f"keep_probability must be in (0, 1], got {keep_probability!r}")
    backend = backend_of(layer, mask, deltas)
    with backend.device_context():
        xp = backend.xp
        z = xp.reshape(floating(layer, backend), (1, -1))
        kept = xp.reshape(backend.asarray(mask, dtype=dtype_name(z.dtype)), (1, -1))
        kept = kept / keep_probability
        g = xp.ones_like(z) if deltas is None else xp.reshape(floating(deltas, backend), (1, -1))
        return Masked(xp.reshape(z * kept, (-1,)), xp.reshape(g * kept, (-1,)))
