"""Processes that MPI has started, by mpi4py.

Every wait is a loop that also looks for word of a failure: the ranks that wait for one that has
failed end with its error.
"""

import atexit
import sys
import time
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn.distributed.communicator import Communicator, RemoteError, told

_FAILED = 7001  # the tag of a failure's message
_LOOKS = 64  # at the request between two looks for a failure
_ANY_TURN = -1  # of a failure outside of all fits
_GRACE = 1.0  # seconds in which the others can tell of it before MPI ends them


class MpiCommunicator(Communicator):
    """A rank of an MPI communicator; see `mpi`."""

    pairs = True

    def __init__(self, world: Any, **about: Any) -> None:
        super().__init__(world.Get_rank(), world.Get_size(), **about)
        from mpi4py import MPI

        self._mpi, self._world = MPI, world.Dup()
        self._broken: RemoteError | None = None
        self._ends = False

    def exchange(self, parts: Sequence[Any], counts: Sequence[int]) -> list[np.ndarray]:
        """One Alltoallv."""
        send = np.concatenate(parts)
        into = np.empty(sum(counts), dtype=send.dtype)
        sizes = [len(p) for p in parts]
        self._wait(self._world.Ialltoallv([send, sizes], [into, list(counts)]))
        return self._cut(into, counts)

    def allgather(self, flat: Any, counts: Sequence[int]) -> list[np.ndarray]:
        """One Allgatherv."""
        send = np.ascontiguousarray(flat)
        into = np.empty(sum(counts), dtype=send.dtype)
        self._wait(self._world.Iallgatherv(send, [into, list(counts)]))
        return self._cut(into, counts)

    def sum(self, flat: Any) -> np.ndarray:
        """One Allreduce, in MPI's own order."""
        send = np.ascontiguousarray(flat)
        into = np.empty_like(send)
        self._wait(self._world.Iallreduce(send, into, op=self._mpi.SUM))
        return into

    @staticmethod
    def _cut(into: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
        return np.split(into, np.cumsum(counts)[:-1])

    def _wait(self, request: Any) -> None:
        if self._broken is not None:
            raise self._broken
        looks = 0
        while not request.Test():
            looks += 1
            if looks % _LOOKS == 0:
                self.look()
                time.sleep(0 if looks < 100 * _LOOKS else 0.0002)  # others may need the processor

    def look(self) -> None:
        """Whether another rank has failed in this turn."""
        status = self._mpi.Status()
        while self._world.Iprobe(self._mpi.ANY_SOURCE, _FAILED, status):
            turn, text = self._world.recv(source=status.Get_source(), tag=_FAILED).split(" ", 1)
            if int(turn) in (self.turn, _ANY_TURN):
                self._broken = RemoteError(status.Get_source(), text)
                self._end_all()
                raise self._broken

    def fail(self, error: BaseException) -> None:
        """Send word to all; MPI itself ends them when this process ends."""
        self._tell(self.turn, error)

    def _tell(self, turn: int, error: BaseException) -> None:
        text = f"{turn} {told(error)[:2000]}"
        for rank in range(self.size):
            if rank != self.rank:
                self._world.isend(text, rank, _FAILED)

    def _end_all(self) -> None:
        """An unfinished exchange cannot be taken back: MPI would wait for it at the end."""
        if not self._ends:
            self._ends = True
            atexit.register(self._abort)

    def _abort(self) -> None:
        time.sleep(_GRACE)
        self._world.Abort(1)


def mpi(world: Any = None, **about: Any) -> MpiCommunicator:
    """The processes that ``mpiexec`` has started.

    Parameters
    ----------
    world : mpi4py communicator, default=None
        None is all of them, ``MPI.COMM_WORLD``.
    **about
        Of `Communicator`: rows, shards, deterministic.

    Raises
    ------
    ImportError
        Without mpi4py, with the command that installs it.
    """
    if world is None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise ImportError(
                "mpi4py does not import here; install it and an MPI: pip install 'xpnn[mpi]' "
                f"mpich. ({error})"
            ) from error
        world = MPI.COMM_WORLD
    comm = MpiCommunicator(world, **about)
    if not _known:
        before = sys.excepthook

        def hook(kind: Any, error: BaseException, where: Any) -> None:
            before(kind, error, where)
            leave(error)

        sys.excepthook = hook
    _known.add(comm)
    return comm


_known: weakref.WeakSet[MpiCommunicator] = weakref.WeakSet()


def leave(error: BaseException) -> None:
    """Tell the others that this process ends, wherever they wait for it: in no fit of its own.

    What nobody catches, as an error of reading rows, does this by itself.

    Parameters
    ----------
    error : BaseException
        Why; nothing is told of another process's failure, which they know.
    """
    if not isinstance(error, RemoteError):
        for comm in _known:
            comm._tell(_ANY_TURN, error)
