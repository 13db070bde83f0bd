"""The loss and gradient of all rows, of which each of several processes computes its shards."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import bounds, own_shards, tree_sum


class SharedSums:
    """Sums over the rows of all processes, added in one fixed tree.

    Parameters
    ----------
    data : Dataset, OwnRows or Windows
    on_batch : callable (theta, buffers, batch) -> (loss and gradient, weight, buffers)
        Sums over a batch.
    size : int
        Most rows of a batch.
    ended : callable () -> bool
        Whether this process asks to stop.

    Attributes
    ----------
    told : bool
        Whether any has asked.
    """

    def __init__(
        self,
        comm: Communicator,
        data: Any,
        on_batch: Any,
        size: int,
        ended: Callable[[], bool],
    ) -> None:
        self.comm, self.data, self.on_batch, self.ended = comm, data, on_batch, ended
        self.size, self.told = size, False
        if hasattr(on_batch, "steps"):
            on_batch.steps.most_threads = 1
        ends, own = getattr(data, "here", None), own_shards(comm)
        if ends is None:
            ends = bounds(data.n, comm.shards)[own.start : own.stop + 1]
        self.parts = list(pairwise(ends))

    def __call__(self, theta: Array, buffers: Array) -> tuple[Array, Array]:
        """The sums of losses and gradients, and of weights."""
        backend, vectors = self.data.backend, []
        for first, stop in self.parts:
            vector = np.zeros(theta.shape[0] + 3, dtype=str(theta.dtype).rpartition(".")[2])
            for start in range(first, stop, self.size):
                batch = self.data.some(start, min(self.size, stop - start))
                sums, share, _ = self.on_batch(theta, buffers, batch)
                vector[1] += float(share)
                vector[2:] += backend.to_numpy(sums)
            vectors.append(vector)
        vectors[0][0] = self.ended()
        total = tree_sum(self.comm, vectors)
        self.told = self.told or bool(total[0] > 0)
        return backend.asarray(total[2:]), backend.asarray(total[1:2])[0]
