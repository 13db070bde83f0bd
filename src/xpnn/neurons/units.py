"""Neurons with weights of their own: one unit of a dense layer, and its threshold form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn._text import number
from xpnn.arrays.backend import Backend, dtype_name, to_numpy
from xpnn.arrays.typing import Array
from xpnn.model.dense import Dense
from xpnn.model.network import Network
from xpnn.neurons.inputs import floating, place, read_rows, widest
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
    >>> neuron = Neuron((1, -1, 5), activation="relu")
    >>> neuron(2, 3, 4)
    19.0
    >>> neuron([[2, 3, 4], [-2, 3, -4]])
    array([19.,  0.])
    >>> print(neuron)
    relu(1 x1 - 1 x2 + 5 x3)
    """

    weights: tuple[float, ...]
    bias: float = 0.0
    activation: str | Activation = "identity"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", numbers(self.weights))
        object.__setattr__(self, "bias", float(self.bias))
        object.__setattr__(self, "activation", get_activation(self.activation))

    @property
    def n_inputs(self) -> int:
        """Number of weights."""
        return len(self.weights)

    def __call__(self, *inputs: Any, device: Any = None) -> Any:
        """Outputs in the library of the inputs, on their device.

        Parameters
        ----------
        *inputs : array-like
            Rows of shape (n, n_inputs), a single row, or one number an input.
        device : str or Backend, default=None
            Where to compute; None is where the inputs are, NumPy for lists.

        Returns
        -------
        array of shape (n,), or a single number
        """
        rows = read_rows(inputs, self.n_inputs, device)
        return rows.shaped(layer_of([self])(rows.x)[:, 0])

    def sums(self, *inputs: Any, device: Any = None) -> Any:
        """Weighted sums, bias included; as the neuron is called.

        Parameters
        ----------
        *inputs : array-like
        device : str or Backend, default=None

        Returns
        -------
        array of shape (n,), or a single number
        """
        return Neuron(self.weights, self.bias)(*inputs, device=device)

    def __str__(self) -> str:
        name = getattr(self.activation, "name", "")
        total = weighted_sum(self.weights, self.bias)
        return total if name == "identity" else f"{name}({total})"


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
    >>> unit = ThresholdUnit((2, 1, 0.5), threshold=1000)
    >>> x = [[1000, 5, 2], [200, 3, 1], [30, 2, 2]]
    >>> unit.sums(x)
    array([2006. ,  403.5,   63. ])
    >>> unit(x)
    array([1., 0., 0.])
    >>> print(unit)
    1 if 2 x1 + 1 x2 + 0.5 x3 >= 1000, else 0

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
        object.__setattr__(self, "weights", numbers(self.weights))
        object.__setattr__(self, "threshold", float(self.threshold))
        coding = numbers(self.coding)
        if len(coding) != 2:
            raise ValueError(f"coding is {self.coding!r}, expected two numbers: silent and firing")
        object.__setattr__(self, "coding", coding)

    @property
    def n_inputs(self) -> int:
        """Number of weights."""
        return len(self.weights)

    def __call__(self, *inputs: Any, device: Any = None) -> Any:
        """Outputs in the library of the inputs, on their device.

        Parameters
        ----------
        *inputs : array-like
            Rows of shape (n, n_inputs), a single row, or one number an input.
        device : str or Backend, default=None
            Where to compute; None is where the inputs are, NumPy for lists.

        Returns
        -------
        array of shape (n,), or a single number
        """
        low, high = self.coding
        rows = read_rows(inputs, self.n_inputs, device)
        with rows.backend.device_context():
            xp = rows.backend.xp
            sums = self._sums(rows.x, rows.backend)
            fires = _wide(sums, rows.backend) >= self.threshold
            return rows.shaped(xp.where(fires, xp.full_like(sums, high), xp.full_like(sums, low)))

    def sums(self, *inputs: Any, device: Any = None) -> Any:
        """Weighted sums of the inputs, without the threshold; as the unit is called.

        Added input after input, as the perceptron rule adds them, on every library: a sum that is
        the threshold in exact arithmetic reaches it, or not, by the order of the additions.

        Parameters
        ----------
        *inputs : array-like
        device : str or Backend, default=None

        Returns
        -------
        array of shape (n,), or a single number
        """
        rows = read_rows(inputs, self.n_inputs, device)
        with rows.backend.device_context():
            return rows.shaped(self._sums(rows.x, rows.backend))

    def _sums(self, x: Array, backend: Backend) -> Array:
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
        return ThresholdUnit((0.0 - self.threshold, *self.weights), 0.0, self.coding)

    def __str__(self) -> str:
        low, high = map(number, self.coding)
        total = weighted_sum(self.weights)
        return f"{high} if {total} >= {number(self.threshold)}, else {low}"


