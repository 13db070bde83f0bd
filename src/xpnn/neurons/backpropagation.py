"""Backpropagation with every number on the way: sums, outputs, deltas, factors, gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from xpnn._text import number, short_array
from xpnn.arrays.backend import backend_of, to_numpy
from xpnn.arrays.typing import Array
from xpnn.model.layer import Drop, Pass
from xpnn.model.network import Network
from xpnn.neurons.task import Task
from xpnn.parts.optimizers import get_optimizer


class Factors(NamedTuple):
    """What a layer's gradient is a product of, by the chain rule.

    The delta of neuron j in row i is ``error[i, j] * slope[i, j]``, and the gradient of the weight
    from input k to it is the sum over rows of ``delta[i, j] * inputs[i, k]``.

    Attributes
    ----------
    inputs : array of shape (n, n_in)
        The sum's derivative with respect to each weight.
    slope : array of shape (n, n_out), or None
        The activation's derivative; None where the units depend on each other (softmax).
    error : array of shape (n, n_out)
        The loss's derivative with respect to each activation.

    Examples
    --------
    >>> from xpnn import Dense
    >>> net = Network((Dense(1, 1, "sigmoid", bias=False),))
    >>> backpropagate(net, [0.0], [[1.0]], [[1.0]]).factors[0]
    Factors(inputs=array([[1.]]), slope=array([[0.25]]), error=array([[-0.5]]))
    """

    inputs: Array
    slope: Array | None
    error: Array


@dataclass(frozen=True, eq=False, repr=False)
class Backpropagation:
    """One pass through a network and back, with all that a calculation by hand shows.

    Attributes
    ----------
    network : Network
    sums, outputs : tuple of arrays
        Of each layer: before and after the activation, (n, n_out). Outputs are those that the
        next layer gets: after dropout.
    deltas : tuple of arrays
        Of each layer: the loss's derivative with respect to each sum, (n, n_out).
    factors : tuple of Factors
        Of each layer: what deltas and gradients are products of.
    masks : tuple of arrays or None
        Of each layer: what its outputs were multiplied with by dropout.
    loss : float
    gradients : dict of str to array
        By the names of `Network.layout`: "weight_0" (n_in, n_out), "bias_0", ...
    theta, gradient : array
        The parameters and the gradient as one vector.

    Examples
    --------
    >>> from xpnn import Dense
    >>> net = Network((Dense(2, 1, bias=False),))
    >>> found = backpropagate(net, [1.0, -1.0], [[3.0, 1.0]], [[1.0]])
    >>> found.loss, found.deltas[0].tolist(), found.gradient.tolist()
    (0.5, [[1.0]], [3.0, 1.0])
    """

    network: Network
    sums: tuple[Array, ...]
    outputs: tuple[Array, ...]
    deltas: tuple[Array, ...]
    factors: tuple[Factors, ...]
    masks: tuple[Array | None, ...]
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
            By name, as `gradients`; `gradient_descent` and `backpropagate` take it as weights.
        """
        backend, rule = backend_of(self.theta), get_optimizer("sgd")
        rate = rule.coefficients(learning_rate, 1)
        with backend.device_context():
            theta, _ = rule.update(self.theta, self.gradient, (), rate, None, backend.xp)
            return self.network.layout.split(theta, backend.xp)

    def chain(self, layer: int, weight: tuple[int, int], row: int = 0) -> str:
        """The chain rule of one weight and one row, written out with its numbers.

        Parameters
        ----------
        layer : int
        weight : (int, int)
            From which input to which neuron.
        row : int, default=0

        Returns
        -------
        str

        Examples
        --------
        >>> from xpnn import Dense
        >>> net = Network((Dense(1, 1, "sigmoid", bias=False),))
        >>> print(backpropagate(net, [0.0], [[1.0]], [[1.0]]).chain(0, (0, 0)))
        dE/dw = dE/da * da/dz * dz/dw = -0.5 * 0.25 * 1 = -0.125
        """
        i, j = weight
        shape = (len(self.sums), int(self.sums[0].shape[0]), 0, 0)
        if 0 <= layer < len(self.sums):
            own = self.network.layers[layer]
            shape = (*shape[:2], own.n_in, own.n_out)
        if not all(0 <= k < n for k, n in zip((layer, row, i, j), shape, strict=True)):
            raise ValueError(
                f"there is no weight {weight} of layer {layer} and row {row}: pass "
                "chain(layer, (input, neuron), row), each counted from 0"
            )
        factors, delta = self.factors[layer], float(self.deltas[layer][row, j])
        source = float(factors.inputs[row, i])
        names, parts = "dE/dz * dz/dw", [delta, source]
        if factors.slope is not None:
            names = "dE/da * da/dz * dz/dw"
            parts = [float(factors.error[row, j]), float(factors.slope[row, j]), source]
        product = " * ".join(f"{number(p)}" for p in parts)
        return f"dE/dw = {names} = {product} = {number(delta * source)}"

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [f"loss {number(self.loss)}"]
        for i in range(min(len(self.sums), 6)):
            shown = {"sums": self.sums[i], "outputs": self.outputs[i], "deltas": self.deltas[i]}
            shown |= {f"gradient of {n}": g for n, g in self.gradients.items() if _of(n, i)}
            lines.append(f"layer {i}")
            for name, values in shown.items():
                block = short_array(to_numpy(values)[:3] if values.ndim > 1 else to_numpy(values))
                lines += [f"  {name}", *(f"    {line}" for line in block.split("\n"))]
        return "\n".join(lines)


