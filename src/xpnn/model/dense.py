"""A layer of neurons: affine map, normalization, activation, dropout."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from array_api_compat import device

from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import Parts, Pass, check_rate, check_size, rowwise, swapped
from xpnn.model.layout import Parameter
from xpnn.model.normalization import (
    KINDS,
    Kind,
    Normalized,
    normalize,
    normalize_backward,
)
from xpnn.parts.activations import ACTIVATIONS, Activation, activation_name, get_activation


class Saved(NamedTuple):
    """What the backward pass reads of the forward pass."""

    x: Array
    z: Array
    a: Array
    mask: Array | None
    normalized: Normalized | None = None


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
    group : str, default="weight"
        The weights' group, see `xpnn.network.Group`; biases are in "bias", scales in "scale".

    Raises
    ------
    ValueError
        For a size below 1, a dropout rate outside [0, 1), an unknown activation or normalization.

    Examples
    --------
    >>> Dense(64, 10, "relu", dropout=0.5).n_out
    10
    """

    kind: ClassVar[str] = "dense"

    n_in: int
    n_out: int
    activation: Activation = field(default="identity")  # type: ignore[assignment]
    dropout: float = 0.0
    bias: bool = True
    normalization: Kind | None = None
    group: str = "weight"

    def __post_init__(self) -> None:
        for name in ("n_in", "n_out"):
            object.__setattr__(self, name, check_size(getattr(self, name), name))
        object.__setattr__(self, "activation", get_activation(self.activation))
        object.__setattr__(self, "dropout", check_rate(self.dropout, "dropout"))
        if self.normalization is not None and self.normalization not in KINDS:
            raise ValueError(
                f'normalization must be None, "batch" or "layer", got {self.normalization!r}.'
            )

    def parameters(self) -> tuple[Parameter, ...]:
        """Weights, biases if it has any, scales if it is normalized."""
        found = [Parameter("weight", (self.n_in, self.n_out), "weight", self.group)]
        if self.bias:
            found.append(Parameter("bias", (self.n_out,), "bias", "bias"))
        if self.normalization:
            found.append(Parameter("scale", (self.n_out,), "scale", "scale"))
        return tuple(found)

    def statistics(self) -> tuple[Parameter, ...]:
        """The running statistics of batch normalization."""
        names = ("mean", "variance") if self.normalization == "batch" else ()
        return tuple(Parameter(name, (self.n_out,), "statistic", "") for name in names)

    def initial(self, rng: np.random.Generator, draw: Any) -> dict[str, np.ndarray]:
        """Weights as drawn; scales and running variances of one."""
        ones = np.ones(self.n_out)
        return {"weight": draw(rng, self.n_in, self.n_out), "scale": ones, "variance": ones}

    def forward(
        self, p: Parts, state: Parts, x: Array, how: Pass, xp: Namespace
    ) -> tuple[Array, Saved, dict[str, Array]]:
        """Outputs of inputs (..., n, n_in), or of a SciPy CSR matrix where `xp` is NumPy."""
        w, normalized = p["weight"], None
        changed: dict[str, Array] = {}
        if w.ndim > 2 and hasattr(x, "tocsr"):
            x = x.toarray()
        z = x @ w
        if self.normalization:
            kind, train = self.normalization, how.train
            z, normalized, changed = normalize(z, p, state, kind, train, xp, how.rows)
        elif self.bias:
            z = z + rowwise(p["bias"])
        a = self.activation.value(z, xp)
        if how.drop is None:
            return a, Saved(x, z, a, None, normalized), changed
        mask = how.drop.mask(z.shape, z, xp)
        return a * mask, Saved(x, z, a, mask, normalized), changed

    def backward(
        self, p: Parts, saved: Saved, g: Array, xp: Namespace, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        """Gradients with respect to the input and each parameter; `g` is that of the output."""
        if saved.mask is not None:
            g = g * saved.mask
        dz = self.activation.backward(saved.z, saved.a, g, xp)
        grads = {"bias": xp.sum(dz, axis=-2)} if self.bias else {}
        if self.normalization and saved.normalized is not None:
            kind = self.normalization
            dz, grads["scale"] = normalize_backward(dz, p, saved.normalized, kind, xp)
        grads["weight"] = swapped(saved.x, xp) @ dz
        return (dz @ swapped(p["weight"], xp) if need_dx else None), grads

    def check(self, like: Array, xp: Namespace) -> None:
        """Try an activation of the user's own, in the dtype and on the device of `like`."""
        if ACTIVATIONS.get(self.activation.name) != self.activation:
            z = xp.ones((2, self.n_out), dtype=like.dtype, device=device(like))
            self.activation.check(z, xp)

    def to_dict(self) -> dict[str, Any]:
        """The arguments that make it; the activation by name."""
        return {
            "n_in": self.n_in,
            "n_out": self.n_out,
            "activation": activation_name(self.activation),
            "dropout": self.dropout,
            "bias": self.bias,
            "normalization": self.normalization,
            "group": self.group,
        }
