"""The samples of a perceptron's epochs, piece by piece: all in memory, or a window at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.perceptron.choice import permutation
from xpnn.perceptron.reference import Rule
from xpnn.training.portions import Draw
from xpnn.training.windows import Windows

PIECE = 1 << 16  # rows between two looks at whether a checkpoint is due


class Piece(NamedTuple):
    """Rows that are visited in one call: samples, and which of them in which order."""

    x: Any
    y: Array
    weight: Array
    visit: Array
    steps: tuple[int, int] | None = None  # of several processes' own rows: the batches of these


class _Whole:
    """Rows that are all here, cut into batches one behind the other."""

    shares = None
    n: int
    batch: int

    def batches(self, rows: int) -> int:
        """How many batches the first rows of an epoch are."""
        if rows % self.batch and rows != self.n:
            raise ValueError(f"no batch ends at row {rows}")
        return -(-rows // self.batch)


class Samples(_Whole):
    """Samples in memory; an epoch's order is the one before, permuted.

    Parameters
    ----------
    x : array of shape (n, n_features), or CSR matrix
    y, weight : arrays of shape (n,)
    learned : ndarray of bool, shape (n,)
        Which samples to learn.
    seed : int or None
        Of the order; None keeps the order given.

    Attributes
    ----------
    n : int
        Rows of an epoch.
    arrays : dict of str to ndarray
        What a checkpoint has to have, beside the number of the epoch.
    """

    def __init__(
        self,
        x: Any,
        y: Array,
        weight: Array,
        learned: np.ndarray,
        seed: int | None,
        rule: Rule,
        backend: Backend,
    ) -> None:
        self.rows, self.learned, self.backend = (x, y, weight), learned, backend
        self.n, self.size, self.sparse = int(learned.sum()), piece_rows(rule), rule.sparse
        self.batch = rule.batch_size
        self.order = self.next = np.arange(len(learned))
        self.step = None if seed is None else permutation(len(learned), seed)
        self.visit: Any = None

    def pieces(self, epoch: int, begun: int) -> Generator[Piece]:
        """The rows of an epoch, but for those that are done."""
        if self.visit is None:
            order = self.next = self.order if self.step is None else self.order[self.step]
            chosen = order if self.n == len(order) else order[self.learned[order]]
            self.visit = chosen if self.sparse else self.backend.asarray(chosen)
        for first in range(begun, self.n, self.size):
            yield Piece(*self.rows, self.visit[first : min(first + self.size, self.n)])

    def end_epoch(self) -> None:
        """Go on to the next order."""
        if self.step is not None:
            self.order, self.visit = self.next, None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The order before the one of this epoch."""
        return {"order": self.order}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from these; a ValueError where they are of other samples."""
        n, order = len(self.learned), arrays["order"]
        if order.shape != (n,) or not np.array_equal(np.sort(order), np.arange(n)):
            raise ValueError("its order of the samples is none")
        self.order, self.visit = order, None


class Drawn:
    """Samples whose order follows from a seed and the epoch's number, so that none is kept."""

    arrays: dict[str, np.ndarray] = {}  # noqa: RUF012 - of a checkpoint
    seed: int | None  # None keeps the order given

    def draw(self, epoch: int, begun: int) -> Draw:
        """What the order of an epoch follows from, of which so many batches are done."""
        return Draw(self.seed or 0, epoch, shuffle=self.seed is not None, begun=begun)

    def end_epoch(self) -> None:
        """Nothing: the next order follows from the epoch's number."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Nothing is kept."""


class BlockSamples(Drawn, _Whole):
    """Samples of `Blocks`, what `Samples` is to those in memory.

    Parameters
    ----------
    dtype : dtype of the backend's namespace
        Of weights.
    """

    def __init__(self, windows: Windows, seed: int | None, rule: Rule, dtype: Any) -> None:
        self.windows, self.seed, self.batch = windows, seed, rule.batch_size
        self.n, self.size, self.dtype = windows.n, piece_rows(rule), dtype
        self.ones: Any = None

    def pieces(self, epoch: int, begun: int) -> Generator[Piece]:
        """The rows of an epoch, but for those that are done."""
        draw = self.draw(epoch, begun // self.batch)
        before, backend = 0, self.windows.backend
        with closing(self.windows.portions(draw, self.batch, whole=True)) as portions:
            for x, y, weight, order, start, rows in self._rows(portions):
                for first in range(max(0, begun - before), rows, self.size):
                    at = slice(start + first, start + min(first + self.size, rows))
                    if order is None:
                        visit = backend.xp.arange(at.start, at.stop, device=backend.device)
                    else:
                        visit = order[at]
                    yield Piece(x, y, weight, visit)
                before += rows

    def _rows(self, portions: Any) -> Iterator[tuple[Any, ...]]:
        """Arrays, their order, the place of the first row in it, and the number of rows."""
        left = self.n
        for portion in portions:
            x, y, weight = portion.batch
            rows = min(left, portion.steps * self.batch)
            left -= rows
            if x is not None and weight is None:
                if self.ones is None or self.ones.shape != y.shape:
                    backend = self.windows.backend
                    self.ones = backend.xp.ones(y.shape, dtype=self.dtype, device=backend.device)
                weight = self.ones
            yield x, y, weight, portion.order, portion.start, rows


def piece_rows(rule: Rule) -> int:
    """Rows of a piece: whole batches."""
    return max(1, PIECE // rule.batch_size) * rule.batch_size
