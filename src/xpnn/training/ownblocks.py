"""Blocks of which each process reads those of its shards: what `Windows` is to one process."""

from collections.abc import Generator
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.random import BLOCKS, SHUFFLE, host_generator
from xpnn.arrays.staging import Staging, reading_thread
from xpnn.steps.cut import Shares
from xpnn.steps.rules import Batch
from xpnn.training.data import placed
from xpnn.training.portions import Draw, Portion
from xpnn.training.windows import BlockSource, Windows

_NO_ROWS = Batch(None, None, None)


class SharedSource(BlockSource, Protocol):
    """The blocks of this process's shards, one shard's behind the other's."""

    @property
    def shard(self) -> np.ndarray:
        """Of each block the number of its shard."""

    @property
    def own(self) -> range:
        """The shards of this process."""

    @property
    def shares(self) -> Shares:
        """The rows of each shard of all processes, and how many may be in memory together."""

    def fill_some(self, number: int, start: int, stop: int, into: Batch) -> None:
        """Write some rows of a block into arrays of that length."""


class Stretch(NamedTuple):
    """Rows of a block, by their places in it."""

    block: int
    start: int
    stop: int


class OwnBlocks(Windows):
    """The rows of this process's shards, which nobody else reads.

    An epoch takes each shard's blocks in an order of its own, and shuffles the rows of a shard
    that some consecutive batches take, window by window. All of it follows from (seed, epoch,
    shard), and a shard's rows are the same in each epoch and for any number of processes.

    Attributes
    ----------
    n : int
        Rows of all processes.
    here : list of int
        Where each shard of this process begins among its rows, and where the last one ends.
    """

    source: SharedSource
    shares: Shares

    def __init__(self, source: SharedSource, backend: Backend) -> None:
        super().__init__(source, backend)
        self.own, self.shares = source.own, source.shares
        self.n = self.shares.n
        self.here = np.cumsum([0, *self.shares.lengths[self.own.start : self.own.stop]]).tolist()

    def stretches(self, draw: Draw, shard: int, start: int, stop: int) -> list[Stretch]:
        """Where some rows of a shard lie, in the epoch's order of its blocks."""
        blocks = np.flatnonzero(self.source.shard == shard)
        if draw.shuffle:
            blocks = host_generator(draw.seed, BLOCKS, draw.epoch, 1 + shard).permutation(blocks)
        found, at = [], 0
        for block in blocks.tolist():
            size = int(self.sizes[block])
            first, last = max(start - at, 0), min(stop - at, size)
            if first < last:
                found.append(Stretch(block, first, last))
            at += size
        return found

    def portions(self, draw: Draw, size: int, *, whole: bool) -> Generator[Portion]:
        """An epoch's windows, each with the rows that its batches take of this process's shards."""
        shares = self.shares
        together, steps = shares.at_a_time(size), shares.steps(size)
        firsts = list(range(0, steps, together))
        cuts = [shares.before(k, size)[self.own.start : self.own.stop] for k in [*firsts, steps]]
        ranges = [np.stack([a, b], axis=1) for a, b in pairwise(cuts)]
        left = [w for w in range(len(firsts)) if min(firsts[w] + together, steps) > draw.begun]
        for w in range(len(firsts) - len(left)):  # done before a checkpoint
            count = min(together, steps - firsts[w])
            yield Portion(_NO_ROWS, None, firsts[w] * size, count)
        if not left:
            return
        staging = self._room_for(max(1, *(int((r[:, 1] - r[:, 0]).sum()) for r in ranges)))
        with reading_thread(self.backend) as reader:
            filled = reader.submit(self._read, staging, draw, left[0], ranges[left[0]])
            for w in left:
                batch, order = filled.result()
                if w + 1 < len(firsts):
                    filled = reader.submit(self._read, staging, draw, w + 1, ranges[w + 1])
                count = min(together, steps - firsts[w])
                yield Portion(batch, order, firsts[w] * size, count)
                staging.used(w % 2)

    def _read(self, staging: Staging, draw: Draw, w: int, ranges: np.ndarray) -> tuple[Any, Any]:
        """A window's rows on the device, at the end of arrays whose length never changes."""
        host, rows = staging.host[w % 2], int((ranges[:, 1] - ranges[:, 0]).sum())
        at = start = self.capacity - rows
        order = np.arange(start, self.capacity)
        for shard, (first, stop) in zip(self.own, ranges.tolist(), strict=True):
            begin = at
            for block, a, b in self.stretches(draw, shard, first, stop):
                some = Batch(*(None if h is None else h[at : at + b - a] for h in host))
                self.source.fill_some(block, a, b, some)
                at += b - a
            if draw.shuffle:
                which = 1 + shard + w * len(self.shares.lengths)
                random = host_generator(draw.seed, SHUFFLE, draw.epoch, which)
                order[begin - start : at - start] = begin + random.permutation(at - begin)
        with self.backend.device_context():
            return Batch(*staging.upload(w % 2, start)), placed(order, self.backend)
