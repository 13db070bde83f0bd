"""Sums of the vectors of shards, added in one fixed tree whatever process has which.

The shards 0, ..., n - 1 are the leaves; a node is the sum of its two halves. A process adds up
what lies within its own shards, and sends what is left: of a power of two of processes, one
vector each, which many processes add in pairs.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from array_api_compat import array_namespace

from xpnn.distributed.communicator import Communicator

Node = tuple[int, int]  # the shards first, ..., stop - 1
SMALL = 16384  # bytes of all nodes: below, one message takes less time than two shorter ones
MANY = 16  # processes: from here on a message to each costs more than waiting for pairs in turn


def bounds(n: int, parts: int) -> list[int]:
    """Where n things are cut into parts of nearly equal size, the larger ones first.

    Examples
    --------
    >>> bounds(10, 4)
    [0, 3, 6, 8, 10]
    """
    base, more = divmod(n, parts)
    return [i * base + min(i, more) for i in range(parts + 1)]


def own_shards(comm: Communicator) -> range:
    """The shards of this process.

    Examples
    --------
    >>> from xpnn.distributed import one
    >>> own_shards(one(shards=4))
    range(0, 4)
    """
    cuts = bounds(comm.shards, comm.size)
    return range(cuts[comm.rank], cuts[comm.rank + 1])


def nodes_within(first: int, stop: int, node: Node) -> list[Node]:
    """The largest nodes whose leaves are all among first, ..., stop - 1.

    Examples
    --------
    >>> nodes_within(0, 3, (0, 8))
    [(0, 2), (2, 3)]
    """
    low, high = node
    if first <= low and high <= stop:
        return [node]
    if stop <= low or high <= first:
        return []
    middle = (low + high) // 2
    halves = (low, middle), (middle, high)
    return [n for half in halves for n in nodes_within(first, stop, half)]


def add_up(node: Node, known: Mapping[Node, Any]) -> Any:
    """The sum of a node's leaves; what is known may be overwritten."""
    if node in known:
        return known[node]
    low, high = node
    middle = (low + high) // 2
    left, right = add_up((low, middle), known), add_up((middle, high), known)
    left += right
    return left


def tree_sum(comm: Communicator, own: Sequence[Any]) -> Any:
    """The sum of all shards' vectors, the same bits on every rank for any number of them.

    Parameters
    ----------
    comm : Communicator
    own : sequence of arrays of shape (k,)
        Of this rank's shards, in their order; they may be overwritten.

    Returns
    -------
    array of shape (k,)

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn.distributed import one
    >>> tree_sum(one(shards=2), [np.array([1.0]), np.array([2.0])])
    array([3.])
    """
    whole, cuts = (0, comm.shards), bounds(comm.shards, comm.size)
    first = cuts[comm.rank]
    leaves = {(first + i, first + i + 1): v for i, v in enumerate(own)}
    nodes = [nodes_within(a, b, whole) for a, b in pairwise(cuts)]
    sums = [add_up(node, leaves) for node in nodes[comm.rank]]
    if comm.size == 1:
        return sums[0]
    if not comm.deterministic:
        return comm.sum(sums[0])
    return _across(comm, nodes, sums)


def _across(comm: Communicator, nodes: list[list[Node]], sums: list[Any]) -> Any:
    """The sum over all ranks' nodes: each adds a piece of the vector, and then all have all."""
    xp, k = array_namespace(sums[0]), sums[0].shape[0]
    whole, counts = (0, comm.shards), [len(n) for n in nodes]
    single = [part[0] for part in nodes if len(part) == 1]
    if comm.pairs and comm.size >= MANY and single == halved(whole, comm.size):
        return _by_halves(comm, sums[0])
    if sum(counts) * sums[0].nbytes <= SMALL:
        flat = sums[0] if len(sums) == 1 else xp.concat(sums)
        return _added(comm.allgather(flat, [c * k for c in counts]), nodes, whole, k)
    cuts = bounds(k, comm.size)
    parts = []
    for a, b in pairwise(cuts):
        pieces = [s[a:b] for s in sums]
        parts.append(pieces[0] if len(pieces) == 1 else xp.concat(pieces))
    mine = cuts[comm.rank + 1] - cuts[comm.rank]
    found = comm.exchange(parts, [c * mine for c in counts])
    piece = _added(found, nodes, whole, mine)
    lengths = [b - a for a, b in pairwise(cuts)]
    return xp.concat(comm.allgather(piece, lengths))


def halved(node: Node, parts: int) -> list[Node]:
    """A node's halves, their halves and so on, until there are so many; a power of two.

    Examples
    --------
    >>> halved((0, 8), 4)
    [(0, 2), (2, 4), (4, 6), (6, 8)]
    """
    found = [node]
    while len(found) < parts:
        ends = [(low, (low + high) // 2, high) for low, high in found]
        found = [half for a, b, c in ends for half in ((a, b), (b, c))]
    return found


def _by_halves(comm: Communicator, own: Any) -> Any:
    """The sum over all ranks of a whole tree, in 2 log2(size) messages.

    Neighbours each add half of the vector, then neighbours' neighbours half of that, as the tree
    is; the pieces come back in the same way.

    References
    ----------
    R. Thakur, R. Rabenseifner and W. Gropp (2005), "Optimization of collective communication
    operations in MPICH", International Journal of High Performance Computing Applications 19.
    """
    xp, piece, lengths = array_namespace(own), own, list[int]()

    def swapped(distance: int, part: Any, count: int) -> Any:
        peer = comm.rank ^ distance
        parts = [part if rank == peer else part[:0] for rank in range(comm.size)]
        return comm.exchange(parts, [count * (rank == peer) for rank in range(comm.size)])[peer]

    for level in range(comm.size.bit_length() - 1):
        cut = (piece.shape[0] + 1) // 2
        left, right = piece[:cut], piece[cut:]
        kept, sent = (right, left) if comm.rank >> level & 1 else (left, right)
        lengths.append(sent.shape[0])
        piece = kept + swapped(1 << level, sent, kept.shape[0])
    for level in reversed(range(len(lengths))):
        found = swapped(1 << level, piece, lengths[level])
        piece = xp.concat([found, piece] if comm.rank >> level & 1 else [piece, found])
    return piece


def _added(found: list[Any], nodes: list[list[Node]], whole: Node, k: int) -> Any:
    known: dict[Node, Any] = {}
    for vector, names in zip(found, nodes, strict=True):
        known |= {name: vector[i * k : (i + 1) * k] for i, name in enumerate(names)}
    left = {n: v for n, v in known.items() if n[0] == 0}  # is written into: not what was sent
    known |= {n: v + 0 for n, v in left.items()}
    return add_up(whole, known)
