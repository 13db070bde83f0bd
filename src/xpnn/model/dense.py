"""A layer of neurons, as a description."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnn.model.normalization import KINDS, Kind
from xpnn.parts.activations import Activation, get_activation


@dataclass(frozen=True)
class Dense:
    """A layer of neurons: affine map, activation, dropout of its outputs.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of inputs and of neurons, at least 1.
    activation : str, Activation, callable or (value, derivative)
        See `xpnn.activations.get_activation`.
    dropout : float, default=0.0
        Probability of dropping an output in training, in [0, 1).
    bias : bool, default=True
    normalization : {"batch", "layer"}, default=None
        Between the affine map and the activation. The map then has no bias of its own; the bias
        is the shift after the normalization.

    Raises
    ------
    ValueError
        For a size below 1, a dropout rate outside [0, 1), an unknown activation or normalization.

    Examples
    --------
    >>> Dense(64, 10, "relu", dropout=0.5).n_out
    10
    """

    n_in: int
    n_out: int
    activation: Activation = field(default="identity")  # type: ignore[assignment]
    dropout: float = 0.0
    bias: bool = True
    normalization: Kind | None = None

    def __post_init__(self) -> None:
        for name in ("n_in", "n_out"):
            object.__setattr__(self, name, check_size(getattr(self, name), name))
        object.__setattr__(self, "activation", get_activation(self.activation))
        object.__setattr__(self, "dropout", check_rate(self.dropout, "dropout"))
        if self.normalization is not None and self.normalization not in KINDS:
            raise ValueError(
                f'normalization must be None, "batch" or "layer", got {self.normalization!r}.'
            )


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
