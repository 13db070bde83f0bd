"""A multi-layer perceptron: a stack of layers over one flat parameter vector.

A `Network` is a description; parameters travel as an argument. That is what lets a compiler
take the training step, a test compare devices, and one optimizer call update every layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from xpnn.arrays.random import WEIGHTS, host_generator
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.dense import Dense
from xpnn.model.embedding import PeriodicEmbedding
from xpnn.model.layer import EVALUATE, BatchRows, Drop, Layer, Pass, check_rate, check_size
from xpnn.model.layout import GROUPS, Group, Groups, Layout, make_groups
from xpnn.model.normalization import Kind
from xpnn.model.scale import Scale
from xpnn.model.summary import summary
from xpnn.parts.activations import Activation, activation_name, get_activation
from xpnn.parts.initializers import Initializer, get_initializer

__all__ = [
    "GROUPS",
    "LAYERS",
    "Dense",
    "Group",
    "Groups",
    "Layout",
    "Network",
    "PeriodicEmbedding",
    "Scale",
    "make_groups",
    "multilayer_perceptron",
]

LAYERS: dict[str, type[Any]] = {cls.kind: cls for cls in (Dense, Scale, PeriodicEmbedding)}
"""Kinds of layers by the name that a file gives them."""


@dataclass(frozen=True)
class Network:
    """A stack of layers, or several networks of one shape that are computed at once.

    Parameters
    ----------
    layers : sequence of layers, such as Dense
        Each layer's `n_in` is the one before's `n_out`.
    input_dropout : float, default=0.0
        Probability of dropping an input feature in training, in [0, 1).
    link : str or Activation, default="identity"
        Turns the last layer's output into a prediction. It is no part of training: the loss
        takes the output before it (logits), and is exact where the link would saturate.
    members : int, default=1
        How many networks. Each has weights and dropout masks of its own, the first those of a
        single network; two and more give every array one more axis, the first.

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
    >>> five = Network((Dense(4, 8, "relu"), Dense(8, 3)), link="softmax", members=5)
    >>> five.forward(*five.init(seed=0), np.ones((2, 4)), np).shape
    (5, 2, 3)
    """

    layers: tuple[Any, ...]
    input_dropout: float = 0.0
    link: Activation = field(default="identity")  # type: ignore[assignment]
    members: int = 1

    def __post_init__(self) -> None:
        layers = tuple(self.layers)
        if not layers:
            raise ValueError("A network needs at least one layer, got none: pass [Dense(...)].")
        for i, layer in enumerate(layers):
            known = type(layer) in LAYERS.values()  # a protocol takes its time to look
            if not known and (isinstance(layer, type) or not isinstance(layer, Layer)):
                raise ValueError(f"Layer {i} is {layer!r}, expected a layer: pass Dense(...).")
        for i, (a, b) in enumerate(pairwise(layers)):
            if a.n_out != b.n_in:
                raise ValueError(
                    f"Layer {i} has {a.n_out} outputs and layer {i + 1} takes {b.n_in} inputs; "
                    f"make them equal."
                )
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "input_dropout", check_rate(self.input_dropout, "input_dropout"))
        object.__setattr__(self, "link", get_activation(self.link))
        object.__setattr__(self, "members", check_size(self.members, "members"))

    @cached_property
    def layout(self) -> Layout:
        """What lies where in the flat parameter vector."""
        return Layout.of((layer.parameters() for layer in self.layers), self.members)

    @cached_property
    def buffer_layout(self) -> Layout:
        """What lies where in `buffers`: the running statistics of batch normalizations."""
        return Layout.of((layer.statistics() for layer in self.layers), self.members)

    @property
    def n_in(self) -> int:
        """Number of features."""
        return int(self.layers[0].n_in)

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return int(self.layers[-1].n_out)

    @property
    def widest(self) -> int:
        """Most units of a layer, over all members: what bounds the memory that a row takes."""
        return self.members * max(int(v) for d in self.layers for v in (d.n_in, d.n_out))

    @cached_property
    def one_member(self) -> "Network":
        """The network that each member is."""
        return self if self.members == 1 else replace(self, members=1)

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """Dropout rates: the input's, then each layer's; a step draws a key for each."""
        return (self.input_dropout, *(float(layer.dropout) for layer in self.layers))

    @cached_property
    def draws(self) -> bool:
        """Whether a training step draws dropout masks."""
        return any(self.rates)

    def check_activations(self, like: Array, xp: Namespace) -> None:
        """Try the user's own activations once, in the dtype and on the device of `like`.

        Raises
        ------
        ValueError
            For one that changes the shape.
        """
        for layer in self.layers:
            layer.check(like, xp)

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
        draw, members = get_initializer(initializer), []
        for m in range(self.members):
            rng = host_generator(seed, WEIGHTS, member=m)
            members.append([layer.initial(rng, draw) for layer in self.layers])
        vectors = []
        for layout in (self.layout, self.buffer_layout):
            vectors.append(np.zeros(layout.size))
            for e in layout.entries:
                own = [parts[e.layer].get(e.part) for parts in members]
                if own[0] is not None:
                    vectors[-1][e.offset : e.offset + e.size] = np.ravel(own)
        return vectors[0], vectors[1]

    def forward(self, theta: Array, buffers: Array, x: Array, xp: Namespace) -> Array:
        """Raw outputs of inputs of shape (n, n_in); no dropout.

        Returns
        -------
        array of shape (n, n_out), or (members, n, n_out)
        """
        self.check_activations(theta, xp)
        parts, state = self._parts(theta, buffers, xp)
        for layer, p, s in zip(self.layers, parts, state, strict=True):
            x, *_ = layer.forward(p, s, x, EVALUATE, xp)
        return x

    def predict(self, theta: Array, buffers: Array, x: Array, xp: Namespace) -> Array:
        """The link of the raw outputs, shape (n, n_out): probabilities, rates or values.

        Of several members, the mean of their predictions.
        """
        return self.linked(self.forward(theta, buffers, x, xp), xp)

    def linked(self, raw: Array, xp: Namespace) -> Array:
        """Predictions of raw outputs."""
        out = self.link(raw, xp)
        return xp.mean(out, axis=0) if self.members > 1 else out

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
        rows: BatchRows | None = None,
        train: bool = True,
    ) -> tuple[Array, Array, Array]:
        """Mean loss of a batch and its gradient, by backpropagation.

        Parameters
        ----------
        theta : array of shape (layout.size,)
        buffers : array
        x : array of shape (n, n_in), or (members, n, n_in) for rows of each member's own
        y : array, whatever the loss takes as target
        weight : array of shape (n,), or (n, members) for weights of each member's own, or None
        loss : xpnn.losses.Loss
        xp : namespace
        keys : sequence of pairs, one a layer and the input's first
            One step's row of `xpnn.random.step_keys`; needed when `train` and a layer drops.
        first_row : int
            The batch's place in the step's global batch.
        rows : BatchRows, default=None
            The global batch, for what is computed over all of its rows (batch normalization).
        train : bool
            Whether dropout is on, and batches are normalized by their own statistics.

        Returns
        -------
        loss : 0-d array
            Of several members, the mean.
        gradient : array like `theta`
            Of each member's own loss, as if it was alone.
        buffers : array like `buffers`

        References
        ----------
        Rumelhart, Hinton, Williams: Learning representations by back-propagating errors.
        Nature 323, 1986.
        """
        if train and self.draws and keys is None:
            raise ValueError(
                "This network drops units: pass keys=, of xpnn.random.step_keys, or train=False."
            )

        def drop(i: int) -> Drop | None:
            rate = self.rates[i]
            return Drop(tuple(keys[i]), first_row, rate) if train and rate > 0 else None

        parts, state = self._parts(theta, buffers, xp)
        x, saved = self.drop_inputs(x, drop(0), theta, xp), []
        for i, layer in enumerate(self.layers):
            how = Pass(train, drop(i + 1), rows)
            x, kept, changed = layer.forward(parts[i], state[i], x, how, xp)
            state[i] |= changed
            saved.append(kept)
        if weight is not None and weight.ndim > 1:
            weight = xp.permute_dims(weight, (1, 0))
        value, g = loss(x, y, weight, xp)
        grads: list[dict[str, Array]] = [{}] * len(self.layers)
        for i in reversed(range(len(self.layers))):
            g, grads[i] = self.layers[i].backward(parts[i], saved[i], g, xp, i > 0)
        new = self.buffer_layout.joined(state, xp) if self.buffer_layout.entries else buffers
        return value, self.layout.joined(grads, xp), new

    def drop_inputs(self, x: Array, drop: Drop | None, like: Array, xp: Namespace) -> Array:
        """Inverted dropout of a batch's features, which may be a SciPy CSR matrix on NumPy."""
        if drop is None:
            return x
        shape = x.shape if self.members == 1 else (self.members, *x.shape[-2:])
        mask = drop.mask(shape, like, xp)
        if hasattr(x, "tocsr"):
            return x.multiply(mask).tocsr() if self.members == 1 else x.toarray() * mask
        return x * mask

    def _parts(self, theta: Array, buffers: Array, xp: Namespace) -> tuple[Any, Any]:
        """Each layer's parameters and statistics."""
        n = len(self.layers)
        layouts = (self.layout, theta), (self.buffer_layout, buffers)
        parts, state = (layout.by_layer(vector, xp, n) for layout, vector in layouts)
        return parts, state

    def summary(self) -> str:
        """A table of the layers, their shapes and their numbers of parameters.

        Examples
        --------
        >>> print(Network((Dense(4, 8, "relu", dropout=0.5), Dense(8, 3))))
        layer    shape    activation    dropout    parameters
        -----------------------------------------------------
        input    4                                          0
        dense    4 x 8    relu              0.5            40
        dense    8 x 3    identity                         27
        -----------------------------------------------------
        total                                              67
        """
        return summary(self)

    __str__ = summary

    def to_dict(self) -> dict[str, Any]:
        """A description of JSON types; built-in activations by name.

        Raises
        ------
        ValueError
            For an activation or a kind of layer of the user's own, which a file cannot describe.
        """
        for d in self.layers:
            if LAYERS.get(d.kind) is not type(d):
                raise ValueError(
                    f"The layer {d!r} is of your own kind, which a file cannot hold without code; "
                    "use a built-in one, or pickle the estimator."
                )
        return {
            "layers": [{"kind": d.kind, **d.to_dict()} for d in self.layers],
            "input_dropout": self.input_dropout,
            "link": activation_name(self.link),
            "members": self.members,
        }

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> "Network":
        """The network that `to_dict` described, in this version or an earlier one."""
        layers = [dict(given) for given in description["layers"]]
        made = tuple(LAYERS[d.pop("kind", Dense.kind)](**d) for d in layers)
        members = description.get("members", 1)
        return cls(made, description["input_dropout"], description["link"], members)


def multilayer_perceptron(
    sizes: Sequence[int],
    activation: Any = "relu",
    *,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    normalization: Kind | None = None,
    link: Any = "identity",
    members: int = 1,
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
    members : int, default=1
        See `Network`.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        For a list of activations of another length than there are hidden layers.

    Examples
    --------
    >>> multilayer_perceptron([64, 100, 10]).layout.size
    7510
    """
    *pairs, last = pairwise(sizes)
    n_hidden = len(pairs)
    activations = activation if isinstance(activation, list) else [activation] * n_hidden
    if len(activations) != n_hidden:
        raise ValueError(
            f"activation is a list of {len(activations)}, but there are {n_hidden} hidden layers: "
            "give one for each, or a single one for all."
        )
    layers = [
        Dense(*pair, f, dropout, normalization=normalization)
        for pair, f in zip(pairs, activations, strict=True)
    ]
    return Network((*layers, Dense(*last)), input_dropout, link, members)
