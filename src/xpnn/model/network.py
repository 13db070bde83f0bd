"""A multi-layer perceptron: a stack of dense layers over one flat parameter vector.

A `Network` is a description; parameters travel as an argument. That is what lets a compiler
take the training step, a test compare devices, and one optimizer call update every layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from array_api_compat import device

from xpnn.arrays.random import WEIGHTS, host_generator
from xpnn.arrays.typing import Array, Namespace
from xpnn.model import reference as ops
from xpnn.model.dense import Dense, check_rate
from xpnn.model.layout import Layout, Role
from xpnn.model.normalization import (
    Kind,
    Statistics,
    normalized_backward,
    normalized_forward,
    running_update,
)
from xpnn.model.reference import Drop
from xpnn.parts.activations import ACTIVATIONS, Activation, get_activation
from xpnn.parts.initializers import Initializer, get_initializer


@dataclass(frozen=True)
class Network:
    """A stack of dense layers.

    Parameters
    ----------
    layers : sequence of Dense
        Each layer's `n_in` is the one before's `n_out`.
    input_dropout : float, default=0.0
        Probability of dropping an input feature in training, in [0, 1).
    link : str or Activation, default="identity"
        Turns the last layer's output into a prediction. It is no part of training: the loss
        takes the output before it (logits), and is exact where the link would saturate.

    Raises
    ------
    ValueError
        For no layer, or layers that do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> net = Network((Dense(4, 8, "relu"), Dense(8, 3)), link="softmax")
    >>> theta, buffers = net.init(seed=0)
    >>> net.predict(theta, buffers, np.ones((2, 4)), np).shape
    (2, 3)
    """

    layers: tuple[Dense, ...]
    input_dropout: float = 0.0
    link: Activation = field(default="identity")  # type: ignore[assignment]

    def __post_init__(self) -> None:
        layers = tuple(self.layers)
        if not layers:
            raise ValueError("A network needs at least one layer, got none.")
        for i, (a, b) in enumerate(pairwise(layers)):
            if a.n_out != b.n_in:
                raise ValueError(
                    f"Layer {i} has {a.n_out} outputs and layer {i + 1} takes {b.n_in} inputs; "
                    f"make them equal."
                )
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "input_dropout", check_rate(self.input_dropout, "input_dropout"))
        object.__setattr__(self, "link", get_activation(self.link))

    @cached_property
    def layout(self) -> Layout:
        """What lies where in the flat parameter vector."""
        layers = list(enumerate(self.layers))
        shapes: list[tuple[str, tuple[int, ...], Role, int]] = [
            (f"weight_{i}", (d.n_in, d.n_out), "weight", i) for i, d in layers
        ]
        shapes += [(f"bias_{i}", (d.n_out,), "bias", i) for i, d in layers if d.bias]
        shapes += [(f"scale_{i}", (d.n_out,), "scale", i) for i, d in layers if d.normalization]
        return Layout.of(shapes)

    @cached_property
    def buffer_layout(self) -> Layout:
        """What lies where in `buffers`: the running statistics of batch normalizations."""
        return Layout.of(
            (f"{name}_{i}", (d.n_out,), "statistic", i)
            for i, d in enumerate(self.layers)
            if d.normalization == "batch"
            for name in ("mean", "variance")
        )

    @property
    def draws(self) -> bool:
        """Whether a training step draws dropout masks."""
        return self.input_dropout > 0 or any(layer.dropout > 0 for layer in self.layers)

    @cached_property
    def _own(self) -> tuple[Dense, ...]:
        """The layers whose activation is the user's own."""
        return tuple(d for d in self.layers if ACTIVATIONS.get(d.activation.name) != d.activation)

    def check_activations(self, like: Array, xp: Namespace) -> None:
        """Try the user's own activations once, in the dtype and on the device of `like`.

        Raises
        ------
        ValueError
            For one that changes the shape.
        """
        for layer in self._own:
            z = xp.ones((2, layer.n_out), dtype=like.dtype, device=device(like))
            layer.activation.check(z, xp)

    def init(
        self, seed: int = 0, initializer: str | Initializer = "glorot_uniform"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Initial parameters and buffers, drawn on the host in float64.

        Parameters
        ----------
        seed : int
            64 bits; the same seed gives the same network on every device.
        initializer : str or Initializer
            Of the weights; biases start at zero, scales at one.

        Returns
        -------
        theta : ndarray of float64, shape (layout.size,)
        buffers : ndarray of float64, shape (buffer_layout.size,)
            State that no gradient touches: running means of zero and variances of one.
        """
        rng, draw = host_generator(seed, WEIGHTS), get_initializer(initializer)
        theta = self.layout.mask("scale")
        for e in self.layout.entries:
            if e.role == "weight":
                fan_in, fan_out = e.shape
                theta[e.offset : e.offset + e.size] = draw(rng, fan_in, fan_out).ravel()
        ones = [np.full(e.size, float(e.name[0] == "v")) for e in self.buffer_layout.entries]
        return theta, np.concatenate([np.zeros(0), *ones])

    def forward(self, theta: Array, buffers: Array, x: Array, xp: Namespace) -> Array:
        """Raw outputs, shape (n, n_out), of inputs of shape (n, n_in); no dropout."""
        self.check_activations(theta, xp)
        p = self.layout.split(theta, xp)
        state = self.buffer_layout.split(buffers, xp)
        for i, layer in enumerate(self.layers):
            w, b, activation = p[f"weight_{i}"], p.get(f"bias_{i}"), layer.activation
            if kind := layer.normalization:
                scale, running = p[f"scale_{i}"], _statistics(state, i)
                x, *_ = normalized_forward(x, w, scale, b, kind, running, activation, None, xp)
            else:
                x, _ = ops.dense_forward(x, w, b, activation, None, xp)
        return x

    def predict(self, theta: Array, buffers: Array, x: Array, xp: Namespace) -> Array:
        """The link of the raw outputs, shape (n, n_out): probabilities, rates or values."""
        return self.link(self.forward(theta, buffers, x, xp), xp)

    def loss_and_gradient(
        self,
        theta: Array,
        buffers: Array,
        x: Array,
        y: Array,
        weight: Array | None,
        loss: Any,
        xp: Namespace,
        *,
        keys: Any = None,
        first_row: int = 0,
        train: bool = True,
    ) -> tuple[Array, Array, Array]:
        """Mean loss of a batch and its gradient, by backpropagation.

        Parameters
        ----------
        theta : array of shape (layout.size,)
        buffers : array
        x : array of shape (n, n_in)
        y : array, whatever the loss takes as target
        weight : array of shape (n,), or None
        loss : xpnn.losses.Loss
        xp : namespace
        keys : sequence of pairs, one a layer and the input's first
            One step's row of `xpnn.random.step_keys`; needed when `train` and a layer drops.
        first_row : int
            The batch's place in the step's global batch.
        train : bool
            Whether dropout is on, and batches are normalized by their own statistics.

        Returns
        -------
        loss : 0-d array
        gradient : array like `theta`
        buffers : array like `buffers`

        References
        ----------
        Rumelhart, Hinton, Williams: Learning representations by back-propagating errors.
        Nature 323, 1986.
        """
        p, caches = self.layout.split(theta, xp), []
        state = self.buffer_layout.split(buffers, xp)

        if train and self.draws and keys is None:
            raise ValueError(
                "This network drops units: pass keys=, a row of xpnn.random.step_keys, or "
                "train=False."
            )

        def drop(index: int, rate: float) -> Drop | None:
            return Drop(tuple(keys[index]), first_row, rate) if train and rate > 0 else None

        if (at_input := drop(0, self.input_dropout)) is not None:
            x = ops.input_dropout(x, at_input, xp)
        for i, layer in enumerate(self.layers):
            w, b, activation = p[f"weight_{i}"], p.get(f"bias_{i}"), layer.activation
            at, cache = drop(i + 1, layer.dropout), None
            if kind := layer.normalization:
                scale, running = p[f"scale_{i}"], None if train else _statistics(state, i)
                x, cache, seen = normalized_forward(
                    x, w, scale, b, kind, running, activation, at, xp
                )
                if seen is not None:
                    for name, new in seen._asdict().items():
                        state[f"{name}_{i}"] = running_update(state[f"{name}_{i}"], new)
            else:
                x, cache = ops.dense_forward(x, w, b, activation, at, xp)
            caches.append(cache)

        value, g = loss(x, y, weight, xp)
        grads: dict[str, Array] = {}
        for i in reversed(range(len(self.layers))):
            w, layer = p[f"weight_{i}"], self.layers[i]
            if kind := layer.normalization:
                fixed = kind == "batch" and not train
                g, grads[f"weight_{i}"], grads[f"scale_{i}"], grads[f"bias_{i}"] = (
                    normalized_backward(
                        caches[i], w, p[f"scale_{i}"], kind, fixed, layer.activation, g, xp, i > 0
                    )
                )
            else:
                g, grads[f"weight_{i}"], grads[f"bias_{i}"] = ops.dense_backward(
                    caches[i], w, layer.activation, g, xp, i > 0
                )
        new_buffers = self.buffer_layout.join(state, xp) if state else buffers
        return value, self.layout.join(grads, xp), new_buffers

    def summary(self) -> str:
        """A table of the layers, their shapes and their numbers of parameters.

        Examples
        --------
        >>> print(Network((Dense(4, 8, "relu", dropout=0.5), Dense(8, 3))).summary())
        layer    shape    activation    dropout    parameters
        -----------------------------------------------------
        input    4                                          0
        dense    4 x 8    relu              0.5            40
        dense    8 x 3    identity                         27
        -----------------------------------------------------
        total                                              67
        """
        rows = [("layer", "shape", "activation", "dropout", "parameters")]
        rows.append(("input", f"{self.layers[0].n_in}", "", _rate(self.input_dropout), "0"))
        for i, d in enumerate(self.layers):
            size = sum(e.size for e in self.layout.entries if e.layer == i)
            shape = f"{d.n_in} x {d.n_out}"
            kind = f"dense, {d.normalization} norm" if d.normalization else "dense"
            rows.append((kind, shape, d.activation.name, _rate(d.dropout), f"{size:,}"))
        rows.append(("total", "", "", "", f"{self.layout.size:,}"))
        return _table(rows)

    def to_dict(self) -> dict[str, Any]:
        """A description of JSON types; built-in activations by name.

        Raises
        ------
        ValueError
            For an activation of the user's own, which a file cannot describe.
        """
        return {
            "layers": [
                {
                    "n_in": d.n_in,
                    "n_out": d.n_out,
                    "activation": _activation_name(d.activation),
                    "dropout": d.dropout,
                    "bias": d.bias,
                    "normalization": d.normalization,
                }
                for d in self.layers
            ],
            "input_dropout": self.input_dropout,
            "link": _activation_name(self.link),
        }

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> "Network":
        """The network that `to_dict` described."""
        layers = tuple(Dense(**layer) for layer in description["layers"])
        return cls(layers, description["input_dropout"], description["link"])


def multilayer_perceptron(
    sizes: Sequence[int],
    activation: Any = "relu",
    *,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    normalization: Kind | None = None,
    link: Any = "identity",
) -> Network:
    """A network of the given layer sizes, whose last layer is linear.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden layers, outputs; at least two numbers.
    activation : str, Activation or list of them
        Of the hidden layers: one for all, or a list with one for each.
    dropout, input_dropout : float
        Of the hidden layers' outputs and of the input.
    normalization : {"batch", "layer"}, default=None
        Of the hidden layers.
    link : str or Activation
        See `Network`.

    Raises
    ------
    ValueError
        For a list of activations of another length than there are hidden layers.

    Examples
    --------
    >>> multilayer_perceptron([64, 100, 10]).layout.size
    7510
    """
    pairs = list(pairwise(sizes))
    n_hidden = len(pairs) - 1
    activations = activation if isinstance(activation, list) else [activation] * n_hidden
    if len(activations) != n_hidden:
        raise ValueError(
            f"activation is a list of {len(activations)}, but there are {n_hidden} hidden layers: "
            "give one for each, or a single one for all."
        )
    hidden = [
        Dense(a, b, f, dropout, normalization=normalization)
        for (a, b), f in zip(pairs[:-1], activations, strict=True)
    ]
    return Network((*hidden, Dense(*pairs[-1])), input_dropout, link)


def _statistics(state: dict[str, Array], i: int) -> Statistics | None:
    """The running statistics of a layer; None for one that has none."""
    return Statistics(state[f"mean_{i}"], state[f"variance_{i}"]) if f"mean_{i}" in state else None


def _activation_name(activation: Activation) -> str:
    if ACTIVATIONS.get(activation.name) != activation:
        raise ValueError(
            f"The activation {activation.name!r} is your own function, which a file cannot hold "
            f"without code; use a built-in one, or pickle the estimator."
        )
    return activation.name


def _rate(rate: float) -> str:
    return f"{rate:g}" if rate else ""


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i > 2 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("    ".join(cells))
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
