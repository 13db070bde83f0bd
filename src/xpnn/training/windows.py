"""Rows larger than memory, trained on window by window, the next one being read meanwhile.

The rows' numbers are cut into blocks of equal length. An epoch takes the blocks in an order of its
own, some of them at a time (a window), and the window's rows in an order of its own. All of it
follows from (seed, epoch), the length of a block and the window: where the rows lie and what is
kept in memory changes nothing.
"""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.random import BLOCKS, host_generator
from xpnn.arrays.staging import Staging, make_staging, reading_thread
from xpnn.arrays.typing import Array
from xpnn.steps.rules import Batch
from xpnn.training.data import placed
from xpnn.training.portions import Draw, Portion


class BlockSource(Protocol):
    """Rows that are read a block at a time."""

    @property
    def sizes(self) -> np.ndarray:
        """How many rows each block has, those held out not counted."""

    @property
    def window(self) -> int:
        """Blocks that are shuffled together."""

    @property
    def kinds(self) -> list[Any]:
        """Of features, targets and weights the shape of a row and the dtype; None for none."""

    def fill(self, number: int, into: Batch) -> None:
        """Write the rows of a block into arrays of that length."""


class Windows:
    """The rows of a `BlockSource`, as the training loop takes them; what `Dataset` is to arrays.

    Two windows are in memory at a time: one that is trained on and one that a thread reads.

    Parameters
    ----------
    backend : Backend
        Where the work is done.

    Attributes
    ----------
    n : int
        Rows of an epoch.
    """

    resident, sparse, rows = True, False, None
    shares: Any = None

    def __init__(self, source: BlockSource, backend: Backend) -> None:
        self.source, self.backend = source, backend
        self.sizes = np.asarray(source.sizes)
        self.n = int(self.sizes.sum())
        self.staging: Staging | None = None
        self.capacity = 0

    def check_labels(self, loss: Any, n_classes: int) -> None:
        """Nothing: the source numbers the classes."""

    def windows(self, draw: Draw) -> list[np.ndarray]:
        """An epoch's blocks, window by window.

        Examples
        --------
        >>> import types
        >>> from xpnn.arrays.backend import get_backend
        >>> source = types.SimpleNamespace(sizes=[4, 4, 2], window=2)
        >>> rows = Windows(source, get_backend("numpy"))
        >>> [w.tolist() for w in rows.windows(Draw(seed=0, epoch=0, shuffle=False))]
        [[0, 1], [2]]
        """
        blocks = np.arange(len(self.sizes))
        if draw.shuffle:
            blocks = host_generator(draw.seed, BLOCKS, draw.epoch).permutation(blocks)
        window = max(1, self.source.window)
        return [blocks[i : i + window] for i in range(0, len(blocks), window)]

    def some(self, start: int, size: int) -> tuple[Array | None, ...]:
        """Consecutive rows on the device, as they lie."""
        ends, found = np.cumsum(self.sizes), list[Batch]()
        first, last = np.searchsorted(ends, [start, start + size - 1], side="right")
        for b in range(int(first), int(last) + 1):
            whole = self._room(int(self.sizes[b]))
            self.source.fill(b, whole)
            at = int(ends[b] - self.sizes[b])
            here = slice(max(start - at, 0), start + size - at)
            found.append(Batch(*(a if a is None else a[here] for a in whole)))
        joined = (None if p[0] is None else np.concatenate(p) for p in zip(*found, strict=True))
        return tuple(None if a is None else self.backend.asarray(a) for a in joined)

    def _room(self, rows: int) -> Batch:
        kinds = self.source.kinds
        return Batch(*(None if k is None else np.empty((rows, *k[0]), k[1]) for k in kinds))

    def portions(self, draw: Draw, size: int, *, whole: bool) -> Generator[Portion]:
        """An epoch's windows; batches that reach into the next one go with it.

        Parameters
        ----------
        size : int
            Rows of a batch.
        whole : bool
            Always so here: steps gather the batches of a window themselves.
        """
        windows = self.windows(draw)  # with a batch's rest before each
        staging = self._room_for(max(int(self.sizes[w].sum()) for w in windows) + size - 1)
        cut = _Cut(self.sizes, windows, size)
        first = cut.window(draw.begun)
        for w in range(first):  # done before a checkpoint: nobody needs their rows
            if steps := cut.steps(w):
                yield Portion(Batch(None, None, None), None, 0, steps)
        with reading_thread(self.backend) as reader:
            filled = reader.submit(self._fill, staging, draw, windows, first, None)
            for w in range(first, len(windows)):
                window = filled.result()
                if w + 1 < len(windows):
                    rest = window.rest(cut.left(w))
                    filled = reader.submit(self._fill, staging, draw, windows, w + 1, rest)
                if steps := cut.steps(w):
                    start = self.capacity - cut.rows(w)  # before the rows, where some are done
                    yield Portion(window.batch, window.order, start, steps)
                staging.used(w % 2)

    def _room_for(self, need: int) -> Staging:
        """Room for two windows of so many rows; made anew only for larger ones."""
        if self.staging is None or need > self.capacity:
            kinds, self.capacity = self.source.kinds, need
            shapes = [None if k is None else ((need, *k[0]), k[1]) for k in kinds]
            self.staging = make_staging(self.backend, shapes)
        return self.staging

    def _fill(
        self, staging: Staging, draw: Draw, windows: list[np.ndarray], w: int, rest: Any
    ) -> "_Window":
        """Read a window, behind the rows that are left of the one before; then upload it.

        Rows and order stand at the end of arrays whose length never changes, so that what a
        library compiles for a length is compiled once.
        """
        host, blocks = staging.host[w % 2], windows[w]
        left = 0 if rest is None else len(rest[0])
        rows = left + int(self.sizes[blocks].sum())
        start = self.capacity - rows
        at = start + left
        for into, a in zip(host, rest or (), strict=False):
            if a is not None:
                into[start:at] = a
        for block in blocks.tolist():
            end = at + int(self.sizes[block])
            self.source.fill(block, Batch(*(None if a is None else a[at:end] for a in host)))
            at = end
        order = None
        if draw.shuffle:
            order = np.arange(self.capacity)
            random = host_generator(draw.seed, BLOCKS, draw.epoch, 1 + w)
            order[start + left :] = start + left + random.permutation(rows - left)
        with self.backend.device_context():
            batch = Batch(*staging.upload(w % 2, start))
            return _Window(batch, placed(order, self.backend), host, order)


