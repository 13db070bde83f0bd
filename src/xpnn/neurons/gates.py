"""McCulloch-Pitts neurons: gates, and their truth tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from xpnn._text import number, table
from xpnn.arrays.backend import backend_of, get_backend, to_numpy
from xpnn.arrays.typing import Array
from xpnn.neurons.inputs import read_rows
from xpnn.neurons.units import Neuron, layer_of, weighted_sum


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
    >>> but_not = McCullochPitts((0,), threshold=1, inhibitory=(1,))
    >>> but_not([[0, 0], [0, 1], [1, 0], [1, 1]])
    array([0., 0., 1., 0.])
    >>> but_not(1, 0)
    1.0
    >>> print(but_not)
    fires if x1 >= 1 and x2 is off
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
            raise ValueError(
                f"inputs {sorted(both)} cannot be excitatory and inhibitory at once: leave "
                "them out of one of the two"
            )
        if min((*self.excitatory, *self.inhibitory), default=0) < 0:
            least = min(*self.excitatory, *self.inhibitory)
            raise ValueError(f"inputs are numbered from 0, got {least}: the first one is 0")

    @property
    def n_inputs(self) -> int:
        """Inputs up to the last that it looks at."""
        return 1 + max((*self.excitatory, *self.inhibitory), default=0)

    def __call__(self, *inputs: Any, device: Any = None) -> Any:
        """Outputs 0 or 1 of binary inputs, in their library, on their device.

        Parameters
        ----------
        *inputs : array-like
            Rows of shape (n, at least n_inputs), a single row, or one number an input.
        device : str or Backend, default=None
            Where to compute; None is where the inputs are, NumPy for lists.

        Returns
        -------
        array of shape (n,), or a single number
        """
        rows = read_rows(inputs, self.n_inputs, device, more=True)
        check_binary(rows.x)
        return rows.shaped(layer_of([self.neuron(int(rows.x.shape[1]))])(rows.x)[:, 0])

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
        return Neuron(tuple(weights), 0.0 - self.threshold, "step")

    def __str__(self) -> str:
        total = " + ".join(f"x{i + 1}" for i in self.excitatory) or "0"
        if self.weight != 1:
            own = (self.weight * (i in self.excitatory) for i in range(self.n_inputs))
            total = weighted_sum(tuple(own))
        conditions = [f"{total} >= {number(self.threshold)}"]
        if not self.excitatory and self.inhibitory and self.threshold <= 0:
            conditions = []  # a sum of nothing: the others alone decide
        silent = ", ".join(f"x{i + 1}" for i in self.inhibitory)
        if silent:
            alone = len(self.inhibitory) == 1
            conditions.append(f"{silent} is off" if alone else f"none of {silent} is on")
        return f"fires if {' and '.join(conditions)}"


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
    >>> truth_table(and_gate()).outputs
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
    >>> truth_table(or_gate()).outputs
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
    >>> truth_table(not_gate()).outputs
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
    >>> truth_table(nand_gate()).outputs
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
    >>> truth_table(nor_gate()).outputs
    array([1., 0., 0., 0.])
    """
    return McCullochPitts((), threshold=0, inhibitory=tuple(range(n)))


class TruthTable(NamedTuple):
    """Binary inputs and what came of them; prints as a table.

    Attributes
    ----------
    inputs : array of shape (n, n_inputs)
    outputs : array of shape (n,) or (n, n_outputs)

    Examples
    --------
    >>> print(TruthTable([[0], [1]], [1, 0]))
    x1  y
    --  -
     0  1
     1  0
    """

    inputs: Array
    outputs: Array

    def __str__(self) -> str:
        x, y = (to_numpy(a) for a in self)
        y = y.reshape(len(x), -1)
        names = [f"x{i + 1}" for i in range(x.shape[1])]
        names += ["y"] if y.shape[1] == 1 else [f"y{i + 1}" for i in range(y.shape[1])]
        rows = [[number(v, 4) for v in (*a, *b)] for a, b in zip(x, y, strict=True)]
        shown = rows if len(rows) <= 32 else [*rows[:32], ["..."] * len(names)]
        return table([names, *shown], ruled=True, right=range(len(names)))


def truth_table(neuron: Any, n_inputs: int | None = None, device: Any = None) -> TruthTable:
    """All binary inputs in counting order, and what a neuron or circuit makes of them.

    Parameters
    ----------
    neuron : callable, or estimator with a `predict`
    n_inputs : int, default=None
        None asks the neuron.
    device : str or Backend, default=None
        None is NumPy.

    Returns
    -------
    TruthTable
        `inputs` of shape (2 ** n_inputs, n_inputs), and `outputs`.

    Raises
    ------
    ValueError
        For a neuron that does not say how many inputs it has, or more than 16.

    Examples
    --------
    >>> print(truth_table(nand_gate()))
    x1  x2  y
    --  --  -
     0   0  1
     0   1  1
     1   0  1
     1   1  0
    """
    if n_inputs is None:
        n_inputs = getattr(neuron, "n_inputs", getattr(neuron, "n_features_in_", None))
    if not isinstance(n_inputs, Integral) or not 1 <= n_inputs <= 16:
        raise ValueError(
            f"a truth table has 1 to 16 inputs, got n_inputs={n_inputs!r}: pass n_inputs="
        )
    rows = np.asarray(list(product((0.0, 1.0), repeat=n_inputs)))
    backend = get_backend("numpy" if device is None else device)
    inputs = backend.asarray(rows)
    compute = neuron if callable(neuron) else neuron.predict
    return TruthTable(inputs, compute(inputs))


def check_binary(x: Array) -> None:
    """Refuse inputs other than 0 and 1."""
    host = np.asarray(backend_of(x).to_numpy(x))
    wrong = host[~np.isin(host, (0, 1))]
    if wrong.size:
        raise ValueError(
            f"a McCulloch-Pitts neuron takes binary inputs: 0 and 1 only, got {wrong[0].item()!r}"
        )
