"""Batches of the perceptron rule that several processes score together, each its shards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.arrays.backend import backend_of
from xpnn.arrays.typing import Array, Namespace
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import bounds, tree_sum


class SharedBatches:
    """Sums over a batch's rows, of which each process has its shards; one message a batch.

    Parameters
    ----------
    comm : Communicator
    stop : callable () -> bool
        Whether this process asks to stop.
    """

    def __init__(self, comm: Communicator, stop: Callable[[], bool]) -> None:
        self.comm, self.stop, self._told = comm, stop, False
        cuts = bounds(comm.shards, comm.size)
        self.own = range(cuts[comm.rank], cuts[comm.rank + 1])

    def told(self) -> bool:
        """Whether any process has asked to stop."""
        return self._told

    def of_rows(
        self,
        of_rows: Callable[..., tuple[Array, ...]],
        data: Any,
        visit: Array,
        rule: Any,
        w: Array,
        b: Array,
        xp: Namespace,
    ) -> list[Array]:
        """What ``of_rows`` gives of a whole batch."""
        backend, (k, d) = backend_of(w), w.shape
        shapes = [(k, d), (k,), (k,), (k,), (k,), (d,)]
        at = bounds(int(visit.shape[0]), self.comm.shards)
        vectors = []
        for s in self.own:
            vector = np.zeros(1 + sum(int(np.prod(shape)) for shape in shapes), dtype=dtype_of(w))
            if at[s + 1] > at[s]:
                parts = of_rows(data, visit[at[s] : at[s + 1]], rule, w, b, xp)
                flat = xp.concat([xp.reshape(part, (-1,)) for part in parts])
                vector[1:] = backend.to_numpy(flat)
            vectors.append(vector)
        vectors[0][0] = self.stop()
        total = tree_sum(self.comm, vectors)
        self._told = self._told or bool(total[0] > 0)
        ends = np.cumsum([1, *(int(np.prod(shape)) for shape in shapes)])
        pieces = np.split(total, ends[:-1])[1:]
        return [backend.asarray(p.reshape(s)) for p, s in zip(pieces, shapes, strict=True)]


def dtype_of(a: Array) -> str:
    """The name of a dtype that NumPy has too."""
    return str(a.dtype).rpartition(".")[2]
