"""What a layer is: one file with its forward and its backward pass, on any array library."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from array_api_compat import device

from xpnn.arrays.random import dropout_mask, member_key
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layout import Parameter

Parts = Mapping[str, Array]
"""A layer's parameters, gradients or statistics by the names that it gave them."""


class Drop(NamedTuple):
    """What one draw of a dropout mask needs."""

    key: Any
    first_row: int
    rate: float

    def mask(self, shape: tuple[int, ...], like: Array, xp: Namespace) -> Array:
        """The multipliers for an output of (..., rows, units); members add their number to the key.

        `like` says dtype and device.
        """
        about = (self.rate, like.dtype, xp, device(like))
        if len(shape) == 2:
            return dropout_mask(self.key, self.first_row, shape, *about)
        members, rows, units = shape
        masks = [
            dropout_mask(member_key(self.key, m), self.first_row, (rows, units), *about)
            for m in range(members)
        ]
        return xp.stack(masks)


class BatchRows(NamedTuple):
    """The rows of a batch of which a pass has only a part."""

    n: int
    mean: Callable[[Array], Array]  # over all of them, of an array whose last axis but one is rows


class Pass(NamedTuple):
    """How a forward pass is meant: in training, and with which dropout of the layer's outputs."""

    train: bool = False
    drop: Drop | None = None
    rows: BatchRows | None = None  # None: the pass has the whole batch


EVALUATE = Pass()


@runtime_checkable
class Layer(Protocol):
    """A description of a layer; a frozen dataclass with these methods is one.

    Shapes are those of one network. With members every parameter has one more axis, the first,
    and so have inputs and outputs: (members, n, n_in). The first layer may get one input for all.

    Examples
    --------
    >>> from xpnn.layers import Scale
    >>> isinstance(Scale(3), Layer)
    True
    """

    kind: str

    @property
    def n_in(self) -> int:
        """Number of inputs."""

    @property
    def n_out(self) -> int:
        """Number of outputs."""

    @property
    def dropout(self) -> float:
        """Probability of dropping an output in training."""

    def parameters(self) -> tuple[Parameter, ...]:
        """What is learned."""

    def statistics(self) -> tuple[Parameter, ...]:
        """State that no gradient touches."""

    def initial(self, rng: np.random.Generator, draw: Any) -> dict[str, np.ndarray]:
        """Initial parameters; those left out begin at zero. `draw` is an `Initializer`."""

    def forward(
        self, p: Parts, state: Parts, x: Array, how: Pass, xp: Namespace
    ) -> tuple[Array, Any, dict[str, Array]]:
        """Outputs, what `backward` needs, and the statistics that have changed."""

    def backward(
        self, p: Parts, saved: Any, g: Array, xp: Namespace, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        """Gradients with respect to the input (None unless needed) and each parameter."""

    def check(self, like: Array, xp: Namespace) -> None:
        """Try what the user has brought; raise a ValueError where it cannot work."""

    def to_dict(self) -> dict[str, Any]:
        """The arguments that make it, of JSON types."""


def rowwise(v: Array) -> Array:
    """A vector of units, or one a member, so that it meets (..., n, units) row by row."""
    return v if v.ndim == 1 else v[:, None, :]


def swapped(a: Array, xp: Namespace) -> Array:
    """The last two axes exchanged; also of a SciPy matrix."""
    return a.T if a.ndim == 2 else xp.matrix_transpose(a)


def check_size(value: Any, name: str) -> int:
    """A positive int, or a ValueError that says so."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def check_rate(value: Any, name: str) -> float:
    """A dropout rate in [0, 1), or a ValueError that says so."""
    number = isinstance(value, int | float | np.integer | np.floating)
    if isinstance(value, bool) or not number or not 0 <= value < 1:
        raise ValueError(
            f"{name} must be a probability of dropping a unit, at least 0 and below 1, "
            f"got {value!r}."
        )
    return float(value)
