"""More than one process: the same network on any number of them.

A communicator is passed to ``fit(X, y, comm=...)`` in every process. `mpi()` is one of those that
``mpiexec`` has started, `nccl(mpi())` one with a GPU of its own, `one()` a single process, which
computes the bits that several would.
"""

from typing import Any

from xpnn.distributed.communicator import Communicator, One, RemoteError
from xpnn.distributed.mpi import MpiCommunicator, mpi
from xpnn.distributed.nccl import NcclCommunicator, nccl
from xpnn.distributed.threads import in_threads
from xpnn.distributed.tree import tree_sum

__all__ = [
    "Communicator",
    "MpiCommunicator",
    "NcclCommunicator",
    "RemoteError",
    "in_threads",
    "mpi",
    "nccl",
    "one",
    "tree_sum",
]


def one(**about: Any) -> Communicator:
    """A single process that computes what any number of them would.

    Parameters
    ----------
    **about
        Of `Communicator`: rows, shards, deterministic.

    Examples
    --------
    >>> one().size
    1
    """
    return One(**about)