def _of(name: str, layer: int) -> bool:
    return name.rpartition("_")[2] == str(layer)


def backpropagate(
    network: Network,
    weights: Any,
    x: Any,
    y: Any,
    *,
    loss: Any = "half_squared_error",
    train: bool = True,
    seed: int = 0,
    device: Any = None,
) -> Backpropagation:
    """Forward and backward through a network, keeping every number on the way.

    Parameters
    ----------
    network, weights, x, y, loss, device
        As in `gradient_descent`.
    train : bool, default=True
        Whether dropout is on, and batches are normalized by their own statistics.
    seed : int, default=0
        Of the dropout masks: those of the first step of `gradient_descent`.

    Returns
    -------
    Backpropagation

    Raises
    ------
    ValueError
        For weights or targets that do not fit the network.

    Examples
    --------
    >>> from xpnn import Dense
    >>> net = Network((Dense(1, 1, "sigmoid", bias=False),))
    >>> found = backpropagate(net, [0.0], [[1.0]], [[1.0]])
    >>> found.outputs[0], found.deltas[0], found.gradients["weight_0"]
    (array([[0.5]]), array([[-0.125]]), array([[-0.125]]))
    """
    if network.members > 1:
        raise ValueError(
            f"{network.members} networks at once: pass one, such as network.one_member"
        )
    task = Task(network, weights, x, y, loss, device)
    keys = task.keys(seed, 0) if train else None
    with task.backend.device_context():
        xp, theta = task.backend.xp, task.theta
        about = (task.x, task.y, None, task.loss, xp)
        value, gradient, _ = network.loss_and_gradient(
            theta, task.buffers, *about, keys=keys, train=train
        )
        forward = _Forward(task, keys, train)
        deltas, factors = forward.back(task)
        return Backpropagation(
            network,
            tuple(forward.sums),
            tuple(forward.outputs),
            deltas,
            factors,
            tuple(getattr(kept, "mask", None) for kept in forward.saved),
            float(value),
            network.layout.split(gradient, xp),
            theta,
            gradient,
        )


class _Forward:
    """What each layer makes of the one before it, kept, and the way back through them."""

    def __init__(self, task: Task, keys: Any, train: bool) -> None:
        net, xp, theta = task.network, task.backend.xp, task.theta
        n = len(net.layers)
        self.parts = net.layout.by_layer(theta, xp, n)
        state = net.buffer_layout.by_layer(task.buffers, xp, n)

        def drop(i: int) -> Drop | None:
            rate = net.rates[i]
            return Drop(tuple(keys[i]), 0, rate) if train and rate > 0 else None

        a = net.drop_inputs(task.x, drop(0), theta, xp)
        self.inputs: list[Array] = []
        self.sums: list[Array] = []
        self.outputs: list[Array] = []
        self.saved: list[Any] = []
        for i, layer in enumerate(net.layers):
            self.inputs.append(a)
            how = Pass(train, drop(i + 1))
            a, kept, _ = layer.forward(self.parts[i], state[i], a, how, xp)
            self.sums.append(getattr(kept, "z", a))
            self.outputs.append(a)
            self.saved.append(kept)

    def back(self, task: Task) -> tuple[tuple[Array, ...], tuple[Factors, ...]]:
        """Deltas and factors of each layer."""
        net, xp = task.network, task.backend.xp
        _, g = task.loss(self.outputs[-1], task.y, None, xp)
        deltas: list[Array] = []
        factors: list[Factors] = []
        for i in reversed(range(len(net.layers))):
            layer, kept = net.layers[i], self.saved[i]
            mask = getattr(kept, "mask", None)
            error = g if mask is None else g * mask
            slope, delta = _through(layer, kept, error, xp)
            deltas.insert(0, delta + 0.0)  # what is dropped is 0, not -0
            factors.insert(0, Factors(self.inputs[i], slope, error))
            g, _ = layer.backward(self.parts[i], kept, g, xp, i > 0)
        return tuple(deltas), tuple(factors)


def _through(layer: Any, kept: Any, error: Array, xp: Any) -> tuple[Array | None, Array]:
    """The activation's slope, and the error through it; a layer without one has a slope of 1."""
    activation = getattr(layer, "activation", None)
    if activation is None or not hasattr(kept, "z"):
        return xp.ones_like(error), error
    delta = activation.backward(kept.z, kept.a, error, xp)
    if activation.derivative is None:
        return None, delta
    slope = activation.derivative(kept.z, kept.a, xp)
    return slope * xp.ones_like(error), delta
