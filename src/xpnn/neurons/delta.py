"""One linear neuron that learns: by trying a step up and a step down, and by the delta rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn._text import number, short_list
from xpnn.arrays.backend import Backend, get_backend, to_numpy
from xpnn.arrays.typing import Array
from xpnn.model.dense import Dense
from xpnn.model.network import Network
from xpnn.neurons.inputs import host_values, widest
from xpnn.neurons.learning import Learned, check_steps
from xpnn.neurons.units import numbers
from xpnn.parts.entries import check_number
from xpnn.parts.losses import get_loss
from xpnn.parts.optimizers import get_optimizer

Weights = float | tuple[float, ...]
Step = tuple[Array, float, int]
"""New weights, the output before, and how many evaluations it took."""


@dataclass(frozen=True, eq=False, repr=False)
class WeightTrace(Learned):
    """What happened while one linear neuron learned.

    Attributes
    ----------
    predictions : tuple of float
        Before each step.
    weights : tuple of float
        After each step; of several inputs, a tuple of tuples.

    Examples
    --------
    >>> trace = delta_rule(1.0, 0.0, 1.0, learning_rate=0.5, steps=2)
    >>> trace.predictions, trace.weights
    ((0.0, 0.5), (0.5, 0.75))
    """

    predictions: tuple[float, ...] = ()
    weights: tuple[Weights, ...] = ()

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("step", "error", "output", "weight after it")]
        for i in self._shown():
            after = self.weights[i]
            shown = short_list(after, 4) if isinstance(after, tuple) else number(after)
            rows.append((str(i), number(self.errors[i]), number(self.predictions[i]), shown))
        return rows


class _OneNeuron:
    """A neuron without bias, samples that it sees in turn, and the square of its error."""

    def __init__(self, x: Any, weight: Any, target: Any, device: Any) -> None:
        self.single = np.ndim(weight) == 0
        start = np.asarray(numbers(weight))
        d = len(start)
        rows = np.asarray(host_values(_host(x)), dtype=np.float64)
        rows = rows.reshape(-1, 1) if self.single and rows.ndim < 2 else np.atleast_2d(rows)
        goals = np.asarray(_host(target), dtype=np.float64).reshape(-1)
        if rows.ndim != 2 or rows.shape[1] != d or len(goals) != len(rows):
            raise ValueError(
                f"x has the shape {rows.shape}, for {d} weights and {len(goals)} targets: pass one "
                "weight for each input, and one target for each row of x"
            )
        self.backend: Backend = get_backend("numpy" if device is None else device)
        self.network = Network((Dense(d, 1, bias=False),))
        self.d, self.goals = d, goals.tolist()
        dtype = widest(self.backend)
        with self.backend.device_context():
            self.theta = self.backend.asarray(start, dtype=dtype)
            self.x = self.backend.asarray(rows, dtype=dtype)
            self.y = self.backend.asarray(goals[:, None], dtype=dtype)

    def predict(self, theta: Array, x: Array) -> float:
        return float(self.network.forward(theta, theta[:0], x, self.backend.xp)[0, 0])

    def run(self, steps: int, step: Callable[[Array, Array, Array], Step]) -> WeightTrace:
        errors, predictions, weights, evaluations = [], [], [], 0
        quiet = np.errstate(over="ignore", invalid="ignore")  # errors show that it diverges
        with self.backend.device_context(), quiet:
            theta = self.theta
            for t in range(check_steps(steps)):
                i = t % len(self.goals)
                here = slice(i, i + 1)
                theta, prediction, used = step(theta, self.x[here, :], self.y[here, :])
                predictions.append(prediction)
                miss = prediction - self.goals[i]
                errors.append(miss * miss)  # infinite where ** would raise
                after = tuple(self.backend.to_numpy(theta).astype(float).tolist())
                weights.append(after[0] if self.single else after)
                evaluations += used
            empty = theta[:0]
        about = (tuple(errors), theta, evaluations, self.network, empty)
        return WeightTrace(*about, tuple(predictions), tuple(weights))


def _host(value: Any) -> Any:
    return to_numpy(value) if hasattr(value, "shape") else value


def hot_and_cold(
    x: Any,
    weight: Any,
    target: Any,
    *,
    step: float = 0.001,
    steps: int = 20,
    device: Any = None,
) -> WeightTrace:
    """Learn by trying a fixed step up and a fixed step down of each weight, keeping the best.

    It costs two more evaluations a weight and step than it needs, and never gets nearer than the
    step.

    Parameters
    ----------
    x, weight, target : float
        For several inputs, `x` and `weight` are (d,); for several samples, `x` is (n, d) and
        `target` (n,), and each step takes the next row.
    step : float, default=0.001
    steps : int, default=20
    device : str or Backend, default=None
        None is NumPy.

    Returns
    -------
    WeightTrace

    Raises
    ------
    ValueError
        For shapes that do not fit.

    Examples
    --------
    >>> trace = hot_and_cold(0.5, 0.5, 0.8, step=0.001, steps=1101)
    >>> round(trace.predictions[-1], 4)
    0.8
    >>> hot_and_cold([8.5, 0.65, 1.2], [0.1, 0.2, 0.0], 1, step=0.01, steps=2).weights
    ((0.1, 0.2, 0.01), (0.1, 0.21000000000000002, 0.01))
    """
    one = _OneNeuron(x, weight, target, device)
    moves = one.backend.asarray(np.eye(one.d) * step, dtype=one.theta.dtype)

    def move(theta: Array, inputs: Array, goal: Array) -> Step:
        wanted, tries = float(goal[0, 0]), [theta]
        for i in range(one.d):
            tries += [theta + moves[i, :], theta - moves[i, :]]
        predictions = [one.predict(t, inputs) for t in tries]
        misses = [abs(p - wanted) for p in predictions]
        return tries[misses.index(min(misses))], predictions[0], len(tries)

    return one.run(steps, move)


def delta_rule(
    x: Any,
    weight: Any,
    target: Any,
    *,
    learning_rate: float = 1.0,
    steps: int = 20,
    device: Any = None,
) -> WeightTrace:
    """Learn by ``weight -= learning_rate * (prediction - target) * x``.

    The gradient of half the squared error says direction and size of the step at once.

    Parameters
    ----------
    x, weight, target : float
        For several inputs, `x` and `weight` are (d,); for several samples, `x` is (n, d) and
        `target` (n,), and each step takes the next row.
    learning_rate : float, default=1.0
    steps : int, default=20
    device : str or Backend, default=None
        None is NumPy.

    Returns
    -------
    WeightTrace

    Raises
    ------
    ValueError
        For shapes that do not fit.

    References
    ----------
    B. Widrow, M. E. Hoff. Adaptive switching circuits. IRE WESCON Convention Record 4, 1960.

    Examples
    --------
    >>> trace = delta_rule(0.4, 0.2, 0.7)
    >>> trace.errors[:2]
    (0.38439999999999985, 0.2712326399999999)
    >>> print(trace)
    20 steps, 40 evaluations: error 0.3844 -> 0.000509796
    step        error    output  weight after it
       0       0.3844      0.08  0.448
       1     0.271233    0.1792  0.65632
       2     0.191382  0.262528  0.831309
       9    0.0166652  0.570906  1.4789
      19  0.000509796  0.677421  1.70258
    """
    learning_rate = check_number("learning_rate", learning_rate)
    one = _OneNeuron(x, weight, target, device)
    rule, loss = get_optimizer("sgd"), get_loss("half_squared_error")

    def move(theta: Array, inputs: Array, goal: Array) -> Step:
        xp = one.backend.xp
        about = (theta, theta[:0], inputs, goal, None, loss, xp)
        _, gradient, _ = one.network.loss_and_gradient(*about)
        prediction = one.predict(theta, inputs)
        rate = rule.coefficients(learning_rate, 1)
        return rule.update(theta, gradient, (), rate, None, xp)[0], prediction, 2

    return one.run(steps, move)
