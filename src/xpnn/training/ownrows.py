"""Rows of which each process has its own: what `Dataset` is to rows that all have."""

from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.random import SHUFFLE, host_generator
from xpnn.arrays.typing import DType
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import bounds, own_shards
from xpnn.steps.cut import Shares
from xpnn.steps.rules import Batch
from xpnn.training.data import Dataset, placed
from xpnn.training.portions import Draw, Portion


class OwnRows(Dataset):
    """The rows of this process, cut into its shards; a batch takes its part of every shard.

    The shards' rows are shuffled apart, by (seed, epoch, shard). So the bits are those of any
    other number of processes whose rows, one behind the other, give the same shards: of n rows
    and 8 shards, those of ``numpy.array_split(rows, 8)``, handed out as `bounds(8, size)` says.

    Parameters
    ----------
    x, y, weight, backend, dtype
        See `Dataset`; resident, or a SciPy CSR matrix on NumPy.
    lengths : sequence of int, default=None
        Of this process's shards; None cuts evenly.
    rows : sequence of ndarray of int, shape (k, members), default=None
        Of each of this process's shards the rows that each member of a network learns from; None
        is all of them, for each.

    Attributes
    ----------
    n : int
        Rows of an epoch, of each member, in all processes.
    shares : Shares
        Of each shard of all processes.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        weight: Any,
        backend: Backend,
        dtype: DType,
        comm: Communicator,
        *,
        checked: bool = False,
        lengths: Sequence[int] | None = None,
        rows: Sequence[np.ndarray] | None = None,
    ) -> None:
        super().__init__(x, y, weight, backend, dtype, stream=False, checked=checked)
        self.first, self.shards = own_shards(comm).start, comm.shards
        own = even(self.n, comm) if lengths is None else [int(n) for n in lengths]
        self.of_shards = rows
        if rows is not None:
            own = [len(part) for part in rows]
        self.here = [0, *np.cumsum(own).tolist()]
        self.shares = Shares([n for part in comm.gather(own) for n in part])
        self.n = self.shares.n

    def portions(self, draw: Draw, size: int, *, whole: bool) -> Generator[Portion]:
        """An epoch: the orders of this process's shards, one behind the other."""
        order = None
        if draw.shuffle or self.of_shards is not None:
            order = np.concatenate([self._order(draw, i) for i in range(len(self.here) - 1)])
        order = placed(order, self.backend) if self.resident else order
        yield Portion(Batch(*self.arrays), order, 0, -(-self.n // size))

    def _order(self, draw: Draw, i: int) -> np.ndarray:
        """An epoch's order of the rows of a shard of this process; of members each one's own."""

        def places(member: int) -> np.ndarray:
            which = 1 + self.first + i + self.shards * member
            random = host_generator(draw.seed, SHUFFLE, draw.epoch, which)
            return random.permutation(self.here[i + 1] - self.here[i])

        if self.of_shards is None:
            order: np.ndarray = self.here[i] + places(0)
            return order
        rows = self.of_shards[i]
        if not draw.shuffle:
            return rows
        return np.stack([rows[places(m), m] for m in range(rows.shape[1])], axis=1)


def even(n: int, comm: Communicator) -> list[int]:
    """How many of n rows here each of this process's shards has."""
    return [b - a for a, b in pairwise(bounds(n, len(own_shards(comm))))]
