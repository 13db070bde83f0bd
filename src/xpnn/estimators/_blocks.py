"""`Blocks` as an estimator takes them: checked and encoded as they are read."""

import hashlib
import tempfile
from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np

from xpnn._warnings import warn_user
from xpnn.arrays.libraries.base import check_some
from xpnn.arrays.typing import Array
from xpnn.blocks import Blocks
from xpnn.blocks.hashing import chosen
from xpnn.estimators._inputs import TOO_FEW_HELD, check_width
from xpnn.steps.rules import Batch
from xpnn.training.fingerprint import fingerprint, pieces

_PIECE = 1 << 22  # bytes of features that are read at a time and then checked
_IN_MEMORY = 1 << 26  # bytes of held-out rows; more of them are mapped from a file


class TrainingBlocks:
    """The rows that a network learns from; what `Windows` reads.

    Parameters
    ----------
    est : BaseMLP
        What numbers the targets.
    blocks : Blocks
        With targets.
    factors : ndarray of shape (n_classes,), default=None
        The classes' weights.
    """

    def __init__(self, est: Any, blocks: Blocks, factors: np.ndarray | None = None) -> None:
        self.est, self.blocks, self.factors = est, blocks, factors
        self.bounds = list(blocks.bounds())
        self.held: tuple[float, int] | None = None  # the part held out, and the seed
        self.first = 0  # the number of the first row, among those of all processes
        self.window, self.dtype = blocks.window, blocks.dtype
        self.sizes = np.asarray([stop - start for start, stop in self.bounds])
        self.seen = set[int]()  # blocks whose values were found to be finite
        self.cache: dict[int, Batch] = {}
        self.room = 0 if blocks.direct else blocks.memory

    @property
    def shape(self) -> tuple[int, int]:
        """Rows to learn from, and features."""
        return int(self.sizes.sum()), self.blocks.n_features

    @property
    def kinds(self) -> list[Any]:
        """The shape of a row, and the dtype, of features, targets and weights."""
        dtype = np.dtype(self.est._dtype)
        target, weight = self.read_targets(0, 1)
        kind = target.dtype if target.dtype.kind in "iu" else dtype
        weights = None if weight is None else ((), dtype)
        return [((self.blocks.n_features,), dtype), (target.shape[1:], kind), weights]

    def read_rows(self, start: int, stop: int) -> tuple[np.ndarray, Any, Any]:
        """Features, encoded targets and weights of some rows."""
        return self.blocks.read_features(start, stop), *self.read_targets(start, stop)

    def read_targets(self, start: int, stop: int) -> tuple[Any, Any]:
        """Encoded targets and weights of some rows."""
        y, weight = self.blocks.read_targets(start, stop)
        rows = np.empty((stop - start, 1))
        target = self.est._read_target(y, rows, "held out")  # warns of nothing twice
        if self.factors is not None:
            of_class = self.factors[self.est._scored(target)]
            weight = of_class if weight is None else of_class * weight
        return target, weight

    def fill(self, number: int, into: Batch) -> None:
        """Write a block's rows into arrays of the network's dtype.

        Raises
        ------
        ValueError
            For NaN or infinity; it says in which rows.
        """
        found = self.cache.get(number)
        if found is None and self.held is None and self.blocks.direct:
            self._fill_directly(number, into)
            return
        if found is None:
            found = Batch(*self.read_rows(*self.bounds[number]))
            if self.held is not None:
                keep = ~self._held_out(number)
                found = Batch(*(None if a is None else a[keep] for a in found))
        self.write(found, into)
        if number not in self.seen:
            check_finite(into.x, self.bounds[number])
            self.seen.add(number)
        size = sum(a.nbytes for a in into if a is not None)
        if number not in self.cache and size <= self.room:
            self.room -= size
            self.cache[number] = Batch(*(None if a is None else a.copy() for a in into))

    def _fill_directly(self, number: int, into: Batch) -> None:
        """The same without an array between: pieces are looked at while the cache has them."""
        start, stop = self.bounds[number]
        rows, new = max(1, _PIECE // max(1, into.x[:1].nbytes)), number not in self.seen
        with np.errstate(all="ignore"):
            for a in range(start, stop, rows):
                b = min(a + rows, stop)
                x = into.x[a - start : b - start]
                self.blocks.fill_features(a, b, x)
                if new:
                    check_finite(x, (a, b))
        self.write(Batch(None, *self.read_targets(start, stop)), into._replace(x=None))
        self.seen.add(number)

    def write(self, found: Batch, into: Batch) -> None:
        """Rows into arrays of the network's dtype."""
        with np.errstate(all="ignore"):
            for a, b in zip(into, found, strict=True):
                if a is not None:
                    a[...] = b

    def _held_out(self, number: int) -> np.ndarray:
        """Which rows of a block are held out, by a hash of their numbers."""
        assert self.held is not None
        start, stop = self.bounds[number]
        return chosen(self.first + start, self.first + stop, *self.held)

    def of_each(self, value: Any) -> list[Any]:
        """The value of each process."""
        return [value]

    def split(self, fraction: float, seed: int) -> tuple[np.ndarray, Any, Any]:
        """Leave out the rows that a hash of their numbers holds out, and give them."""
        self.held = fraction, seed
        counts = [int(self._held_out(i).sum()) for i in range(len(self.bounds))]
        held, n = np.sum(self.of_each([sum(counts), int(self.sizes.sum())]), axis=0).tolist()
        if held < 2 or held >= n:
            raise ValueError(TOO_FEW_HELD)
        self.sizes = self.sizes - np.asarray(counts)
        return self._collect(counts)

    def _collect(self, counts: list[int]) -> tuple[np.ndarray, Any, Any]:
        """The rows held out, in memory or in a file that has no name."""
        x = room_for((sum(counts), self.blocks.n_features), np.dtype(self.est._dtype))
        none: Any = self.read_targets(0, 1)  # of their kinds
        targets, weights = (list[Any]([a if a is None else a[:0]]) for a in none)
        at = 0
        for number, (start, stop) in enumerate(self.bounds):
            rows, target, weight = self.read_rows(start, stop)
            if self.held is not None:
                hold = self._held_out(number)
                rows, target = rows[hold], target[hold]
                weight = None if weight is None else weight[hold]
            with np.errstate(all="ignore"):
                x[at : at + len(rows)] = rows
            check_finite(x[at : at + len(rows)], (start, stop))
            targets.append(target)
            weights.append(weight)
            at += len(rows)
        weight = None if weights[0] is None else np.concatenate(weights)
        return x, np.concatenate(targets), weight

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint says of the rows, see `xpnn.training.fingerprint`."""
        n, found = self.blocks.n_rows, []
        for start, stop in pieces(n, 8 * self.blocks.n_features):
            found += [fingerprint(a) for a in self.read_rows(start, min(stop, n))]
        digest = hashlib.sha256(repr(found).encode()).hexdigest()
        order = {"blocks": [0, min(self.blocks.block_rows, n)], "window": self.window}
        return {"shape": [n, self.blocks.n_features], **order, "sha256": digest}

    def whole(self) -> tuple[np.ndarray, Any, Any]:
        """All rows, to validate on."""
        return self._collect(self.sizes.tolist())


def check_features(est: Any, blocks: Blocks, *, reset: bool) -> None:
    """Set or compare the number of features and their names."""
    name, names = type(est).__name__, blocks.feature_names
    check_some(blocks.shape, name)
    known = getattr(est, "feature_names_in_", None)
    if reset:
        est.n_features_in_ = blocks.n_features
        est.__dict__.pop("feature_names_in_", None)
        if names is not None:
            est.feature_names_in_ = np.asarray(names, dtype=object)
        return
    check_width(est, blocks.n_features)
    if known is not None and names is None:
        warn_user(f"X does not have valid feature names, but {name} was fitted with feature names")
    if known is not None and names is not None and list(known) != list(names):
        wrong = next(i for i, (a, b) in enumerate(zip(known, names, strict=True)) if a != b)
        raise ValueError(
            "The feature names should match those that were passed during fit: feature "
            f"{wrong} is {names[wrong]!r}, and was {known[wrong]!r}."
        )


def check_finite(x: np.ndarray, rows: tuple[int, int]) -> None:
    """Raise a ValueError for NaN or infinity among some rows."""
    with np.errstate(all="ignore"):
        if np.isfinite(np.add.reduce(x, axis=None)) or np.isfinite(x).all():
            return
        what = "infinity or a value too large for dtype(" + repr(x.dtype.name) + ")"
        what = "NaN" if np.isnan(x).any() else what
    raise ValueError(f"Input X contains {what} in the rows {rows[0]} to {rows[1] - 1}.")


def room_for(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Room in memory, or for much in a file that vanishes with the array."""
    size = int(np.prod(shape)) * dtype.itemsize
    if size <= _IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="xpnn-held-out-") as file:
        file.truncate(size)
        found: np.ndarray = np.memmap(file, dtype, "r+", shape=shape)
        return found


def block_outputs(est: Any, blocks: Blocks, *how: str) -> Iterator[Array]:
    """What an estimator gives of each block, asked as for rows."""
    check_features(est, blocks, reset=False)
    view = copy(est)
    view.__dict__.pop("feature_names_in_", None)  # compared already
    for start, stop in blocks.bounds():
        yield view._outputs(blocks.read_features(start, stop), *how)[0]


def given_targets(X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Targets and weights of all rows, which may lie inside blocks."""
    if not isinstance(X, Blocks):
        return y, sample_weight
    blocks = X.with_targets(y, sample_weight)
    parts = zip(*(blocks.read_targets(*rows) for rows in blocks.bounds()), strict=True)
    y, weight = (None if p[0] is None else np.concatenate(p) for p in parts)
    return y, weight
