"""Batches of the perceptron rule that several processes score together, each its shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from xpnn.arrays.backend import backend_of
from xpnn.arrays.typing import Array
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import tree_sum
from xpnn.steps.cut import Cut, Cutter, Shares
from xpnn.steps.rules import Batch, Rows

_NO_ROWS = Batch(None, None, None)


class SharedBatches:
    """Sums over a batch's rows, of which each process has its shards; one message a batch.

    Parameters
    ----------
    stop : callable () -> bool
        Whether this process asks to stop.
    shares : Shares, default=None
        Of rows of which each process has its own. None: all have all.
    steps : tuple of int, default=None
        The batches of the epoch: the first, and where they end. None is all of the order.
    """

    def __init__(
        self,
        comm: Communicator,
        stop: Callable[[], bool],
        shares: Shares | None = None,
        steps: tuple[int, int] | None = None,
    ) -> None:
        self.comm, self.stop, self._told, self.steps = comm, stop, False, steps
        self.cutter = Cutter(comm, shares)

    def told(self) -> bool:
        """Whether any process has asked to stop."""
        return self._told

    def cut(self, order: Array, size: int) -> Iterator[tuple[int, list[Array]]]:
        """The rows of each batch in all processes, and which are those of each shard here."""
        for step in self._steps(order, size):
            cut = self._batch(order, size, step)
            if cut.n:  # few rows, in many shards, leave batches without any
                yield cut.n, [order[p.start : p.start + p.size] for p in cut.pieces]

    def spans(self, order: Array, size: int) -> list[Array]:
        """Of each shard here the rows of all these batches."""
        steps = self._steps(order, size)
        low, high = (self._batch(order, size, step).pieces for step in (steps[0], steps[-1]))
        return [order[a.start : b.start + b.size] for a, b in zip(low, high, strict=True)]

    def _steps(self, order: Array, size: int) -> range:
        return range(*(self.steps or (0, -(-int(order.shape[0]) // size))))

    def _batch(self, order: Array, size: int, step: int) -> Cut:
        return self.cutter.cut(Rows(_NO_ROWS, order, step * size, size))

    def total(self, parts: Sequence[tuple[Array, ...]], like: Array) -> list[Array]:
        """What a batch adds up to, of what each shard here does."""
        backend, vectors = backend_of(like), []
        for part in parts:
            flat = backend.to_numpy(backend.xp.concat([backend.xp.reshape(a, (-1,)) for a in part]))
            vectors.append(np.concatenate([np.zeros(1, dtype=flat.dtype), flat]))
        vectors[0][0] = self.stop()
        total = tree_sum(self.comm, vectors)
        self._told = self._told or bool(total[0] > 0)
        shapes = [tuple(a.shape) for a in parts[0]]
        ends = np.cumsum([1, *(int(np.prod(shape)) for shape in shapes)])
        pieces: list[Any] = np.split(total, ends[:-1])[1:]
        return [backend.asarray(p.reshape(s)) for p, s in zip(pieces, shapes, strict=True)]
