"""What a training step of several processes takes: arithmetic, and one sum of gradients."""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2

from xpnn.distributed.communicator import SHARDS
from xpnn.distributed.tree import MANY, SMALL, bounds, nodes_within


@dataclass(frozen=True)
class Link:
    """A connection: seconds until a message begins to arrive, and seconds a byte."""

    name: str
    alpha: float
    beta: float


# What vendors' sheets and MPI's own benchmarks commonly give; not measured here.
LINKS = (
    Link("10 Gb/s, TCP", 30e-6, 8 / 10e9),
    Link("100 Gb/s, RDMA", 3e-6, 8 / 100e9),
)


@dataclass(frozen=True)
class Step:
    """A network's step in one process, as measured.

    Parameters
    ----------
    name : str
    parameters : int
    batch : int
        What the workload has.
    fixed : float
        Seconds that depend neither on the batch nor on its shards: the optimizer and the calls.
    shard : float
        Seconds a shard: a gradient of its own, and the weights read once more.
    row : float
        Seconds a row.
    flops : int, default=0
        Of a row's matrix products.
    """

    name: str
    parameters: int
    batch: int
    fixed: float
    shard: float
    row: float
    flops: int = 0

    @property
    def message(self) -> int:
        """Bytes of the vector that is added: gradient, losses, weights, float32."""
        return 4 * (self.parameters + 4)

    def own(self, batch: float, processes: int) -> float:
        """Seconds of what one of the processes computes."""
        shards = ceil(max(SHARDS, processes) / processes)
        return self.fixed + self.shard * shards + self.row * batch / processes


def nodes(processes: int) -> list[int]:
    """How many vectors each process sends into the fixed tree: one each of a power of two."""
    shards = max(SHARDS, processes)
    cuts = pairwise(bounds(shards, processes))
    return [len(nodes_within(a, b, (0, shards))) for a, b in cuts]


def tree_seconds(link: Link, size: int, processes: int) -> float:
    """Seconds of a sum in the fixed tree.

    Many processes, a power of two, add in pairs. Else small vectors go to all at once; of larger
    ones each process adds a piece, then all get it: a message goes to each of the others, twice.
    """
    if processes == 1:
        return 0.0
    others, sent = processes - 1, nodes(processes)
    if processes >= MANY and processes & others == 0:
        return free_seconds(link, size, processes)
    if sum(sent) * size <= SMALL:
        return others * link.alpha + sum(sent) * size * others / processes * link.beta
    there = max(sent) * size * others / processes
    return 2 * others * link.alpha + (there + size * others / processes) * link.beta


def free_seconds(link: Link, size: int, processes: int) -> float:
    """Seconds of an Allreduce in MPI's own order, by halving and doubling (Rabenseifner's)."""
    if processes == 1:
        return 0.0
    others = processes - 1
    return 2 * ceil(log2(processes)) * link.alpha + 2 * size * others / processes * link.beta


def seconds(step: Step, link: Link, batch: float, processes: int, *, cores: int = 0) -> float:
    """Seconds of a step; of more processes than cores, some wait for the others."""
    turns = max(1.0, processes / cores) if cores else 1.0
    return turns * step.own(batch, processes) + tree_seconds(link, step.message, processes)


def speedup(step: Step, link: Link, batch: float, processes: int, *, tree: bool = True) -> float:
    """How many times as fast as one process."""
    add = tree_seconds if tree else free_seconds
    together = step.own(batch, processes) + add(link, step.message, processes)
    return step.own(batch, 1) / together


def worth_it(step: Step, link: Link, processes: int, *, tree: bool = True) -> float:
    """The batch size from which on the processes are half as fast as so many would ideally be."""
    add = tree_seconds if tree else free_seconds
    c = add(link, step.message, processes) + step.own(0, processes)
    return max(1.0, (processes * c - 2 * step.own(0, 1)) / step.row)
