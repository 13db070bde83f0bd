"""What each column is worth: how much worse a prediction is without what the column says."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.random import PERTURB, host_generator
from xpnn.model.dense import Dense
from xpnn.model.network import Network
from xpnn.model.scale import Scale
from xpnn.steps.inference import host_outputs
from xpnn.tabular.folds import held_rows

_NUMBERS = 500_000  # of hidden units that are computed at once, for all rows
_MOST = 4_000_000  # of these of one column: more permutations than that go in pieces


class Mixed(NamedTuple):
    """A column whose values change places among the rows, several times."""

    inputs: Sequence[int]  # that the column has become
    orders: np.ndarray  # (n_repeats, n)


Losses = Callable[[list[Mixed]], np.ndarray]
"""The loss of rows as each of these leaves them, of shape (mixed, n_repeats)."""


def permutation_importance(
    x: np.ndarray,
    places: Mapping[str, Sequence[int]],
    losses: Losses,
    n_repeats: int,
    seed: int,
    together: int = 1,
    seen: Callable[[int], Any] = lambda columns: None,
) -> dict[str, tuple[float, float]]:
    """How much the loss rises when a column's values are permuted among the rows.

    Parameters
    ----------
    x : ndarray of shape (n, n_inputs)
    places : mapping of str to sequence of int
        Which inputs each column has become.
    losses : callable (list of Mixed) -> ndarray
    n_repeats : int
        Permutations of each column.
    together : int, default=1
        Columns of one call of `losses`.
    seen : callable (int) -> object
        Told after each call how many more columns are done.

    Returns
    -------
    dict of str to (mean, standard deviation)
        The most important column first; a column that is the same in all rows has zeros.

    References
    ----------
    L. Breiman (2001), "Random forests", Machine Learning 45.

    Examples
    --------
    >>> x = np.array([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0]])
    >>> loss = lambda x: float(np.abs(x[:, 0] - [0.0, 1.0, 2.0]).sum())
    >>> list(permutation_importance(x, {"b": [1], "a": [0]}, by_copies(x, loss), 9, seed=0))
    ['a', 'b']
    """
    rng = host_generator(seed, PERTURB)
    still = Mixed([], np.arange(len(x))[None])
    whole = losses([still])[0, 0]

    def mixed() -> Iterator[tuple[str, Mixed]]:
        for name, inputs in places.items():
            orders = np.stack([rng.permutation(len(x)) for _ in range(n_repeats)])
            if (x[:, inputs] != x[:1, inputs]).any():
                yield name, Mixed(inputs, orders)

    found = dict.fromkeys(places, (0.0, 0.0))
    left = mixed()
    while some := list(islice(left, together)):
        rises = losses([m for _, m in some]) - whole
        means = zip(rises.mean(axis=1).tolist(), rises.std(axis=1).tolist(), strict=True)
        found |= zip((name for name, _ in some), means, strict=True)
        seen(len(some))
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def by_copies(x: np.ndarray, loss: Callable[[np.ndarray], float]) -> Losses:
    """`Losses` of anything that predicts from rows, each time from all of them anew.

    Parameters
    ----------
    x : ndarray of shape (n, n_inputs)
    loss : callable (x) -> float
    """

    def of_copy(inputs: Sequence[int], order: np.ndarray) -> float:
        copy = x.copy()
        copy[:, inputs] = x[order][:, inputs]
        return loss(copy)

    return lambda mixed: np.array([[of_copy(m.inputs, o) for o in m.orders] for m in mixed])


class _Member(NamedTuple):
    """A member of a valley that counts, as `FirstSums` needs it."""

    rows: np.ndarray  # that it predicts
    share: float  # of these rows' predictions
    weight: np.ndarray  # of the first dense layer, with the scale: (n_inputs, units)
    still: np.ndarray  # its sums of the rows as they are
    tail: np.ndarray | None  # the parameters of what follows


class FirstSums:
    """`Losses` by the first layer's sums, which a column changes by its own weights alone.

    Parameters
    ----------
    network : Network
        For which `suits` says True.
    kept : iterable of (theta, buffers, weight)
        On the host.
    x : ndarray of shape (n, n_inputs)
    folds : ndarray of int, shape (repeats, n), or None
        Of the training rows, which a member predicts if it has not seen them; None: each member
        predicts all rows.
    loss : callable (prediction) -> float
        Of predictions of shape (n, n_out).
    """

    def __init__(
        self,
        network: Network,
        kept: Iterable[tuple[np.ndarray, np.ndarray, float]],
        x: np.ndarray,
        folds: np.ndarray | None,
        loss: Callable[[np.ndarray], float],
    ) -> None:
        self.network, self.x, self.loss = network, x, loss
        self.activation: Any = getattr(network.layers[1], "activation", None)
        rest = network.layers[2:]
        self.rest = Network(rest) if rest else None
        rows, count = _rows_of(network.members, folds, len(x))
        self.members = [
            self._member(own, weight / count, at)
            for theta, _, weight in kept
            for own, at in zip(network.layout.by_member(theta, np), rows, strict=True)
            if at.size
        ]

    @staticmethod
    def suits(network: Network) -> bool:
        """Whether inputs are but scaled before the first dense layer."""
        first, second = (*network.layers, None)[:2]
        return isinstance(first, Scale) and isinstance(second, Dense) and not second.normalization

    def together(self, n_repeats: int) -> int:
        """How many columns to look at in one call."""
        units = int(self.network.layers[1].n_out)
        return max(1, _NUMBERS // (n_repeats * len(self.x) * units))

    def __call__(self, mixed: list[Mixed]) -> np.ndarray:
        """The loss of rows as each of these leaves them."""
        units = int(self.network.layers[1].n_out)
        most = max(1, _MOST // (len(self.x) * units))
        pieces = [
            self._losses([m._replace(orders=m.orders[i : i + most]) for m in mixed])
            for i in range(0, len(mixed[0].orders), most)
        ]
        return np.concatenate(pieces, axis=1)

    def _losses(self, mixed: list[Mixed]) -> np.ndarray:
        n, repeats = len(self.x), len(mixed[0].orders)
        own = [self.x[:, m.inputs] for m in mixed]
        moved = [x[m.orders] - x for x, m in zip(own, mixed, strict=True)]
        found = np.zeros((len(mixed), repeats, n, self.network.n_out))
        for member in self.members:
            out = self._outputs(member, mixed, moved)
            found[:, :, member.rows] += member.share * self.network.link(out, np)
        return np.array([[self.loss(one) for one in each] for each in found])

    def _member(self, theta: np.ndarray, share: float, rows: np.ndarray) -> "_Member":
        layers = len(self.network.layers)
        first, second, *rest = self.network.one_member.layout.by_layer(theta, np, layers)
        weight = first["scale"][:, None] * second["weight"]
        still = self.x[rows] @ weight + second.get("bias", 0.0)
        tail = None if self.rest is None else self.rest.layout.joined(rest, np).astype(np.float64)
        return _Member(rows, share, weight, still, tail)

    def _outputs(
        self, member: "_Member", mixed: list[Mixed], moved: list[np.ndarray]
    ) -> np.ndarray:
        """A member's raw outputs for its rows, (mixed, n_repeats, rows, n_out)."""
        sums = np.empty((len(mixed), len(mixed[0].orders), *member.still.shape))
        for i, (m, by) in enumerate(zip(mixed, moved, strict=True)):
            np.matmul(by[:, member.rows], member.weight[m.inputs], out=sums[i])
        sums += member.still
        hidden = self.activation(sums, np)
        if self.rest is None or member.tail is None:
            return np.asarray(hidden)
        flat = hidden.reshape(-1, hidden.shape[-1])
        out = host_outputs(self.rest, member.tail, np.zeros(0), flat, "forward")
        return np.asarray(out).reshape(*hidden.shape[:-1], -1)


def _rows_of(members: int, folds: np.ndarray | None, n: int) -> tuple[list[np.ndarray], int]:
    """The rows that each member predicts, and how many members predict a row."""
    if folds is None:
        return [np.arange(n)] * members, members
    return held_rows(folds, members // len(folds)), len(folds)