def add_constant(x: Any, *, device: Any = None) -> Array:
    """Put a column of ones before the inputs: the bias trick.

    Parameters
    ----------
    x : array-like of shape (n, d), or one row (d,)
    device : str or Backend, default=None
        None is where `x` is, NumPy for lists.

    Returns
    -------
    array of shape (n, d + 1), or (d + 1,)
        In x's library, on its device.

    Raises
    ------
    ValueError
        For inputs of another shape.

    Examples
    --------
    >>> add_constant([[5, 2]])
    array([[1., 5., 2.]])
    """
    backend = place(device, x)
    with backend.device_context():
        x = floating(x, backend)
        if x.ndim not in (1, 2):
            raise ValueError(f"inputs must have the shape (n, d) or (d,), got {tuple(x.shape)}")
        return backend.xp.concat([backend.xp.ones_like(x[..., :1]), x], axis=-1)


def layer_of(neurons: Sequence[Neuron]) -> Callable[[Array], Array]:
    """A function (n, n_inputs) -> (n, neurons): one dense layer of neurons of one activation."""
    first = neurons[0]
    n_in = len(first.weights)
    network = Network((Dense(n_in, len(neurons), first.activation),))  # type: ignore[arg-type]
    weights = np.asarray([n.weights for n in neurons]).T
    theta = np.concatenate([weights.ravel(), [n.bias for n in neurons]])

    def outputs(x: Array) -> Array:
        rows = read_rows((x,), n_in)
        backend = rows.backend
        with backend.device_context():
            own = backend.asarray(theta, dtype=dtype_name(rows.x.dtype))
            return network.forward(own, own[:0], rows.x, backend.xp)

    return outputs


def numbers(values: Any) -> tuple[float, ...]:
    """Weights as Python floats: of a sequence, an array of any library, or a single number."""
    lazy = isinstance(values, Iterable) and not isinstance(values, Sequence | str)
    values = values if hasattr(values, "__array__") or not lazy else list(values)
    found = np.asarray(to_numpy(values))
    if found.ndim > 1 or found.dtype.kind not in "biuf" or not found.size:
        raise ValueError(f"weights must be numbers in a row, got {values!r}")
    return tuple(found.astype(np.float64).reshape(-1).tolist())


def weighted_sum(weights: Sequence[float], bias: float = 0.0) -> str:
    """The sum written out, such as "2 x1 - 1 x2 + 3"; long ones are shortened.

    Examples
    --------
    >>> weighted_sum((2.0, -1.0), 3.0), weighted_sum((0.0, -0.0))
    ('2 x1 - 1 x2 + 3', '0')
    """
    terms = [(w, f" x{i}") for i, w in enumerate(weights, 1) if w]
    if bias:
        terms.append((bias, ""))
    if len(terms) > 6:
        terms = [*terms[:3], (0.0, "..."), *terms[-2:]]
    text = ""
    for value, name in terms:
        sign = "-" if value < 0 else "+"
        first = "-" if value < 0 else ""
        shown = name if name == "..." else number(abs(value)) + name
        text += f" {sign} {shown}" if text else first + shown
    return text or "0"


def _wide(x: Array, backend: Backend) -> Array:
    return backend.xp.astype(x, backend.float_dtype(widest(backend)))
