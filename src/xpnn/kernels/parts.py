"""Large loops cut into parts for the processor's cores.

Not numba's own threads: they abort the process when two Python threads train at once, or after a
fork, and they spin while BLAS wants their core. These sleep, and belong to one call of fit.
"""

import os
import threading
import weakref
from collections.abc import Callable
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

_MOST = 8
_WORTH_A_PART = 40_000.0  # nanoseconds of work that outweigh waking a thread


def cores() -> int:
    """How many cores this process may use; OMP_NUM_THREADS lowers it."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(count, _MOST, int(limit) if limit.isdecimal() and int(limit) else count))


def _work(jobs: "SimpleQueue[Any]", done: "SimpleQueue[Any]") -> None:
    while (job := jobs.get()) is not None:
        function, args = job
        try:
            function(*args)
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)
        del job, function, args


class Parts:
    """Threads that run parts of a loop; compiled loops give up the GIL."""

    def __init__(self) -> None:
        self.count = cores()
        self._queues: list[SimpleQueue[Any]] = []
        self._done: SimpleQueue[Any] = SimpleQueue()

    def cut(self, n: int, nanoseconds: float) -> list[tuple[int, int]]:
        """Ranges of `n` items that take so long altogether; a single one if it is short."""
        k = int(min(self.count, nanoseconds / _WORTH_A_PART, n))
        if k <= 1:
            return [(0, n)]
        edges = [n * i // k for i in range(k + 1)]
        return list(pairwise(edges))

    def run(self, function: Callable[..., Any], calls: list[tuple[Any, ...]]) -> None:
        """Call `function` with each of the arguments, side by side."""
        while len(self._queues) < len(calls) - 1:
            queue: SimpleQueue[Any] = SimpleQueue()
            thread = threading.Thread(target=_work, args=(queue, self._done), daemon=True)
            thread.start()
            self._queues.append(queue)
            weakref.finalize(self, queue.put, None)
        others = calls[1:]
        for queue, args in zip(self._queues, others, strict=False):
            queue.put((function, args))
        try:
            function(*calls[0])
        finally:
            errors = [self._done.get() for _ in others]
        for error in errors:
            if error is not None:
                raise error
