"""Rows of which each process has its own: what `Dataset` is to rows that all have."""

from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.random import SHUFFLE, host_generator
from xpnn.arrays.typing import DType
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import bounds
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
    comm : Communicator
    checked : bool, default=False
    lengths : sequence of int, default=None
        Of this process's shards; None cuts evenly.

    Attributes
    ----------
    n : int
        Rows of all processes.
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
    ) -> None:
        super().__init__(x, y, weight, backend, dtype, stream=False, checked=checked)
        cuts = bounds(comm.shards, comm.size)
        self.first = cuts[comm.rank]
        own = even(self.n, comm) if lengths is None else [int(n) for n in lengths]
        self.here = [0, *np.cumsum(own).tolist()]
        self.shares = Shares([n for part in comm.gather(own) for n in part])
        self.n = self.shares.n

    def portions(self, draw: Draw, size: int, *, whole: bool) -> Generator[Portion]:
        """An epoch: the orders of this process's shards, one behind the other."""
        order = None
        if draw.shuffle:
            parts = []
            for i, (a, b) in enumerate(zip(self.here, self.here[1:], strict=False)):
                random = host_generator(draw.seed, SHUFFLE, draw.epoch, 1 + self.first + i)
                parts.append(a + random.permutation(b - a))
            order = np.concatenate(parts)
        order = placed(order, self.backend) if self.resident else order
        yield Portion(Batch(*self.arrays), order, 0, -(-self.n // size))


def even(n: int, comm: Communicator) -> list[int]:
    """How many of n rows here each of this process's shards has."""
    cuts = bounds(comm.shards, comm.size)
    at = bounds(n, cuts[comm.rank + 1] - cuts[comm.rank])
    return [b - a for a, b in pairwise(at)]
