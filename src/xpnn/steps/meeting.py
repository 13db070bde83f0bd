"""Where the shards of a batch meet, for what is computed over all of its rows."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from xpnn.arrays.typing import Array, Namespace
from xpnn.distributed.communicator import Communicator

Total = Callable[[list[Array]], Array]


class Meeting:
    """The shards of this process, a thread each, which wait for each other and for other processes.

    Parameters
    ----------
    count : int
        This process's shards.
    total : callable (list of arrays) -> array
        The sum over all shards of vectors, of which this process has `count`.
    """

    def __init__(self, comm: Communicator, count: int, total: Total) -> None:
        self.comm, self.count, self.total = comm, count, total

    def run(self, work: Callable[[int], Any]) -> list[Any]:
        """The results of work(0), work(1), ..., at the same time."""
        self.slots: list[Any] = [None] * self.count
        self.barrier = threading.Barrier(self.count, action=self._add)
        found, errors = [None] * self.count, list[BaseException]()

        def take(i: int) -> None:
            try:
                found[i] = work(i)
            except threading.BrokenBarrierError:
                pass
            except BaseException as error:  # told where all of it is waited for
                errors.append(error)
                self.barrier.abort()

        contexts = [copy_context() for _ in range(self.count)]
        others = [
            threading.Thread(target=contexts[i].run, args=(take, i)) for i in range(1, self.count)
        ]
        for thread in others:
            thread.start()
        take(0)
        for thread in others:
            thread.join()
        if errors:
            raise errors[0]
        return found

    def _add(self) -> None:
        self.result = self.total(self.slots)

    def mean(self, i: int, a: Array, n: int, xp: Namespace) -> Array:
        """The mean over all n rows of the batch, given those of shard `i`; (..., 1, units)."""
        own = xp.sum(a, axis=-2, keepdims=True)
        self.slots[i] = xp.reshape(own, (-1,))
        self.barrier.wait()
        return xp.reshape(self.result, own.shape) / n
