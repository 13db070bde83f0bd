"""What a table gets if nobody says otherwise: the network, and how it is trained.

The constants are those of docs/tabular.md, where it is measured what each of them brings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.random import WEIGHTS, host_generator
from xpnn.model.network import Dense, Group, Network, PeriodicEmbedding, Scale
from xpnn.parts.activations import get_activation
from xpnn.parts.optimizers import AdamW

GROUPS = {
    "embedding": Group(rate=0.1, decay=1.0),
    "scale": Group(rate=6.0),
    "weight": Group(rate=1.0, decay=1.0, by_fan_in=True),
    "bias": Group(rate=0.1),
}
"""How each group of parameters learns: as if products were divided by the root of their inputs."""

OPTIMIZER: Mapping[str, float] = {
    "beta_1": 0.9,
    "beta_2": 0.95,
    "epsilon": 1e-8,
    "weight_decay": 0.02,
}
EMBEDDINGS = ("auto", "both", "periodic", "piecewise")
"""What numbers may become before the first layer."""

MOST_EMBEDDED = 40
"""Columns of numbers up to which "auto" embeds them: more are pixels or the like, and slow."""

BINS = 8
"""Of a piecewise linear embedding."""

_INITIAL_BIAS = 0.5  # standard deviation


class Embedded(NamedTuple):
    """What numbers become before the first layer."""

    bins: int  # of a piecewise linear embedding; 0 is none
    periodic: bool
    most_numbers: int | None  # columns of numbers up to which they are embedded


def embedded_by(embedding: str | None) -> Embedded:
    """What one of `EMBEDDINGS` means, or None.

    Examples
    --------
    >>> embedded_by("auto")
    Embedded(bins=8, periodic=False, most_numbers=40)
    """
    bins = 0 if embedding in (None, "periodic") else BINS
    periodic = embedding in ("both", "periodic")
    return Embedded(bins, periodic, MOST_EMBEDDED if embedding == "auto" else None)


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training."""

    hidden: tuple[int, ...]
    activation: str
    embedding: bool
    dropout: float
    batch_size: int
    epochs: int
    learning_rate: float
    folds: int
    repeats: int
    longer: bool = True  # whether there are more epochs than these where more can be learned

    @property
    def members(self) -> int:
        """Networks that are trained at once: each repeat cuts the rows into folds anew."""
        return self.folds * self.repeats


def make_recipe(
    n: int,
    n_members: int | None,
    hidden: tuple[int, ...] | None,
    embedding: bool,
    classes: bool,
    groups: int | None = None,
) -> Recipe:
    """The recipe for `n` rows.

    Parameters
    ----------
    hidden : tuple of int or None
        Sizes of the hidden layers.
    embedding : bool
        Whether numbers get a periodic embedding.
    classes : bool
        Whether classes are predicted.
    groups : int, default=None
        Of rows that stay together; None is as many as rows.
    """
    most = n if groups is None else groups
    folds = min(5, most) if n_members is None else min(n_members, most)
    repeats = 1
    if n_members is not None and n_members > 10 and n_members % 5 == 0 and most >= 5:
        folds, repeats = 5, n_members // 5
    width, batch = (64, 64) if n < 1024 else (96, 128) if n < 6000 else (128, 256)
    steps = min(max(42 * n / batch, 1000), 6000)
    own = n - n // folds  # rows of a member
    batch = min(batch, own)
    return Recipe(
        hidden=(width, width) if hidden is None else hidden,
        activation="relu",
        embedding=embedding,
        dropout=0.1,
        batch_size=batch,
        epochs=max(4, round(steps * batch / own)),
        learning_rate=0.04 if classes else 0.07,
        folds=folds,
        repeats=repeats,
    )


def make_network(recipe: Recipe, n_in: int, n_numbers: int, n_out: int, link: Any) -> Network:
    """Numbers embedded, all scaled, then dense layers; one network a member.

    Parameters
    ----------
    n_in : int
        Inputs of a table, of which the first `n_numbers` are numbers.
    link : str or Activation
    """
    layers: list[Any] = []
    if recipe.embedding and n_numbers:
        layers.append(PeriodicEmbedding(n_in, passed=n_in - n_numbers))
    width = layers[-1].n_out if layers else n_in
    layers.append(Scale(width))
    for units in recipe.hidden:
        layers.append(Dense(width, units, get_activation(recipe.activation), recipe.dropout))
        width = units
    return Network((*layers, Dense(width, n_out)), link=link, members=recipe.members)


def groups_of(network: Network) -> dict[str, Group]:
    """Those of `GROUPS` that the network has."""
    used = {e.group for e in network.layout.entries}
    return {name: group for name, group in GROUPS.items() if name in used}


def initial_parameters(
    network: Network, seed: int, unseen: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Normal weights of variance 1 / fan_in and biases, and a last layer of zeros.

    So all members begin with the same prediction. Where a member is not to see an input, both its
    scale and the weights behind it are zero: so are their gradients, and so both stay.

    Parameters
    ----------
    unseen : ndarray of bool, shape (members, n_in), default=None
        Of inputs behind the numbers.
    """
    theta, buffers = network.init(seed, "lecun_normal")
    last = len(network.layers) - 1
    rng = host_generator(seed, WEIGHTS, 1)
    for e in network.layout.entries:
        here = theta[e.offset : e.offset + e.size]
        if e.layer == last:
            here[:] = 0.0
        elif e.role == "bias" and isinstance(network.layers[e.layer], Dense):
            here[:] = rng.normal(0.0, _INITIAL_BIAS, e.size)
    if unseen is not None:
        parts = network.layout.by_layer(theta, np, len(network.layers))
        at = [isinstance(layer, Scale) for layer in network.layers].index(True)
        for m, columns in enumerate(unseen):  # an embedding passes them on, as the last ones
            last_ones = np.flatnonzero(columns) - len(columns)
            parts[at]["scale"][m, last_ones] = 0.0
            parts[at + 1]["weight"][m, last_ones] = 0.0
    return theta, buffers


def make_optimizer() -> AdamW:
    """The optimizer of `OPTIMIZER`."""
    return AdamW(**OPTIMIZER)
