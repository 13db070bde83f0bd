"""What rows a process has of a table that several learn from: all of them, or its own."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.backend import to_numpy
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import bounds, own_shards
from xpnn.estimators._inputs import is_foreign, readable
from xpnn.tables.columns import is_missing
from xpnn.tables.ownrows import common_dtype
from xpnn.training.data import is_sparse
from xpnn.training.ownrows import even


class Shards(NamedTuple):
    """Where all processes' rows are cut, and which of the parts are this one's."""

    comm: Communicator
    ends: list[int]  # of all shards, from 0 on
    first: int  # of the rows that are here, among all

    @property
    def apart(self) -> bool:
        """Whether no other process has the rows that are here."""
        return self.comm.rows == "own"

    @property
    def own(self) -> list[tuple[int, int]]:
        """First row and end of this process's shards."""
        own = own_shards(self.comm)
        return list(pairwise(self.ends))[own.start : own.stop]


class Part:
    """The rows that a process passes to fit.

    Parameters
    ----------
    here : int
        How many there are.

    Attributes
    ----------
    first : int
        The number of the first one, among all.
    n : int
        Rows of all processes.
    """

    def __init__(self, comm: Communicator | None, here: int) -> None:
        self.comm, self.here, self.first, self.n = comm, here, 0, here
        self.apart = comm is not None and comm.rows == "own"
        if comm is not None and self.apart:
            each = comm.gather(here)
            self.first, self.n = sum(each[: comm.rank]), sum(each)

    def mine(self, all_rows: np.ndarray) -> np.ndarray:
        """Of one value for each row of all processes, those of the rows here."""
        return all_rows[self.first : self.first + self.here]

    def among(self, known: np.ndarray) -> slice:
        """Where, among all rows that count, those that are here lie, given a mask over all rows."""
        first = int(known[: self.first].sum())
        return slice(first, first + int(self.mine(known).sum()))

    def of_all(self, values: Any, name: str) -> Any:
        """One value for each row here, as one for each row of all processes."""
        comm = self.comm
        if comm is None or not self.apart:
            return values
        none = comm.gather(values is None)
        if all(none):
            return None
        if any(none):
            raise ValueError(
                f"rank {none.index(True)} has no {name}, and others have: pass it in each process, "
                "or in none."
            )
        host = _on_host(values, name)
        if host.ndim == 0:
            host = np.full(self.here, host)
        if len(host) != self.here:
            raise ValueError(f"{name} has {len(host)} rows, and X has {self.here} in this process.")
        return _gathered(comm, host, name)

    def shards(self, known: np.ndarray) -> Shards | None:
        """Where the rows that count are cut, given a mask over all processes' rows."""
        comm = self.comm
        if comm is None:
            return None
        if not self.apart:
            return Shards(comm, bounds(int(known.sum()), comm.shards), 0)
        lengths = [n for part in comm.gather(even(self.here, comm)) for n in part]
        cuts = np.cumsum([0, *lengths]).tolist()
        counts = [int(known[a:b].sum()) for a, b in pairwise(cuts)]
        if 1 in counts:
            raise ValueError(
                f"Each process's rows are cut into parts, {comm.shards} in all, and one of them "
                "has a single row with a weight above 0, where two are needed: pass more rows, or "
                'all rows to each process (rows="all").'
            )
        ends = np.cumsum([0, *counts]).tolist()
        return Shards(comm, ends, self.among(known).start)

    def predicted(
        self, predictions: Callable[[np.ndarray], np.ndarray], which: np.ndarray
    ) -> np.ndarray:
        """Predictions of some of all rows, of which each process makes those of its own.

        Parameters
        ----------
        predictions : callable (mask over the rows here) -> ndarray of shape (n, n_out)
        which : ndarray of bool
            Over the rows of all processes.
        """
        comm = self.comm
        if comm is None or not self.apart:
            return predictions(which)
        ends, mine, own = np.cumsum([0, *even(self.here, comm)]), self.mine(which), []
        for a, b in pairwise(ends.tolist()):  # the bits of a product may depend on its rows
            some = np.zeros_like(mine)
            some[a:b] = mine[a:b]
            own.append(predictions(some))
        return comm.gather_rows(np.concatenate(own))


def _on_host(values: Any, name: str) -> np.ndarray:
    values = readable(values, name)
    if is_sparse(values):
        return np.asarray(values.toarray())
    return np.asarray(to_numpy(values) if is_foreign(values) else values)


def _gathered(comm: Communicator, host: np.ndarray, name: str) -> np.ndarray:
    """The rows of all processes: numbers as they are, labels as JSON has them."""
    told = comm.gather([host.dtype.str, list(host.shape[1:])])
    for rank, (_, shape) in enumerate(told):
        if shape != told[0][1]:
            raise ValueError(
                f"{name} has rows of the shape {shape} in rank {rank}, and {told[0][1]} in rank 0: "
                "pass the same columns in each process."
            )
    dtypes = [np.dtype(kind) for kind, _ in told]
    dtype = common_dtype(dtypes)
    if dtype is not None:
        return comm.gather_rows(host.astype(dtype, copy=False))
    labels = [_label(v, name) for v in host.ravel().tolist()]
    whole = [v for part in comm.gather(labels) for v in part]
    mixed = len({d.kind in "US" for d in dtypes}) > 1  # numbers are no words because others are
    kind = object if mixed or any(d.kind == "O" for d in dtypes) else None
    return np.asarray(whole, dtype=kind).reshape(-1, *host.shape[1:])


def _label(value: Any, name: str) -> Any:
    if is_missing(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str | int | float):
        raise ValueError(
            f"{name} holds {value!r}, of type {type(value).__name__}, and processes that have rows "
            "of their own tell one another numbers and text alone: pass those."
        )
    return value
