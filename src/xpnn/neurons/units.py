"""Neurons with weights of their own: one unit of a dense layer, and its threshold form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend, backend_of, dtype_name
from xpnn.arrays.typing import Array
from xpnn.model.dense import Dense
from xpnn.model.network import Network
from xpnn.parts.activations import Activation, get_activation


@dataclass(frozen=True)
class Neuron:
    """One neuron: the activation of a weighted sum, which is a dense layer of one unit.

    Parameters
    ----------
    weights : sequence of float
    bias : float, default=0.0
    activation : str or Activation, default="identity"

    Examples
    --------
    >>> import numpy as np
    >>> Neuron((1, -1, 5), activation="relu")(np.asarray([[2.0, 3.0, 4.0]]))
    array([19.])
    """

    weights: tuple[float, ...]
    bias: float = 0.0
    activation: str | Activation = "identity"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(float(w) for w in self.weights))
        object.__setattr__(self, "bias", float(self.bias))
        object.__setattr__(self, "activation", get_activation(self.activation))

    def __call__(self, x: Array) -> Array:
        """Outputs, shape (n,), of inputs of shape (n, n_inputs), in x's library, on its device."""
        return layer_of([self])(x)[:, 0]

    def sums(self, x: Array) -> Array:
        """Weighted sums, bias included.

        Parameters
        ----------
        x : array of shape (n, n_inputs)

        Returns
        -------
        array of shape (n,)
        """
        return layer_of([Neuron(self.weights, self.bias)])(x)[:, 0]


@dataclass(frozen=True)
class ThresholdUnit:
    """Fires where the weighted sum of its inputs reaches a threshold.

    Parameters
    ----------
    weights : sequence of float
    threshold : float
    coding : tuple of float, default=(0, 1)
        What it puts out when silent and when it fires; (-1, 1) is the other usual one.

    Examples
    --------
    >>> import numpy as np
    >>> unit = ThresholdUnit((2, 1, 0.5), threshold=1000)
    >>> x = np.asarray([[1000.0, 5, 2], [200, 3, 1], [30, 2, 2]])
    >>> unit.sums(x)
    array([2006. ,  403.5,   63. ])
    >>> unit(x)
    array([1., 0., 0.])

    With the bias trick the threshold is one more weight, on an input that is always 1:

    >>> unit.with_bias_trick()
    ThresholdUnit(weights=(-1000.0, 2.0, 1.0, 0.5), threshold=0.0, coding=(0.0, 1.0))
    >>> unit.with_bias_trick()(add_constant(x))
    array([1., 0., 0.])
    """

    weights: tuple[float, ...]
    threshold: float
    coding: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(float(w) for w in self.weights))
        object.__setattr__(self, "threshold", float(self.threshold))
        low, high = self.coding
        object.__setattr__(self, "coding", (float(low), float(high)))

    def __call__(self, x: Array) -> Array:
        """Outputs, shape (n,), of inputs of shape (n, n_inputs), in x's library, on its device."""
        low, high = self.coding
        sums, backend = self.sums(x), backend_of(x)
        with backend.device_context():
            xp = backend.xp
            fires = _wide(sums, backend) >= self.threshold
            return xp.where(fires, xp.full_like(sums, high), xp.full_like(sums, low))

    def sums(self, x: Array) -> Array:
        """Weighted sums of the inputs, without the threshold.

        Added input after input, as the perceptron rule adds them, on every library: a sum that is
        the threshold in exact arithmetic reaches it, or not, by the order of the additions.

        Parameters
        ----------
        x : array of shape (n, n_inputs)

        Returns
        -------
        array of shape (n,)
        """
        backend = backend_of(x)
        with backend.device_context():
            x = _checked(floating(x, backend), len(self.weights))
            total = backend.xp.zeros_like(_wide(x[:, 0], backend))
            for j, weight in enumerate(self.weights):
                total = total + _wide(x[:, j] * weight, backend)
            return backend.xp.astype(total, x.dtype)

    def with_bias_trick(self) -> ThresholdUnit:
        """The same unit on inputs that begin with a constant 1 (see `add_constant`).

        Returns
        -------
        ThresholdUnit
        """
        return ThresholdUnit((-self.threshold, *self.weights), 0.0, self.coding)


def add_constant(x: Array) -> Array:
    """Put a column of ones before the inputs: the bias trick.

    Parameters
    ----------
    x : array of shape (n, d)

    Returns
    -------
    array of shape (n, d + 1)
        In x's library, on its device.

    Examples
    --------
    >>> add_constant(np.asarray([[5.0, 2.0]]))
    array([[1., 5., 2.]])
    """
    backend = backend_of(x)
    with backend.device_context():
        x = floating(x, backend)
        return backend.xp.concat([backend.xp.ones_like(x[:, :1]), x], axis=1)


def layer_of(neurons: Sequence[Neuron]) -> Any:
    """A function (n, n_inputs) -> (n, neurons): one dense layer of neurons of one activation."""
    first = neurons[0]
    n_in = len(first.weights)
    network = Network((Dense(n_in, len(neurons), first.activation),))  # type: ignore[arg-type]
    weights = np.asarray([n.weights for n in neurons]).T
    theta = np.concatenate([weights.ravel(), [n.bias for n in neurons]])

    def outputs(x: Array) -> Array:
        backend = backend_of(x)
        with backend.device_context():
            x = _checked(floating(x, backend), n_in)
            own = backend.asarray(theta, dtype=dtype_name(x.dtype))
            return network.forward(own, own[:0], x, backend.xp)

    return outputs


def _checked(x: Array, n_in: int) -> Array:
    if x.ndim != 2 or int(x.shape[1]) != n_in:
        raise ValueError(
            f"inputs must have the shape (n, {n_in}), one column for each weight, got "
            f"{tuple(x.shape)}"
        )
    return x


def _wide(x: Array, backend: Backend) -> Array:
    """In the widest float that the device has."""
    wide = "float64" if "float64" in backend.dtypes else "float32"
    return backend.xp.astype(x, backend.float_dtype(wide))


def floating(x: Any, backend: Backend) -> Array:
    """Inputs as floating numbers: whole numbers and truth values become the widest float."""
    x = backend.asarray(x)
    if dtype_name(x.dtype) in ("float32", "float64"):
        return x
    return backend.asarray(x, "float64" if "float64" in backend.dtypes else "float32")
