"""McCulloch-Pitts neurons: gates, and circuits of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from xpnn.arrays.backend import backend_of
from xpnn.arrays.typing import Array
from xpnn.neurons.units import Neuron, layer_of


@dataclass(frozen=True)
class McCullochPitts:
    """The neuron of 1943: binary inputs of one identical weight, and a threshold.

    It fires when no inhibitory input is on and the sum of the others reaches the threshold.

    Parameters
    ----------
    excitatory : sequence of int
        Numbers of the inputs that count.
    threshold : float
    inhibitory : sequence of int, default=()
        Numbers of the inputs of which each alone keeps it silent.
    weight : float, default=1.0
        Of every excitatory input.

    References
    ----------
    W. S. McCulloch, W. Pitts. A logical calculus of the ideas immanent in nervous activity.
    Bulletin of Mathematical Biophysics 5, 1943.

    Examples
    --------
    >>> import numpy as np
    >>> but_not = McCullochPitts((0,), threshold=1, inhibitory=(1,))
    >>> but_not(np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]]))
    array([0., 0., 1., 0.])
    """

    excitatory: tuple[int, ...]
    threshold: float
    inhibitory: tuple[int, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("excitatory", "inhibitory"):
            object.__setattr__(self, name, tuple(int(i) for i in getattr(self, name)))
        both = set(self.excitatory) & set(self.inhibitory)
        if both:
            raise ValueError(f"inputs {sorted(both)} cannot be excitatory and inhibitory at once")
        if min((*self.excitatory, *self.inhibitory), default=0) < 0:
            raise ValueError("inputs are numbered from 0, got a negative number")

    @property
    def n_inputs(self) -> int:
        """Inputs up to the last that it looks at."""
        return 1 + max((*self.excitatory, *self.inhibitory), default=0)

    def __call__(self, x: Array) -> Array:
        """Outputs 0 or 1, shape (n,), of binary inputs of shape (n, at least n_inputs)."""
        check_binary(x)
        return layer_of([self.neuron(int(x.shape[1]))])(x)[:, 0]

    def neuron(self, n_inputs: int) -> Neuron:
        """The same as a weighted sum: an inhibitory weight outweighs all that could excite.

        Parameters
        ----------
        n_inputs : int
            At least those that it looks at.

        Returns
        -------
        Neuron
        """
        if n_inputs < self.n_inputs:
            raise ValueError(f"this neuron needs {self.n_inputs} inputs, got {n_inputs}")
        veto = abs(self.weight) * len(self.excitatory) + abs(self.threshold) + 1.0
        weights = [0.0] * n_inputs
        for i in self.excitatory:
            weights[i] = self.weight
        for i in self.inhibitory:
            weights[i] = -veto
        return Neuron(tuple(weights), -self.threshold, "step")


def and_gate(n: int = 2) -> McCullochPitts:
    """Fires when all of `n` inputs are on.

    Parameters
    ----------
    n : int, default=2

    Returns
    -------
    McCullochPitts

    Examples
    --------
    >>> truth_table(and_gate(), 2)[1]
    array([0., 0., 0., 1.])
    """
    return McCullochPitts(tuple(range(n)), threshold=n)


def or_gate(n: int = 2) -> McCullochPitts:
    """Fires when any of `n` inputs is on.

    Parameters
    ----------
    n : int, default=2

    Returns
    -------
    McCullochPitts

    Examples
    --------
    >>> truth_table(or_gate(), 2)[1]
    array([0., 1., 1., 1.])
    """
    return McCullochPitts(tuple(range(n)), threshold=1)


def not_gate() -> McCullochPitts:
    """Fires when its input is off.

    Returns
    -------
    McCullochPitts

    Examples
    --------
    >>> truth_table(not_gate(), 1)[1]
    array([1., 0.])
    """
    return nor_gate(1)


def nand_gate(n: int = 2) -> McCullochPitts:
    """Fires unless all of `n` inputs are on: identical weights of -1.

    Parameters
    ----------
    n : int, default=2

    Returns
    -------
    McCullochPitts

    Examples
    --------
    >>> truth_table(nand_gate(), 2)[1]
    array([1., 1., 1., 0.])
    """
    return McCullochPitts(tuple(range(n)), threshold=1 - n, weight=-1.0)


def nor_gate(n: int = 2) -> McCullochPitts:
    """Fires when none of `n` inputs is on: all are inhibitory.

    Parameters
    ----------
    n : int, default=2

    Returns
    -------
    McCullochPitts

    Examples
    --------
    >>> truth_table(nor_gate(), 2)[1]
    array([1., 0., 0., 0.])
    """
    return McCullochPitts((), threshold=0, inhibitory=tuple(range(n)))


@dataclass(frozen=True)
class Circuit:
    """Layers of McCulloch-Pitts neurons; each looks at the outputs of the layer before it.

    Parameters
    ----------
    n_inputs : int
    layers : sequence of sequences of McCullochPitts

    Examples
    --------
    >>> import numpy as np
    >>> xor = Circuit(2, [[or_gate(), nand_gate()], [and_gate()]])
    >>> truth_table(xor, 2)[1][:, 0]
    array([0., 1., 1., 0.])
    """

    n_inputs: int
    layers: tuple[tuple[McCullochPitts, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(tuple(layer) for layer in self.layers))
        if not self.layers or not all(self.layers):
            raise ValueError("a circuit needs at least one layer, and a neuron in each")
        self._neurons()  # says which neuron looks too far

    @classmethod
    def of_truth_table(cls, outputs: Sequence[Any]) -> Circuit:
        """A circuit that computes any table: one neuron for each row that is 1, and an OR.

        Parameters
        ----------
        outputs : sequence of 0 and 1
            For the inputs in counting order 00, 01, 10, 11; 2 ** n of them.

        Returns
        -------
        Circuit

        Raises
        ------
        ValueError
            For another number of outputs, or one that is not 0 or 1.

        Examples
        --------
        >>> truth_table(Circuit.of_truth_table([0, 1, 1, 0]), 2)[1][:, 0]
        array([0., 1., 1., 0.])
        """
        n = max(len(outputs) - 1, 1).bit_length()
        if len(outputs) != 2**n or any(v not in (0, 1) for v in outputs):
            raise ValueError(
                f"a truth table has 2, 4, 8, ... outputs that are 0 or 1, got {list(outputs)}"
            )
        rows = [r for r, v in zip(product((0, 1), repeat=n), outputs, strict=True) if v]
        minterms = [
            McCullochPitts(
                tuple(i for i in range(n) if row[i]),
                threshold=sum(row),
                inhibitory=tuple(i for i in range(n) if not row[i]),
            )
            for row in rows
        ]
        if not minterms:
            return cls(n, ((McCullochPitts((0,), threshold=2),),))  # never
        return cls(n, (tuple(minterms), (or_gate(len(minterms)),)))

    def __call__(self, x: Array) -> Array:
        """Outputs 0 or 1, shape (n, neurons of the last layer), of binary inputs (n, n_inputs)."""
        check_binary(x)
        for layer in self._neurons():
            x = layer_of(layer)(x)
        return x

    def _neurons(self) -> list[list[Neuron]]:
        sizes = [self.n_inputs, *(len(layer) for layer in self.layers)]
        return [
            [n.neuron(size) for n in layer] for size, layer in zip(sizes, self.layers, strict=False)
        ]


def truth_table(neuron: Any, n_inputs: int, device: Any = None) -> tuple[Array, Array]:
    """All binary inputs in counting order, and what a neuron or circuit makes of them.

    Parameters
    ----------
    neuron : callable
    n_inputs : int
    device : Backend, default=None
        None is NumPy.

    Returns
    -------
    inputs : array of shape (2 ** n_inputs, n_inputs)
    outputs : array

    Examples
    --------
    >>> truth_table(nand_gate(), 2)[1]
    array([1., 1., 1., 0.])
    """
    rows = np.asarray(list(product((0.0, 1.0), repeat=n_inputs)))
    backend = backend_of(rows) if device is None else device
    inputs = backend.asarray(rows)
    return inputs, neuron(inputs)


def check_binary(x: Array) -> None:
    """Refuse inputs other than 0 and 1."""
    host = np.asarray(backend_of(x).to_numpy(x))
    if not np.isin(host, (0, 1)).all():
        raise ValueError("a McCulloch-Pitts neuron takes binary inputs: 0 and 1 only")
