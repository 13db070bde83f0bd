"""Dask collections as rows that lie on workers, and which worker trains on which of them.

A part is a partition of X with its rows of y and of the weights, one future. The rows of all parts,
one part behind the other, are cut into as many shards as a batch has; each rank trains on some
shards in a row, so that the network depends on the order of the rows alone, and not on how they
are cut into partitions or on which workers these lie.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import CancelledError
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from xpnn.distributed.communicator import SHARDS
from xpnn.distributed.tree import bounds
from xpnn.distributed.workers import distributed

_CURE = (
    "cut it into partitions, as by dask.array.from_array(X, chunks=(10_000, -1)), or take "
    "xpnn.{0}, which needs no cluster"
)


def is_dask(value: Any) -> bool:
    """Whether something is Dask's: an array, a frame, a list of delayed objects or futures."""
    if "dask" not in sys.modules:
        return False
    if isinstance(value, list | tuple):
        return bool(value) and all(_is_part(v) for v in value)
    return bool(sys.modules["dask"].is_dask_collection(value))


def _is_part(value: Any) -> bool:
    """Whether something is a partition: a future or a delayed object."""
    module = sys.modules.get("distributed")
    if module is not None and isinstance(value, module.Future):
        return True
    return type(value).__module__.startswith("dask.delayed")


class Given(NamedTuple):
    """What `fit` was given: for each partition its X, y and weights."""

    x: list[Any]
    y: list[Any]
    weight: list[Any]
    lie: bool  # whether something of it lies on workers already

    @classmethod
    def of(cls, name: str, X: Any, y: Any, weight: Any = None) -> "Given":
        """Check that all are Dask's and go together."""
        given = {"X": X, "y": y, "sample_weight": weight}
        for key, value in given.items():
            if not is_dask(value) and not (key == "sample_weight" and value is None):
                raise TypeError(
                    f"{key} is {_kind(value)}, and xpnn.dask.{name} takes Dask's arrays and "
                    f"frames, and lists of futures: {_CURE.format(name)}."
                )
        rows = getattr(X, "chunks", None)
        parts = {k: None if v is None else partitions(v, rows) for k, v in given.items()}
        n = len(parts["X"] or ())
        for key, found in parts.items():
            if found is not None and len(found) != n:
                raise ValueError(
                    f"{key} has {len(found)} partitions, and X has {n}: cut both alike, as by "
                    "repartition, or rechunk."
                )
        futures_of = distributed().futures_of
        lie = any(futures_of(v) for v in given.values() if v is not None)
        none = [None] * n
        return cls(parts["X"] or none, parts["y"] or none, parts["sample_weight"] or none, lie)


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__module__}.{type(value).__qualname__}"


def partitions(value: Any, rows: Any = None) -> list[Any]:
    """The partitions of one of Dask's, as delayed objects or futures.

    Parameters
    ----------
    value : Dask array or frame, list of delayed objects or futures, or one of them
    rows : tuple of tuples, default=None
        Chunks, the first of which an array's rows are cut by.
    """
    if isinstance(value, list | tuple):
        return list(value)
    if _is_part(value):
        return [value]
    if hasattr(value, "chunks"):
        known = rows is not None and not np.isnan([*rows[0], *value.chunks[0]]).any()
        if known and sum(rows[0]) == sum(value.chunks[0]):
            value = value.rechunk({0: rows[0]})
        if value.ndim > 1:
            value = value.rechunk({1: -1})
        return list(value.to_delayed().ravel())
    return list(value.to_delayed())


class Part(NamedTuple):
    """Rows of one partition, where they lie."""

    x: Any
    y: Any
    weight: Any


