"""Circuits: layers of neurons of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from xpnn._text import table
from xpnn.arrays.backend import backend_of
from xpnn.arrays.typing import Array
from xpnn.neurons.gates import McCullochPitts, check_binary, or_gate
from xpnn.neurons.inputs import read_rows
from xpnn.neurons.units import Neuron, ThresholdUnit, layer_of


@dataclass(frozen=True)
class Circuit:
    """Layers of neurons; each looks at the outputs of the layer before it.

    Parameters
    ----------
    n_inputs : int
    layers : sequence of sequences of neurons
        McCulloch-Pitts neurons, threshold units and other `Neuron`, what `perceptron_rule` has
        learned, and fitted estimators of one output such as `xpnn.Perceptron`.

    Raises
    ------
    ValueError
        For an empty layer, and a neuron that has another number of inputs than there are.

    Examples
    --------
    >>> from xpnn.neurons import and_gate, nand_gate, truth_table
    >>> xor = Circuit(2, [[or_gate(), nand_gate()], [and_gate()]])
    >>> truth_table(xor).outputs[:, 0]
    array([0., 1., 1., 0.])
    >>> Circuit(2, [[or_gate(), ThresholdUnit((-1, -1), -1)], [and_gate()]])(1, 1)
    0.0
    """

    n_inputs: int
    layers: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(tuple(layer) for layer in self.layers))
        if not self.layers or not all(self.layers):
            raise ValueError("a circuit needs at least one layer, and a neuron in each")
        for i, (layer, size) in enumerate(self._sized(), 1):
            for neuron in layer:
                _check_size(neuron, size, i)

    def _sized(self) -> Iterator[tuple[tuple[Any, ...], int]]:
        """Each layer, and how many inputs it has."""
        sizes = [self.n_inputs, *(len(layer) for layer in self.layers)]
        return zip(self.layers, sizes, strict=False)

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
        >>> Circuit.of_truth_table([0, 1, 1, 0])([[0, 0], [0, 1]])[:, 0]
        array([0., 1.])
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

    def __call__(self, *inputs: Any, device: Any = None) -> Any:
        """Outputs of the last layer, in the library of the inputs, on their device.

        Parameters
        ----------
        *inputs : array-like
            Rows of shape (n, n_inputs), a single row, or one number an input.
        device : str or Backend, default=None
            Where to compute; None is where the inputs are, NumPy for lists.

        Returns
        -------
        array of shape (n, neurons of the last layer); of numbers, a number or a tuple
        """
        rows = read_rows(inputs, self.n_inputs, device)
        x = rows.x
        with rows.backend.device_context():
            for layer, size in self._sized():
                x = _layer(layer, size)(x)
        found = rows.shaped(x)
        return found[0] if isinstance(found, tuple) and len(found) == 1 else found

    def __str__(self) -> str:
        rows = [("layer", "neuron", "")]
        for i, layer in enumerate(self.layers, 1):
            for j, neuron in enumerate(layer, 1):
                text = str(neuron) if isinstance(neuron, _UNITS) else type(neuron).__name__
                rows.append((str(i), str(j), text if len(text) < 80 else text[:76] + "..."))
        shown = rows if len(rows) <= 24 else [*rows[:22], ("...", "", f"{len(rows) - 22} more")]
        return table(shown, ruled=True)


_UNITS = (McCullochPitts, Neuron, ThresholdUnit)


def _layer(neurons: Sequence[Any], n_inputs: int) -> Callable[[Array], Array]:
    """A function (n, n_inputs) -> (n, neurons) of a layer of any neurons."""
    if all(isinstance(neuron, McCullochPitts) for neuron in neurons):
        product_of = layer_of([neuron.neuron(n_inputs) for neuron in neurons])

        def binary(x: Array) -> Array:
            check_binary(x)
            return product_of(x)

        return binary
    columns = [_column(neuron) for neuron in neurons]

    def side_by_side(x: Array) -> Array:
        return backend_of(x).xp.stack([column(x) for column in columns], axis=1)

    return side_by_side


def _column(neuron: Any) -> Callable[[Array], Array]:
    """A function (n, n_inputs) -> (n,) in the dtype of its input."""
    neuron = getattr(neuron, "unit", neuron)  # of a report of the perceptron rule
    if isinstance(neuron, _UNITS):
        return neuron

    def predicted(x: Array) -> Array:
        backend = backend_of(x)
        found = neuron.predict(x) if hasattr(neuron, "predict") else neuron(x)
        return backend.xp.reshape(backend.asarray(found, dtype=x.dtype), (-1,))

    return predicted


def _check_size(neuron: Any, n_inputs: int, place: int) -> None:
    neuron = getattr(neuron, "unit", neuron)
    if isinstance(neuron, type) or not (callable(neuron) or hasattr(neuron, "predict")):
        raise ValueError(f"layer {place} has {neuron!r}, expected a neuron: pass or_gate() or such")
    needed = getattr(neuron, "n_inputs", getattr(neuron, "n_features_in_", n_inputs))
    if needed > n_inputs or (needed < n_inputs and not isinstance(neuron, McCullochPitts)):
        raise ValueError(
            f"a neuron of layer {place} needs {needed} inputs, got {n_inputs}: give it as many as "
            f"the layer before it has neurons ({neuron})"
        )
