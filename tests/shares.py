"""The rows of a process, where each has its own."""

from typing import Any

from xpnn.distributed.tree import bounds


def own(comm: Any, a: Any) -> Any:
    """What a process passes: the rows of its shards, or all of them where all have all."""
    if isinstance(a, dict):
        return {name: own(comm, column) for name, column in a.items()}
    if comm is None or comm.rows == "all" or a is None:
        return a
    ends, cuts = bounds(a.shape[0], comm.shards), bounds(comm.shards, comm.size)
    return a[ends[cuts[comm.rank]] : ends[cuts[comm.rank + 1]]]
