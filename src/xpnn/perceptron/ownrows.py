"""Samples of which each process has those of its shards, and what all processes' rows give."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from itertools import pairwise
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import tree_sum
from xpnn.perceptron.answers import Held, more_mistakes
from xpnn.perceptron.reference import Data, Rule, State
from xpnn.perceptron.restart import Problems
from xpnn.perceptron.samples import PIECE, Drawn, Piece
from xpnn.perceptron.shared import SharedBatches
from xpnn.training.ownblocks import OwnBlocks
from xpnn.training.ownrows import OwnRows


class SharedSamples(Drawn):
    """Samples of this process's shards; what `Samples` is to those that all processes have.

    Parameters
    ----------
    dtype : dtype of the backend's namespace
        Of weights.
    """

    def __init__(
        self,
        rows: OwnRows | OwnBlocks,
        seed: int | None,
        rule: Rule,
        comm: Communicator,
        dtype: Any,
    ) -> None:
        assert rows.shares is not None
        self.rows, self.seed, self.comm, self.dtype = rows, seed, comm, dtype
        self.batch, self.shares, self.n = rule.batch_size, rows.shares, rows.shares.n
        steps = np.arange(self.shares.steps(self.batch) + 1)
        self.ends = sum(n * steps // steps[-1] for n in self.shares.lengths)
        self.beside: Any = None, None, None

    def batches(self, rows: int) -> int:
        """How many batches the first rows of an epoch, in all processes, are."""
        step = int(np.searchsorted(self.ends, rows))
        if self.ends[step] != rows:
            raise ValueError(f"no batch ends at row {rows}")
        return step

    def pieces(self, epoch: int, begun: int) -> Generator[Piece]:
        """The rows here of an epoch, but for those that are done."""
        done, most = self.batches(begun), max(1, PIECE // self.batch)
        draw = self.draw(epoch, done)
        with closing(self.rows.portions(draw, self.batch, whole=True)) as portions:
            for portion in portions:
                first = portion.start // self.batch
                stop = first + portion.steps
                for step in range(max(first, done), stop, most):
                    yield Piece(*self._rows(portion), steps=(step, min(step + most, stop)))

    def _rows(self, portion: Any) -> tuple[Any, Array, Array, Array]:
        """Features, targets, weights and order; of CSR the order is on the host."""
        (x, y, weight), backend, order = portion.batch, self.rows.backend, portion.order
        if self.beside[0] is not y:
            ones = np.ones(y.shape[0]) if weight is None else weight
            self.beside = y, backend.asarray(y), backend.asarray(ones, dtype=self.dtype)
        if order is None:
            order = np.arange(y.shape[0])
            order = order if self.rows.sparse else backend.asarray(order)
        return x, self.beside[1], self.beside[2], order


class SharedHeld:
    """Rows held out of which each process has its own.

    Parameters
    ----------
    held : Held
        The rows here.
    lengths : list of int
        How many each shard of this process has.

    Attributes
    ----------
    weight : array of shape (n,)
        Of all processes' rows.
    """

    def __init__(
        self, held: Held, lengths: list[int], comm: Communicator, backend: Backend
    ) -> None:
        ends = np.cumsum([0, *lengths]).tolist()
        self.parts = [Held(*(a[i:j, ...] for a in held)) for i, j in pairwise(ends) if j > i]
        self.comm, self.backend = comm, backend
        weight = comm.gather_rows(backend.to_numpy(held.weight))
        self.weight = backend.asarray(weight)

    def right(self, state: State, problems: Problems, xp: Any) -> Array:
        """Which answers are right, of all processes' rows, (n, K)."""
        to_numpy, k = self.backend.to_numpy, int(state.intercept.shape[0])
        none = np.empty((0, k), dtype=bool)
        own = [to_numpy(part.right(state, problems, xp)) for part in self.parts]
        return self.backend.asarray(self.comm.gather_rows(np.concatenate([none, *own])))


def shared_mistakes(
    samples: SharedSamples, state: State, given: Iterable[tuple[Data, Piece]], xp: Any
) -> Array:
    """`more_mistakes` of the rows of all processes, the same bits for any number of them."""
    backend, comm, vectors = samples.rows.backend, samples.comm, list[Array]()
    for data, piece in given:
        here = SharedBatches(comm, bool, samples.shares, piece.steps)
        spans = here.spans(piece.visit, samples.batch)
        vectors = vectors or [xp.zeros_like(state.intercept) for _ in spans]
        vectors = [
            more_mistakes(total, state, data, visit, xp)
            for total, visit in zip(vectors, spans, strict=True)
        ]
    host = [np.array(backend.to_numpy(v)) for v in vectors]
    return backend.asarray(tree_sum(comm, host))
