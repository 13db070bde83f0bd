"""Learning by error in a small network: by backpropagation, or by trying at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xpnn.arrays.backend import backend_of, dtype_name
from xpnn.arrays.random import PERTURB, host_generator
from xpnn.arrays.typing import Array
from xpnn.model.layer import EVALUATE
from xpnn.model.network import Network
from xpnn.neurons.units import floating
from xpnn.parts.losses import get_loss
from xpnn.parts.optimizers import get_optimizer


@dataclass(frozen=True)
class Trace:
    """What happened while something learned.

    Attributes
    ----------
    errors : tuple of float
        Before each step.
    theta : array
        The parameters at the end; weights first, then biases.
    evaluations : int
        Passes through the network, forward or back.
    predictions : tuple of float
        Before each step; of one weight only.
    weights : tuple of float
        After each step; of one weight only.
    """

    errors: tuple[float, ...]
    theta: Array
    evaluations: int
    predictions: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def evaluations_to(self, error: float) -> int | None:
        """Evaluations until the error was small enough.

        Parameters
        ----------
        error : float

        Returns
        -------
        int or None
            Until it was first at most `error`; None if it never was.
        """
        reached = [i for i, e in enumerate(self.errors) if e <= error]
        return (reached[0] + 1) * self.evaluations // len(self.errors) if reached else None

    def __str__(self) -> str:
        first, last = self.errors[0], self.errors[-1]
        return (
            f"{len(self.errors)} steps, {self.evaluations} evaluations: error {first:.6g} "
            f"-> {last:.6g}"
        )


def gradient_descent(
    network: Network,
    theta: Array,
    x: Array,
    y: Array,
    *,
    loss: Any = "half_squared_error",
    optimizer: Any = "sgd",
    learning_rate: float = 0.1,
    steps: int = 100,
    online: bool = False,
) -> Trace:
    """Learn by backpropagation, all rows in each step or one after the other.

    Parameters
    ----------
    network : Network
    theta : array of shape (network.layout.size,)
        Where to begin; not changed. Moved beside `x`.
    x : array of shape (n, n_in)
        Of any library; the work is done where it is.
    y : array
        Whatever the loss takes as target; moved beside `x`.
    loss : str or Loss
    optimizer : str or Optimizer
    learning_rate : float
    steps : int
        Updates; `online` takes the rows in turn, again and again.
    online : bool, default=False

    Returns
    -------
    Trace

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import Dense
    >>> x, y = np.asarray([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.asarray([[0.0], [1], [1], [0]])
    >>> net = Network((Dense(2, 8, "tanh"), Dense(8, 1)), link="sigmoid")
    >>> theta, _ = net.init(seed=0)
    >>> trace = gradient_descent(net, theta, x, y, loss="binary_cross_entropy", optimizer="adam")
    >>> net.predict(trace.theta, theta[:0], x, np)[:, 0].round()
    array([0., 1., 1., 0.])
    """
    task, rule = _Task(network, theta, x, y, loss), get_optimizer(optimizer)
    xp, n, errors = task.backend.xp, int(x.shape[0]), []
    with task.backend.device_context():
        theta, state = task.theta, rule.init(task.theta, xp)
        for t in range(1, steps + 1):
            rows = slice((t - 1) % n, (t - 1) % n + 1) if online else slice(0, n)
            error, gradient = task.loss_and_gradient(theta, rows)
            theta, state = rule.update(
                theta, gradient, state, rule.coefficients(learning_rate, t), None, xp
            )
            errors.append(error)
        values = tuple(float(e) for e in errors)
    return Trace(values, theta, 2 * steps)


def hill_climbing(
    network: Network,
    theta: Array,
    x: Array,
    y: Array,
    *,
    loss: Any = "half_squared_error",
    spread: float = 0.1,
    steps: int = 1000,
    seed: int = 0,
) -> Trace:
    """Learn by perturbing all weights at random and keeping what lowers the error.

    One evaluation a step where backpropagation needs two, and many more steps: a random direction
    in a space of many weights is almost never a good one.

    Parameters
    ----------
    network, theta, x, y, loss
        As in `gradient_descent`.
    spread : float, default=0.1
        Standard deviation of a perturbation.
    steps : int
    seed : int

    Returns
    -------
    Trace
        Its errors never rise.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import Dense
    >>> x, y = np.asarray([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.asarray([[0.0], [1], [1], [0]])
    >>> net = Network((Dense(2, 4, "tanh"), Dense(4, 1)))
    >>> theta, _ = net.init(seed=0)
    >>> climbed = hill_climbing(net, theta, x, y, steps=2000)
    >>> descended = gradient_descent(net, theta, x, y, steps=2000, learning_rate=0.5)
    >>> descended.evaluations_to(0.001) < climbed.evaluations_to(0.001)
    True
    """
    task, rng = _Task(network, theta, x, y, loss), host_generator(seed, PERTURB)
    xp, rows, errors = task.backend.xp, slice(0, int(x.shape[0])), []
    with task.backend.device_context():
        theta = task.theta
        best = task.error(theta, rows)
        for _ in range(steps):
            errors.append(best)
            noise = task.backend.asarray(rng.normal(0.0, spread, theta.shape), dtype=theta.dtype)
            tried = theta + noise
            error = task.error(tried, rows)
            better = error < best  # 0-d and on the device: nothing waits for it
            theta, best = xp.where(better, tried, theta), xp.where(better, error, best)
        values = tuple(float(e) for e in errors)
    return Trace(values, theta, steps + 1)


class _Task:
    """A network, a loss and rows, side by side on the device of the inputs."""

    def __init__(self, network: Network, theta: Array, x: Array, y: Array, loss: Any) -> None:
        self.network, self.loss, self.backend = network, get_loss(loss), backend_of(x)
        with self.backend.device_context():
            self.x = floating(x, self.backend)
            real = dtype_name(self.x.dtype)
            self.y = self.backend.asarray(y)
            if dtype_name(self.y.dtype).startswith("float"):
                self.y = self.backend.asarray(self.y, dtype=real)
            self.theta = self.backend.asarray(theta, dtype=real, copy=True)
        if self.theta.shape != (network.layout.size,):
            raise ValueError(
                f"theta has shape {tuple(self.theta.shape)}, this network has "
                f"{network.layout.size} parameters"
            )

    def loss_and_gradient(self, theta: Array, rows: slice) -> tuple[Array, Array]:
        value, gradient, _ = self.network.loss_and_gradient(
            theta, theta[:0], self.x[rows, :], self.y[rows, ...], None, self.loss, self.backend.xp
        )
        return value, gradient

    def error(self, theta: Array, rows: slice) -> Array:
        xp = self.backend.xp
        output = self.network.forward(theta, theta[:0], self.x[rows, :], xp)
        return self.loss(output, self.y[rows, ...], None, xp)[0]


@dataclass(frozen=True)
class Backpropagation:
    """One pass through a network and back, with all that a calculation by hand shows.

    Attributes
    ----------
    sums, outputs : tuple of arrays
        Of each layer: before and after the activation, (n, n_out).
    loss : float
    gradients : dict of str to array
        By the names of `Network.layout`: "weight_0" (n_in, n_out), "bias_0", ...
    theta, gradient : array
        The parameters and the gradient as one vector.
    """

    network: Network
    sums: tuple[Array, ...]
    outputs: tuple[Array, ...]
    loss: float
    gradients: dict[str, Array]
    theta: Array
    gradient: Array

    def step(self, learning_rate: float) -> dict[str, Array]:
        """The parameters after one step of gradient descent.

        Parameters
        ----------
        learning_rate : float

        Returns
        -------
        dict of str to array
            By name, as `gradients`.
        """
        xp, rule = backend_of(self.theta).xp, get_optimizer("sgd")
        rate = rule.coefficients(learning_rate, 1)
        theta, _ = rule.update(self.theta, self.gradient, (), rate, None, xp)
        return self.network.layout.split(theta, xp)


def backpropagate(
    network: Network, theta: Array, x: Array, y: Array, *, loss: Any = "half_squared_error"
) -> Backpropagation:
    """Forward and backward through a network, keeping every number on the way.

    Parameters
    ----------
    network, theta, x, y, loss
        As in `gradient_descent`.

    Returns
    -------
    Backpropagation

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import Dense
    >>> net = Network((Dense(1, 1, "sigmoid", bias=False),))
    >>> pass_ = backpropagate(net, np.asarray([0.0]), np.asarray([[1.0]]), np.asarray([[1.0]]))
    >>> pass_.outputs[0], pass_.gradients["weight_0"]
    (array([[0.5]]), array([[-0.125]]))
    """
    task = _Task(network, theta, x, y, loss)
    with task.backend.device_context():
        xp = task.backend.xp
        value, gradient = task.loss_and_gradient(task.theta, slice(0, int(x.shape[0])))
        parts = network.layout.by_layer(task.theta, xp, len(network.layers))
        a, sums, outputs = task.x, [], []
        for p, layer in zip(parts, network.layers, strict=True):
            a, saved, _ = layer.forward(p, {}, a, EVALUATE, xp)
            sums.append(saved.z)
            outputs.append(a)
        gradients = network.layout.split(gradient, xp)
        return Backpropagation(
            *(network, tuple(sums), tuple(outputs), float(value), gradients, task.theta, gradient)
        )
