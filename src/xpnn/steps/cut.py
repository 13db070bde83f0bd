"""Which rows of a batch a process computes, and what lies where in the vector that it sends.

A shard's vector is all that one message carries: whether somebody asks to stop, the rows, each
member's sums of losses and of weights, and the sum of gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import bounds, own_shards
from xpnn.parts.losses import SUMS
from xpnn.steps.rules import Rows


class Piece(NamedTuple):
    """The rows of one shard of a batch."""

    first_row: int  # in the batch
    start: int  # in the order
    size: int


class Shares(NamedTuple):
    """Rows of which each process has those of its shards; a batch takes its part of every shard."""

    lengths: Sequence[int]  # rows of each shard of all processes
    window: int | None = None  # rows of all processes in memory at a time; None is all of them

    @property
    def n(self) -> int:
        """Rows of an epoch."""
        return int(sum(self.lengths))

    def steps(self, size: int) -> int:
        """Batches of an epoch."""
        return -(-self.n // size)

    def at_a_time(self, size: int) -> int:
        """Batches whose rows are in memory together."""
        return self.steps(size) if self.window is None else max(1, self.window // size)

    def before(self, step: int, size: int) -> np.ndarray:
        """How many rows of each shard the batches before one take.

        Examples
        --------
        >>> Shares([10, 5]).before(1, 5).tolist()
        [3, 1]
        """
        steps = self.steps(size)
        return np.asarray(self.lengths, dtype=np.int64) * min(step, steps) // steps


class Cut(NamedTuple):
    """A batch, and this process's shards of it."""

    n: int
    pieces: list[Piece]


class Cutter:
    """Says which rows of a batch each of this process's shards has.

    Parameters
    ----------
    shares : Shares, default=None
        Where each process has the rows of its shards. None: all rows are here, and a batch is
        cut evenly.

    Examples
    --------
    >>> from xpnn.distributed import one
    >>> from xpnn.steps.rules import Batch
    >>> rows = Rows(Batch(np.ones((10, 1)), np.ones(10), None), None, 0, 6)
    >>> [p.size for p in Cutter(one(shards=4)).cut(rows).pieces]
    [2, 2, 1, 1]
    """

    def __init__(self, comm: Communicator, shares: Shares | None = None) -> None:
        self.own = own_shards(comm)
        self.shards, self.shares = comm.shards, shares

    def cut(self, rows: Rows) -> Cut:
        """The first batch of some rows."""
        if self.shares is not None:
            return self._of_each(rows, self.shares)
        n = min(rows.size, rows.of_epoch - rows.start)
        at = bounds(n, self.shards)
        pieces = [Piece(at[s], rows.start + at[s], at[s + 1] - at[s]) for s in self.own]
        return Cut(n, pieces)

    def _of_each(self, rows: Rows, shares: Shares) -> Cut:
        """Its part of every shard; the order is that of a window's rows, shard behind shard."""
        step, size = rows.start // rows.size, rows.size
        window = shares.at_a_time(size)
        first = step - step % window
        begin, low, high, end = (
            shares.before(k, size) for k in (first, step, step + 1, first + window)
        )
        in_batch = np.concatenate([[0], np.cumsum(high - low)])
        here = np.cumsum([0, *(end - begin)[self.own.start : self.own.stop]])
        pieces = [
            Piece(int(in_batch[s]), int(here[i] + low[s] - begin[s]), int(high[s] - low[s]))
            for i, s in enumerate(self.own)
        ]
        return Cut(int(in_batch[-1]), pieces)


@dataclass(frozen=True)
class Summed:
    """A loss and its gradient, summed over the rows by their weights and not averaged."""

    loss: Any

    def __call__(self, output: Array, y: Array, weight: Array | None, xp: Namespace) -> Any:
        """As a loss."""
        value, gradient = self.loss(output, y, weight, xp)
        if self.loss.name in SUMS:
            return value, gradient
        if weight is None:
            return value * output.shape[-2], gradient * output.shape[-2]
        share = xp.sum(weight, axis=-1)
        if share.ndim:  # each member's own
            return value, gradient * share[:, None, None]
        return value * share, gradient * share


class Shapes(NamedTuple):
    """What lies where in a shard's vector."""

    members: int
    parameters: int  # of one member

    @property
    def head(self) -> int:
        """Numbers before the gradient."""
        return 2 + 2 * self.members

    @property
    def size(self) -> int:
        """All of them."""
        return self.head + self.members * self.parameters
