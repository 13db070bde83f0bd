"""Processes with a GPU each, which exchange CuPy arrays by NCCL; whatever else goes by another way.

The processes meet by a communicator of the host's, such as `mpi()`: it carries what NCCL needs to
begin, the words that are decided by, and news of a failure.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xpnn.arrays.nccl import Nccl, device_count, unique_id
from xpnn.distributed.communicator import Communicator


class NcclCommunicator(Communicator):
    """A process with a GPU of its own; see `nccl`.

    Attributes
    ----------
    device : str
        Of this process's GPU, for ``device=``.
    """

    def __init__(self, meet: Communicator, number: int) -> None:
        about: dict[str, Any] = {"shards": meet.shards, "deterministic": meet.deterministic}
        super().__init__(meet.rank, meet.size, rows=meet.rows, **about)
        self._meet, self.device = meet, f"cupy:{number}"
        uid = meet.broadcast(unique_id() if meet.rank == 0 else None)
        self.pairs = meet.pairs
        self._nccl = Nccl(meet.size, uid, meet.rank, number)

    def takes(self, a: Any) -> bool:
        """Arrays of the host, and those on this process's GPU."""
        return self._nccl.takes(a) or self._meet.takes(a)

    def exchange(self, parts: Sequence[Any], counts: Sequence[int]) -> list[Any]:
        """One group of sends and receives."""
        if self._nccl.takes(parts[0]):
            return self._nccl.exchange(parts, counts, self._meet.look)
        return self._meet.exchange(parts, counts)

    def allgather(self, flat: Any, counts: Sequence[int]) -> list[Any]:
        """The same; of the host's arrays, as the host does it."""
        if self._nccl.takes(flat):
            return self.exchange([flat] * self.size, counts)
        return self._meet.allgather(flat, counts)

    def sum(self, flat: Any) -> Any:
        """One Allreduce, in NCCL's own order."""
        if self._nccl.takes(flat):
            return self._nccl.all_reduce(flat, self._meet.look)
        return self._meet.sum(flat)

    def look(self) -> None:
        """Whether another process has failed."""
        self._meet.look()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work that all do or none, as those that meet do it."""
        with self._meet.together():
            yield


def nccl(meet: Communicator, device: int | None = None) -> NcclCommunicator:
    """Processes with a GPU each: sums of CuPy arrays go from GPU to GPU.

    Parameters
    ----------
    meet : Communicator
        How they meet, such as `mpi()`; rows, shards and deterministic are its.
    device : int, default=None
        The number of this process's GPU. None gives the processes of a machine one after the
        other.

    Returns
    -------
    NcclCommunicator
        Its `device` is to be passed on: ``MLPClassifier(device=comm.device)``.

    Raises
    ------
    ImportError
        Without CuPy or NCCL, with the command that installs it.
    ValueError
        For more processes on a machine than it has GPUs.
    """
    with meet.together():
        hosts = meet.gather(socket.gethostname())
        here = [r for r, host in enumerate(hosts) if host == hosts[meet.rank]]
        number, count = here.index(meet.rank) if device is None else int(device), device_count()
        if not 0 <= number < count:
            raise ValueError(
                f"process {meet.rank} is to take the GPU {number}, and there are {count}: NCCL "
                f"needs a GPU for each of the {len(here)} processes on this machine. Start fewer, "
                "or pass mpi() itself, which adds on the host."
            )
        return NcclCommunicator(meet, number)
