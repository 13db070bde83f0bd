"""Processes that are threads of this one: to try what several would do, without any MPI."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from xpnn.distributed.communicator import Communicator, RemoteError, told


class _Room:
    """What the threads share."""

    def __init__(self, size: int) -> None:
        self.slots: list[Any] = [None] * size
        self.barrier = threading.Barrier(size)
        self.failed: tuple[int, str] | None = None


class ThreadCommunicator(Communicator):
    """One of some threads; see `in_threads`."""

    pairs = True

    def __init__(self, room: _Room, rank: int, size: int, **about: Any) -> None:
        super().__init__(rank, size, **about)
        self._room = room

    def exchange(self, parts: Sequence[Any], counts: Sequence[int]) -> list[Any]:
        """By way of slots that all can read."""
        room = self._room
        room.slots[self.rank] = parts
        self._wait()
        found = [sent[self.rank] + 0 for sent in room.slots]
        self._wait()  # before the slots are used again
        return found

    def _wait(self) -> None:
        try:
            self._room.barrier.wait()
        except threading.BrokenBarrierError:
            raise RemoteError(*(self._room.failed or (-1, "it ended"))) from None

    def look(self) -> None:
        """Whether another thread has failed."""
        if self._room.failed is not None:
            raise RemoteError(*self._room.failed)

    def fail(self, error: BaseException) -> None:
        """Break the barrier that the others wait at."""
        if self._room.failed is None:
            self._room.failed = self.rank, told(error)
        self._room.barrier.abort()


def in_threads(work: Callable[[Communicator], Any], size: int, **about: Any) -> list[Any]:
    """Call ``work(comm)`` in `size` threads, as so many processes would.

    Parameters
    ----------
    work : callable (Communicator) -> object
    size : int
    **about
        Of `Communicator`: rows, shards, deterministic.

    Returns
    -------
    list
        What each returned, by rank.

    Raises
    ------
    Exception
        The first failing rank's own.

    Examples
    --------
    >>> import numpy as np
    >>> in_threads(lambda comm: int(comm.sum(np.array([comm.rank]))[0]), 3)
    [3, 3, 3]
    """
    room, found = _Room(size), [None] * size
    errors: dict[int, BaseException] = {}
    homes = [ThreadCommunicator(room, rank, size, **about) for rank in range(size)]

    def run(rank: int) -> None:
        try:
            with homes[rank].together():
                found[rank] = work(homes[rank])
        except BaseException as error:
            errors[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = [e for _, e in sorted(errors.items()) if not isinstance(e, RemoteError)]
    for error in (*own, *errors.values()):
        raise error
    return found
