"""`Blocks` as a tabular model takes them: learned from a sample, encoded into a mapped file."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnn.arrays.random import PERTURB
from xpnn.blocks import Blocks
from xpnn.blocks.hashing import chosen
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import bounds
from xpnn.estimators._blocks import given_targets, room_for
from xpnn.estimators._inputs import on_host, readable, readable_target
from xpnn.tables.encoding import Encoding, at_least_one, fit_encoding
from xpnn.tables.frames import Frame
from xpnn.tables.ownrows import fit_encoding_together
from xpnn.tables.thresholds import Classes

SAMPLE = 200_000
"""Rows that tell how columns become inputs: quantiles, words, how times are written."""


class BlockFrame:
    """What `Frame` is to a table in memory: a table whose rows are read block by block.

    Parameters
    ----------
    est : BaseTabular
        With the columns of fit, or to be given them by `first`.
    known : ndarray of bool, shape (n_rows,), default=None
        The rows that count.
    comm : Communicator, default=None
        Processes that read together: each some blocks, and tells the others what it made of them;
        or each has blocks of its own, and tells of a sample alone.
    """

    def __init__(
        self,
        est: Any,
        blocks: Blocks,
        first: bool = False,
        known: np.ndarray | None = None,
        comm: Communicator | None = None,
    ) -> None:
        self.est, self.blocks, self.known, self.comm = est, blocks, known, comm
        if first:
            start, stop = next(blocks.bounds(), (0, 0))
            est._read_frame(blocks.table(start, stop), first=True)
        self.n_rows = blocks.n_rows if known is None else int(known.sum())
        # who reads these blocks together; None where all of them are read here
        self.readers = comm if comm is not None and comm.rows == "all" else None

    def of_rows(self, rows: np.ndarray) -> "BlockFrame":
        """Some rows of all, by a mask."""
        known = None if rows.all() else rows
        return BlockFrame(self.est, self.blocks, known=known, comm=self.comm)

    def frames(self) -> Iterator[tuple[int, int, Frame]]:
        """Each block's first row, its end, and its rows that count; of processes, of its blocks."""
        blocks = list(self.blocks.bounds())
        if self.readers is not None:
            cuts = bounds(len(blocks), self.readers.size)
            blocks = blocks[cuts[self.readers.rank] : cuts[self.readers.rank + 1]]
        for start, stop in blocks:
            rows = None if self.known is None else self.known[start:stop]
            if rows is not None and not rows.any():
                continue
            frame = self.est._read_frame(self.blocks.table(start, stop))
            yield start, stop, frame if rows is None else frame.of_rows(rows)

    def sample(
        self, size: int | None = None, classes: Classes | None = None
    ) -> tuple[Frame, Classes | None]:
        """About so many rows, chosen by a hash of their numbers; all where there are no more.

        With their `classes`, which are given for all rows here that count.
        """
        size = SAMPLE if size is None else size
        first, n = 0, self.n_rows
        if self.comm is not None and self.readers is None:
            each = self.comm.gather([self.blocks.n_rows, n])
            first, n = sum(a for a, _ in each[: self.comm.rank]), sum(b for _, b in each)
        fraction, found, own = min(1.0, size / max(n, 1)), list[Frame](), list[Any]()
        before = self._before()
        for start, stop, frame in self.frames():
            rows = np.ones(frame.n_rows, dtype=bool)
            if fraction < 1.0:
                some = chosen(first + start, first + stop, fraction, 0, PERTURB)
                rows = some if self.known is None else some[self.known[start:stop]]
            found.append(frame.of_rows(rows))
            here = np.arange(before[start], before[stop])[rows]
            own.append(None if classes is None else classes.of_rows(here))
        if self.comm is not None:
            plain = [(f.columns, f.categories, f.zoned, c) for f, c in zip(found, own, strict=True)]
            told = [one for part in self.comm.gather_objects(plain) for one in part]
            found, own = [Frame(a, b, zoned=z) for a, b, z, _ in told], [c for *_, c in told]
        names = found[0].columns
        columns = {name: np.concatenate([f.columns[name] for f in found]) for name in names}
        categories = frozenset().union(*(f.categories for f in found))
        whole = Frame(columns, categories, zoned=frozenset().union(*(f.zoned for f in found)))
        if classes is None:
            return whole, None
        codes, folds = (np.concatenate(a, axis=-1) for a in zip(*(c[:2] for c in own), strict=True))
        return whole, classes._replace(codes=codes, folds=folds)

    def _before(self) -> np.ndarray:
        """How many rows that count come before each row."""
        if self.known is None:
            return np.arange(self.blocks.n_rows + 1)
        return np.concatenate([[0], np.cumsum(self.known)])

    def transformed(self, encoding: Encoding) -> np.ndarray:
        """A network's inputs; many of them lie in a file that goes with the array."""
        found = np.empty((0, max(1, len(encoding.names))), np.float32)
        before = self._before()
        for start, rows in self._encoded(encoding):
            if not len(found):
                found = room_for((self.n_rows, rows.shape[1]), rows.dtype)
            at = before[start]
            found[at : at + len(rows)] = rows
        return found

    def _encoded(self, encoding: Encoding) -> Iterator[tuple[int, np.ndarray]]:
        """Each block's first row and its inputs: of the blocks of all processes, in turns."""
        own = (
            (start, at_least_one(encoding.transform(frame)))
            for start, _, frame in self.frames()
            if frame.n_rows
        )
        if self.readers is None:
            yield from own
            return
        while any(turn := self.readers.gather_objects(next(own, None))):
            yield from (one for one in turn if one is not None)


def learned(
    frame: Frame | BlockFrame,
    bins: int,
    most_numbers: int | None,
    classes: Classes | None = None,
    comm: Communicator | None = None,
) -> Encoding:
    """How the columns of a table become inputs, see `fit_encoding`; of all processes' rows."""
    if isinstance(frame, BlockFrame):
        some, classes = frame.sample(classes=classes)
    elif comm is not None and comm.rows == "own":
        return fit_encoding_together(frame, comm, bins, most_numbers, classes)
    else:
        some = frame
    return fit_encoding(some, bins, most_numbers, classes)


def inputs_of(encoding: Encoding, frame: Frame | BlockFrame) -> np.ndarray:
    """A network's inputs of a table."""
    if isinstance(frame, BlockFrame):
        return frame.transformed(encoding)
    return at_least_one(encoding.transform(frame))


def to_score_by(est: Any, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Targets and weights on the host; a ValueError where there is no y."""
    y, sample_weight = given_targets(X, y, sample_weight)
    y, sample_weight = readable_target(est, y), readable(sample_weight, "sample_weight")
    return on_host(y), on_host(sample_weight)
