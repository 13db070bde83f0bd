"""`Blocks` in several processes: each reads the rows of its shards, and what is known of all."""

from itertools import pairwise
from typing import Any

import numpy as np

from xpnn.blocks import Blocks
from xpnn.blocks.hashing import chosen
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import bounds, own_shards
from xpnn.estimators._blocks import TrainingBlocks, check_finite
from xpnn.steps.cut import Shares
from xpnn.steps.rules import Batch
from xpnn.training.ownrows import even


class SharedBlocks(TrainingBlocks):
    """The blocks of this process's shards; what `OwnBlocks` reads.

    The rows of all processes are cut into shards, and a shard's into blocks where those of all
    rows are cut. So they are the same whether each process has all rows or rows of its own.

    Parameters
    ----------
    est : BaseMLP
    blocks : Blocks
        Of all rows, or of this process's, as ``comm.rows`` says.
    factors : ndarray of shape (n_classes,), default=None
    """

    def __init__(
        self, est: Any, blocks: Blocks, comm: Communicator, factors: np.ndarray | None = None
    ) -> None:
        super().__init__(est, blocks, factors)
        self.comm = comm
        self.first, ends = ends_of_shards(blocks.n_rows, comm)
        self.own = own_shards(comm)
        pieces = [
            (shard, start, stop)
            for shard, (low, high) in zip(self.own, pairwise(ends), strict=True)
            for start, stop in _on_grid(low, high, blocks.block_rows)
        ]
        self.bounds = [(a - self.first, b - self.first) for _, a, b in pieces]
        self.shard = np.asarray([s for s, *_ in pieces], dtype=np.int64)
        self.sizes = np.asarray([b - a for _, a, b in pieces], dtype=np.int64)
        self.unpacked: dict[int, tuple[int, Batch]] = {}  # of each shard the last block

    @property
    def lengths(self) -> list[int]:
        """Rows to learn from of each of this process's shards."""
        return self.by_shard(self.sizes)

    def by_shard(self, counts: np.ndarray) -> list[int]:
        """The sums over the blocks of each shard."""
        return [int(counts[self.shard == s].sum()) for s in self.own]

    @property
    def shares(self) -> Shares:
        """Of all processes; each calls it at the same time."""
        lengths = [n for part in self.comm.gather(self.lengths) for n in part]
        return Shares(lengths, self.blocks.block_rows * self.blocks.window)

    def of_each(self, value: Any) -> list[Any]:
        """The value of each process."""
        return self.comm.gather_objects(value)

    def fill_some(self, number: int, start: int, stop: int, into: Batch) -> None:
        """Write some rows of a block into arrays of the network's dtype.

        What has to be unpacked is unpacked once an epoch: a shard's last block stays.

        Raises
        ------
        ValueError
            For NaN or infinity; it says in which rows.
        """
        if start == 0 and stop == self.sizes[number]:
            self.fill(number, into)
            return
        if not self.blocks.direct:
            whole = self._unpacked(number, into)
            found = Batch(*(None if a is None else a[start:stop] for a in whole))
            self.write(found, into)
            return
        first, last = self.bounds[number]
        keep: Any = slice(None)
        if self.held is None:
            first, last = first + start, first + stop
        else:
            mask = ~chosen(self.first + first, self.first + last, *self.held)
            a, b = np.flatnonzero(mask)[[start, stop - 1]].tolist()
            first, last, keep = first + a, first + b + 1, mask[a : b + 1]
        rows = (None if a is None else a[keep] for a in self.read_rows(first, last))
        self.write(Batch(*rows), into)
        check_finite(into.x, (first, last))

    def _unpacked(self, number: int, like: Batch) -> Batch:
        shard = int(self.shard[number])
        if self.unpacked.get(shard, (-1,))[0] != number:
            n = int(self.sizes[number])
            kinds = (None if a is None else np.empty((n, *a.shape[1:]), a.dtype) for a in like)
            whole = Batch(*kinds)
            self.fill(number, whole)
            self.unpacked[shard] = number, whole
        return self.unpacked[shard][1]

    def fingerprint(self) -> dict[str, Any]:
        """With the number of shards, which the order follows from."""
        return super().fingerprint() | {"shards": self.comm.shards}


def ends_of_shards(n: int, comm: Communicator) -> tuple[int, list[int]]:
    """The first row of this process among those of all, and where its shards end among them.

    Examples
    --------
    >>> from xpnn.distributed import one
    >>> ends_of_shards(10, one(shards=4))
    (0, [0, 3, 6, 8, 10])
    """
    if comm.rows == "all":
        own = own_shards(comm)
        return 0, bounds(n, comm.shards)[own.start : own.stop + 1]
    first = sum(comm.gather(n)[: comm.rank])
    return first, np.cumsum([first, *even(n, comm)]).tolist()


def _on_grid(low: int, high: int, length: int) -> list[tuple[int, int]]:
    """A stretch of rows, cut at the multiples of a length.

    Examples
    --------
    >>> _on_grid(3, 9, 4)
    [(3, 4), (4, 8), (8, 9)]
    """
    inner = range(low + length - low % length, high, length)
    return list(pairwise([low, *inner, high])) if low < high else []
