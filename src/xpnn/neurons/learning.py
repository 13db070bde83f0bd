"""Learning by error in a small network: by backpropagation, or by trying at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xpnn._text import number, short_array, short_list, table
from xpnn.arrays.backend import Backend, backend_of, dtype_name, to_numpy
from xpnn.arrays.random import PERTURB, host_generator
from xpnn.arrays.typing import Array
from xpnn.model.network import Network
from xpnn.neurons.inputs import read_rows
from xpnn.neurons.parameters import by_layer
from xpnn.neurons.programs import climb, descent
from xpnn.neurons.task import Task
from xpnn.parts.entries import check_number
from xpnn.parts.optimizers import get_optimizer


@dataclass(frozen=True, eq=False, repr=False)
class Learned:
    """What happened while something learned, and what came of it.

    Attributes
    ----------
    errors : tuple of float
        Before each step.
    theta : array
        The parameters at the end; weights first, then biases.
    evaluations : int
        Passes through the network, forward or back.
    network : Network
    buffers : array
        Running statistics of batch normalization at the end; empty without.
    """

    errors: tuple[float, ...]
    theta: Array
    evaluations: int
    network: Network
    buffers: Array

    @property
    def n_inputs(self) -> int:
        """Inputs of the network."""
        return self.network.n_in

    def predict(self, *inputs: Any, device: Any = None) -> Any:
        """What the network makes of inputs, as it is at the end.

        Parameters
        ----------
        *inputs : array-like
            Rows of shape (n, n_in), a single row, or one number an input.
        device : str or Backend, default=None
            Where to compute; None is where the inputs are, where it was trained for lists.

        Returns
        -------
        array of shape (n, n_out), or (n_out,) of a row; of numbers, a number or a tuple
        """
        if device is None and backend_of(*inputs).name == "numpy":
            device = backend_of(self.theta)
        rows = read_rows(inputs, self.network.n_in, device)
        with rows.backend.device_context():
            real = dtype_name(rows.x.dtype)
            theta, buffers = (rows.backend.asarray(a, real) for a in (self.theta, self.buffers))
            found = rows.shaped(self.network.predict(theta, buffers, rows.x, rows.backend.xp))
        return found[0] if isinstance(found, tuple) and len(found) == 1 else found

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

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{self._head()}\n{table(self._rows(), right={0, 1, 2})}"

    def _head(self) -> str:
        steps = f"{len(self.errors)} steps, {self.evaluations} evaluations"
        if not self.errors:
            return steps
        return f"{steps}: error {number(self.errors[0])} -> {number(self.errors[-1])}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [("step", "error"), *((str(i), number(self.errors[i])) for i in self._shown())]

    def _shown(self) -> list[int]:
        """The first steps, then each tenfold, and the last."""
        n = len(self.errors)
        return sorted({i for i in (0, 1, 2, 9, 99, 999, 9999, 99999, n - 1) if 0 <= i < n})


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Learned):
    """What happened while a network learned, and what came of it.

    Examples
    --------
    >>> from xpnn import Dense
    >>> net = Network((Dense(1, 1),))
    >>> trace = gradient_descent(net, [0, 0], [0, 1, 2], [1, 3, 5], steps=200, learning_rate=0.3)
    >>> round(trace.predict(10), 3)
    21.0
    >>> [(w, b)] = trace.weights
    >>> w.round(3), b.round(3)
    (array([[2.]]), array([1.]))
    """

    @property
    def weights(self) -> tuple[tuple[Array, ...], ...]:
        """The parameters at the end, (W, b) for each layer."""
        backend = backend_of(self.theta)
        with backend.device_context():
            return by_layer(self.network, self.theta, backend.xp)

    def __str__(self) -> str:
        parts = [super().__str__()]
        for i, arrays in enumerate(self.weights[:4]):
            names = [e.part for e in self.network.layout.entries if e.layer == i]
            parts.extend(
                f"{name} of layer {i}, {' x '.join(map(str, a.shape))}:\n{_array(a)}"
                for name, a in zip(names, arrays, strict=True)
            )
        return "\n".join(parts)


def _array(values: Array) -> str:
    host = to_numpy(values)
    return short_array(host) if host.ndim < 3 else short_list(host.ravel().tolist())


def gradient_descent(
    network: Network,
    weights: Any,
    x: Any,
    y: Any,
    *,
    loss: Any = "half_squared_error",
    optimizer: Any = "sgd",
    learning_rate: float = 0.1,
    steps: int = 100,
    online: bool = False,
    seed: int = 0,
    device: Any = None,
) -> Trace:
    """Learn by backpropagation, all rows in each step or one after the other.

    Parameters
    ----------
    network : Network
        Dropout and normalization are trained as they are in an estimator.
    weights : array of shape (network.layout.size,), list of (W, b), mapping, or Trace
        Where to begin; not changed. A list has for each layer W of shape (n_in, n_out) and b;
        W alone where there is no bias. A Trace goes on where it ended.
    x : array-like of shape (n, n_in)
        The work is done where it is.
    y : array-like of shape (n, n_out), or (n,) for one output or for labels of classes
    loss : str or Loss
        "cross_entropy" is of probabilities for one output, of classes for several.
    optimizer : str or Optimizer
    learning_rate : float
    steps : int
        Updates; `online` takes the rows in turn, again and again.
    online : bool, default=False
    seed : int, default=0
        Of the dropout masks.
    device : str or Backend, default=None
        Where to compute; None is where `x` is, NumPy for lists.

    Returns
    -------
    Trace

    Raises
    ------
    ValueError
        For weights or targets that do not fit the network.

    Examples
    --------
    >>> from xpnn import Dense
    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = Network((Dense(2, 8, "tanh"), Dense(8, 1)), link="sigmoid")
    >>> theta, _ = net.init(seed=0)
    >>> trace = gradient_descent(net, theta, x, y, loss="cross_entropy", optimizer="adam")
    >>> trace.predict(x)[:, 0].round()
    array([0., 1., 1., 0.])
    """
    learning_rate = check_number("learning_rate", learning_rate)
    task, rule = Task(network, weights, x, y, loss, device), get_optimizer(optimizer)
    xp, errors = task.backend.xp, []
    step = descent(network, task.loss, rule, xp)
    with task.backend.device_context():
        theta, buffers, state = task.theta, task.buffers, rule.init(task.theta, xp)
        for t in range(check_steps(steps)):
            batch, keys = task.batch(t, online), task.keys(seed, t)
            rate = rule.coefficients(learning_rate, t + 1)
            theta, buffers, state, error = step(theta, buffers, state, *batch, keys, rate)
            errors.append(error)
        values = host_floats(errors, task.backend)
    return Trace(values, theta, 2 * steps, network, buffers)


def hill_climbing(
    network: Network,
    weights: Any,
    x: Any,
    y: Any,
    *,
    loss: Any = "half_squared_error",
    spread: float = 0.1,
    steps: int = 1000,
    seed: int = 0,
    device: Any = None,
) -> Trace:
    """Learn by perturbing all weights at random and keeping what lowers the error.

    Where a perturbation does not lower it, the opposite one is tried, so a step costs two
    evaluations as one of backpropagation does, and many more steps are needed: a random direction
    in a space of many weights is almost never a good one. Dropout is off.

    Parameters
    ----------
    network, weights, x, y, loss, device
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
    >>> from xpnn import Dense
    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = Network((Dense(2, 4, "tanh"), Dense(4, 1)))
    >>> theta, _ = net.init(seed=0)
    >>> climbed = hill_climbing(net, theta, x, y, steps=2000)
    >>> descended = gradient_descent(net, theta, x, y, steps=2000, learning_rate=0.5)
    >>> descended.evaluations_to(0.001) < climbed.evaluations_to(0.001)
    True
    """
    spread = check_number("spread", spread, 0.0, closed="neither")
    task, rng = Task(network, weights, x, y, loss, device), host_generator(seed, PERTURB)
    step, errors = climb(network, task.loss, task.backend.xp), []
    with task.backend.device_context():
        theta = task.theta
        best = task.error(theta)
        for _ in range(check_steps(steps)):
            errors.append(best)
            noise = task.backend.asarray(rng.normal(0.0, spread, theta.shape), dtype=theta.dtype)
            theta, best = step(theta, best, noise, task.buffers, task.x, task.y)
        values = host_floats(errors, task.backend)
    return Trace(values, theta, 2 * steps + 1, network, task.buffers)


def host_floats(errors: list[Array], backend: Backend) -> tuple[float, ...]:
    """Numbers that lie on a device as Python floats, read in one go."""
    if not errors:
        return ()
    return tuple(backend.to_numpy(backend.xp.stack(errors)).astype(float).tolist())


def check_steps(steps: Any) -> int:
    """A whole number of at least 0, or a ValueError that says so."""
    if isinstance(steps, bool) or not hasattr(steps, "__index__") or steps < 0:
        raise ValueError(f"steps must be a whole number of at least 0, got {steps!r}")
    return int(steps)