class _Window(NamedTuple):
    """Rows at the end of a buffer."""

    batch: Batch
    order: Array | None
    host: Sequence[Any]
    host_order: np.ndarray | None

    def rest(self, rows: int) -> list[np.ndarray | None]:
        """Copies of the last rows."""
        order = self.host_order
        n = next(len(a) for a in self.host if a is not None)
        at: Any = slice(n - rows, None) if order is None else order[n - rows :]
        return [None if a is None else np.array(a[at]) for a in self.host]


class _Cut:
    """Which of an epoch's steps belong to which window: each to the one that has its last row.

    Examples
    --------
    >>> cut = _Cut(np.asarray([4, 4, 2]), [np.asarray([0]), np.asarray([1]), np.asarray([2])], 3)
    >>> [cut.steps(w) for w in range(3)], [cut.left(w) for w in range(2)]
    ([1, 1, 2], [1, 2])
    >>> [cut.rows(w) for w in range(3)], [cut.window(step) for step in range(4)]
    ([4, 5, 4], [0, 0, 1, 2])
    """

    def __init__(self, sizes: np.ndarray, windows: list[np.ndarray], size: int) -> None:
        self.ends, self.size = np.cumsum([int(sizes[w].sum()) for w in windows]), size
        self.before = np.concatenate([[0], self.ends[:-1] // size])  # steps
        self.after = np.concatenate([self.before[1:], [-(-int(self.ends[-1]) // size)]])

    def steps(self, w: int) -> int:
        """How many steps a window has."""
        return int(self.after[w] - self.before[w])

    def rows(self, w: int) -> int:
        """How many rows: its own and those that the windows before it have left."""
        return int(self.ends[w] - self.before[w] * self.size)

    def left(self, w: int) -> int:
        """How many rows it leaves to the next one."""
        return int(self.ends[w] - self.after[w] * self.size)

    def window(self, step: int) -> int:
        """The window that has a step's first row."""
        found = int(np.searchsorted(self.ends, step * self.size, side="right"))
        return min(found, len(self.ends) - 1)