class Rows:
    """All parts of a training or a validation set, on workers.

    Parameters
    ----------
    client : distributed.Client
    workers : sequence of str
        Where those that are computed only now may lie.
    name : str
        What they are called in an error.
    """

    def __init__(self, client: Any, given: Given, workers: Sequence[str], name: str = "X") -> None:
        self.client, self.name = client, name
        self.futures = _computed(client, given, workers)
        self.lengths: list[int] = []
        self.places: list[str] = []
        self.locate()

    def locate(self) -> None:
        """Wait for all parts, and learn where they lie."""
        try:
            facts = self.client.gather(self.client.map(_facts, self.futures, pure=False))
        except CancelledError as error:
            raise RuntimeError(
                f"Dask has lost rows of {self.name}: they lay on a worker that is gone, and no "
                "task can compute them again. Pass them anew, or from a file or another source "
                "that can be read again."
            ) from error
        for i, (rows, _) in enumerate(facts):
            if len(set(rows)) > 1:
                raise ValueError(
                    f"Partition {i} of {self.name} has {rows[0]} rows, and that of y or "
                    f"sample_weight has {', '.join(map(str, rows[1:]))}: cut all alike."
                )
        self.lengths = [rows[0] for rows, _ in facts]
        self.places = [worker for _, worker in facts]

    @property
    def n(self) -> int:
        """How many rows there are."""
        return sum(self.lengths)

    def holders(self) -> list[str]:
        """Workers on which rows lie."""
        return sorted({w for w, n in zip(self.places, self.lengths, strict=True) if n})

    def check(self, shards: int) -> None:
        """Raise a ValueError where there is not a row for each shard."""
        if self.n < shards:
            raise ValueError(
                f"{self.name} has {self.n} rows, and {shards} or more are needed to share them "
                "among workers: take the ordinary estimator of xpnn."
            )

    def order(self, workers: Sequence[str], shards: int) -> list[str]:
        """The workers in the order of ranks for which the fewest rows have to be moved."""
        ends = rank_ends(self.n, len(workers), shards)
        known = {w: i for i, w in enumerate(workers)}
        there = np.zeros((len(workers), len(workers)))
        for (a, b), worker in zip(self._spans(), self.places, strict=True):
            if worker in known:
                for rank, (low, high) in enumerate(pairwise(ends)):
                    there[rank, known[worker]] += max(0, min(b, high) - max(a, low))
        return [workers[i] for i in linear_sum_assignment(there, maximize=True)[1]]

    def of_ranks(self, size: int, shards: int) -> list[list[Any]]:
        """For each rank the futures of its rows; of a part that is cut, of the piece alone."""
        found = []
        for low, high in pairwise(rank_ends(self.n, size, shards)):
            own = []
            for (a, b), future in zip(self._spans(), self.futures, strict=True):
                first, stop = max(a, low) - a, min(b, high) - a
                if first == 0 and stop == b - a > 0:
                    own.append(future)
                elif first < stop:
                    own.append(self.client.submit(_cut, future, first, stop, pure=False))
            found.append(own)
        return found

    def _spans(self) -> list[tuple[int, int]]:
        return list(pairwise(accumulate(self.lengths, initial=0)))


def shards_for(size: int) -> int:
    """How many shards a batch has: the same for up to eight workers, else a power of two.

    Examples
    --------
    >>> shards_for(3), shards_for(9)
    (8, 16)
    """
    return max(SHARDS, 1 << (size - 1).bit_length())


def rank_ends(n: int, size: int, shards: int) -> list[int]:
    """Where n rows are cut so that each rank has whole shards.

    Examples
    --------
    >>> rank_ends(80, 3, 8)
    [0, 30, 60, 80]
    """
    ends = bounds(n, shards)
    return [ends[i] for i in bounds(shards, size)]


def _computed(client: Any, given: Given, workers: Sequence[str]) -> list[Any]:
    """Futures of parts: what lies somewhere stays there, the rest is shared by neighbourhood."""
    from dask import delayed

    pack = delayed(Part, pure=False)
    parts = [pack(*p) for p in zip(given.x, given.y, given.weight, strict=True)]
    if given.lie:
        return list(client.compute(parts))
    found: list[Any] = []
    for worker, (a, b) in zip(workers, pairwise(bounds(len(parts), len(workers))), strict=True):
        if a < b:  # a hint: should the worker die, others compute them
            found += client.compute(parts[a:b], workers=[worker], allow_other_workers=True)
    return found


# -- in a worker ----------------------------------------------------------------------------------


def _facts(part: Part) -> tuple[tuple[int, ...], str]:
    rows = tuple(count_rows(a) for a in part if a is not None)
    return rows, distributed().get_worker().address


def count_rows(a: Any) -> int:
    """The rows of an array, a frame or a sparse matrix."""
    return int(a.shape[0]) if hasattr(a, "shape") else len(a)


def _cut(part: Part, first: int, stop: int) -> Part:
    def rows(a: Any) -> Any:
        if a is None:
            return None
        return a.iloc[first:stop] if hasattr(a, "iloc") else a[first:stop]

    return Part(*map(rows, part))


def joined(parts: Sequence[Part]) -> Part:
    """The rows of some parts, one part behind the other."""
    return Part(*(_join([getattr(p, name) for p in parts]) for name in Part._fields))


def _join(pieces: list[Any]) -> Any:
    first = pieces[0]
    if len(pieces) == 1 or first is None:
        return first
    if hasattr(first, "iloc"):
        import pandas

        return pandas.concat(pieces)
    if hasattr(first, "tocsr"):
        from scipy.sparse import vstack

        return vstack(pieces, format="csr")
    from array_api_compat import array_namespace, is_array_api_obj

    if is_array_api_obj(first):
        return array_namespace(first).concat(pieces)
    return np.concatenate([np.asarray(p) for p in pieces])
