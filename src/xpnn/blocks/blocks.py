"""`Blocks`: rows that need not fit in memory, wherever X is taken."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np

from xpnn.blocks.arrays import Slices
from xpnn.blocks.statistics import Statistics, statistics_of
from xpnn.blocks.table import OneAfterOther, column_number

BLOCK_ROWS = 65_536
WINDOW = 4


class Blocks:
    """Rows that are read a stretch at a time from where they lie.

    Estimators take it wherever X is: ``fit(blocks)`` with targets inside, or ``fit(blocks, y)``.
    An epoch takes the blocks in an order of its own, `window` of them at a time, and the rows of
    a window in an order of their own; both follow from `random_state` and the epoch. The network is
    the same for any kind of source of the same rows, and for any `memory`.

    Two windows are in memory: ``2 * window * block_rows * n_features`` numbers. It can be pickled:
    files are opened again. A temporary folder stays as long as the first object.

    Parameters
    ----------
    X : path, list of paths, array-like, data frame, pyarrow dataset or Arrow stream
        ``.parquet``, ``.csv``, ``.npy``, ``.npz``, ``.h5``, ``.zarr``, ``.arrow``, a folder of
        one of these kinds, or a pattern such as ``"year=*/*.parquet"``; a memory map, or whatever
        has a shape and slices that are arrays (HDF5, zarr, Dask); pandas, polars, pyarrow, frames
        of Dask, DuckDB's results. CSV, streams and Parquet in large row groups are written once
        to a memory map.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        Targets beside X; a memory map, too.
    sample_weight : array-like of shape (n_rows,), default=None
    target : str, int or list of them, default=None
        Which columns of X are targets.
    weight : str or int, default=None
        Which column of X holds the weights.
    columns : list of str or int, default=None
        The features, where not all other columns.
    block_rows : int, default=65536
    window : int, default=4
        Blocks whose rows are shuffled together: more shuffle better and take more memory.
    memory : int, default=2**27
        Bytes of what was unpacked that may stay in memory from epoch to epoch.
    folder : path-like, default=None
        Where to write what cannot be read in pieces; the same source is not written again. None
        is a temporary folder that goes with the object.
    dtype : {"float32", "float64"}, default=None
        Of the features; None is float32 where X is, and else float64.

    Attributes
    ----------
    n_rows, n_features : int
    shape : tuple of int
        (n_rows, n_features).
    dtype : numpy.dtype
    feature_names : tuple of str, or None
    target_name : str or None

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn.data import Blocks
    >>> X = np.arange(12.0).reshape(4, 3)
    >>> blocks = Blocks(X, target=-1)
    >>> blocks.n_rows, blocks.n_features
    (4, 2)
    >>> x, y, weight = blocks.read(1, 3)
    >>> x.tolist(), y.tolist(), weight
    ([[3.0, 4.0], [6.0, 7.0]], [5.0, 8.0], None)
    """

    def __init__(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        target: Any = None,
        weight: Any = None,
        columns: Sequence[Any] | None = None,
        block_rows: int = BLOCK_ROWS,
        window: int = WINDOW,
        memory: int = 1 << 27,
        folder: Any = None,
        dtype: Any = None,
    ) -> None:
        from xpnn.blocks.opening import open_table  # readers of files, which few need

        wholes = {"block_rows": (block_rows, 1), "window": (window, 1), "memory": (memory, 0)}
        for name, (value, least) in wholes.items():
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(
                    f"{name} must be a whole number of at least {least}, got {value!r}."
                )
        if dtype is not None and np.dtype(dtype).name not in ("float32", "float64"):
            raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}.")
        self.block_rows, self.window, self.memory = int(block_rows), int(window), int(memory)
        opened = open_table(X, self.block_rows, folder, dtype)
        self._table = table = opened.table
        self.n_rows = int(table.n_rows)
        several = isinstance(target, list | tuple)
        wanted = target if several else [] if target is None else [target]
        self._targets = [column_number(table, t) for t in wanted]
        self._vector = not several
        self._weight = None if weight is None else column_number(table, weight)
        self._y = self._beside(y, opened.y, "y", self._targets)
        self._w = self._beside(
            sample_weight, opened.weight, "sample_weight", [] if weight is None else [weight]
        )
        self._columns = self._features(columns)
        self._function: Callable[[np.ndarray], Any] | None = None
        self.n_features = len(self._columns)
        names = table.names
        self.feature_names = None if names is None else tuple(names[c] for c in self._columns)
        named = names is not None and len(self._targets) == 1
        self.target_name = names[self._targets[0]] if named and names is not None else None
        narrow = table.dtype in (np.float32, np.float16)
        self.dtype = np.dtype(dtype or (np.float32 if narrow else np.float64))

    def _beside(self, given: Any, found: Any, name: str, inside: list[Any]) -> Any:
        """Targets or weights that lie beside X."""
        if given is not None and inside:
            raise ValueError(f"{name} is given twice: beside X, and as a column of it.")
        if inside:
            return None
        if given is None:
            rows = found
        elif hasattr(given, "read") and hasattr(given, "shape"):
            rows = given
        else:
            rows = Slices(given, name)
        if rows is not None and rows.shape[0] != self.n_rows:
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: X has "
                f"{self.n_rows} rows and {name} {rows.shape[0]}."
            )
        return rows

    def _features(self, columns: Sequence[Any] | None) -> list[int]:
        others = {*self._targets, *([] if self._weight is None else [self._weight])}
        if columns is None:
            return [c for c in range(self._table.n_columns) if c not in others]
        found = [column_number(self._table, c) for c in columns]
        if others & set(found):
            wrong = [c for c, number in zip(columns, found, strict=True) if number in others]
            raise ValueError(
                f"columns has {wrong[0]!r}, which is the target or the weight: name features alone."
            )
        return found

    @property
    def shape(self) -> tuple[int, int]:
        """(n_rows, n_features)."""
        return self.n_rows, self.n_features

    @property
    def direct(self) -> bool:
        """Whether reading costs no more than a copy, so that nothing needs to be kept."""
        return bool(self._table.direct) and self._function is None

    @property
    def has_target(self) -> bool:
        """Whether there are targets inside."""
        return bool(self._targets) or self._y is not None

    @property
    def has_weight(self) -> bool:
        """Whether there are weights inside."""
        return self._weight is not None or self._w is not None

    def __len__(self) -> int:
        return self.n_rows

    def __repr__(self) -> str:
        return f"Blocks(n_rows={self.n_rows}, n_features={self.n_features}, dtype={self.dtype})"

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None, Any]:
        """Rows from `start` up to `stop`, which is not among them.

        Parameters
        ----------
        start, stop : int

        Returns
        -------
        X : ndarray of shape (rows, n_features)
            In the source's dtype; only to be read.
        y : ndarray of shape (rows,) or (rows, n_outputs), or None
        weight : ndarray of shape (rows,), or None

        Raises
        ------
        ValueError
            For rows that there are not, or a column of anything but numbers among the features.
        """
        return self.read_features(start, stop), *self.read_targets(start, stop)

    def read_features(self, start: int, stop: int) -> np.ndarray:
        """The features alone.

        Parameters
        ----------
        start, stop : int

        Returns
        -------
        ndarray of shape (rows, n_features)
        """
        self._check(start, stop)
        found = self._table.numbers(start, stop, self._columns)
        return found if self._function is None else self._changed(found)

    def fill_features(self, start: int, stop: int, into: np.ndarray) -> None:
        """Write the features into an array, without a copy between where the source allows it.

        Parameters
        ----------
        start, stop : int
        into : ndarray of shape (rows, n_features)
        """
        self._check(start, stop)
        if self._function is None:
            self._table.fill(start, stop, self._columns, into)
        else:
            into[...] = self.read_features(start, stop)

    def _changed(self, found: np.ndarray) -> np.ndarray:
        """What the function of `map` makes of some features."""
        assert self._function is not None
        changed = np.asarray(self._function(found))
        if changed.shape != (len(found), self.n_features):
            raise ValueError(
                f"the function of map() made {changed.shape} of {found.shape}: it must give one "
                f"row a row, and {self.n_features} features each time."
            )
        return changed

    def map(self, function: Callable[[np.ndarray], Any]) -> "Blocks":
        """The same rows, their features changed as they are read.

        Parameters
        ----------
        function : callable
            Takes features (rows, n_features) and gives an array of as many rows, each computed by
            itself: a fitted transformer's ``transform``.

        Returns
        -------
        Blocks
            Without feature names where their number changes.

        Examples
        --------
        >>> blocks = Blocks(np.array([[1.0, 5.0], [3.0, 9.0]]))
        >>> about = blocks.statistics()
        >>> blocks.map(lambda x: (x - about.mean) / about.std).read(0, 2)[0].tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
        """
        new = copy(self)
        before = self._function
        new._function = function if before is None else OneAfterOther(before, function)
        some = np.asarray(function(self.read_features(0, min(2, self.n_rows))))
        if some.ndim != 2 or len(some) != min(2, self.n_rows):
            raise ValueError(f"the function of map() made {some.shape} of two rows, not two rows.")
        if some.shape[1] != self.n_features:
            new.n_features, new.feature_names = int(some.shape[1]), None
        new.dtype = np.dtype(np.float32 if some.dtype in (np.float32, np.float16) else np.float64)
        return new

    def statistics(self, sample: int = 100_000, seed: int = 0) -> Statistics:
        """Means, spreads, limits and quantiles of the features, in one pass.

        Parameters
        ----------
        sample : int, default=100_000
            About how many rows the quantiles are of.
        seed : int, default=0
            Which ones.
        """
        rows = ((start, self.read_features(start, stop)) for start, stop in self.bounds())
        return statistics_of(rows, self.n_rows, self.n_features, sample, seed)

    def read_targets(self, start: int, stop: int) -> tuple[np.ndarray | None, Any]:
        """Targets and weights alone, without the features where the source can.

        Parameters
        ----------
        start, stop : int

        Returns
        -------
        y, weight : ndarray, or None
        """
        self._check(start, stop)
        table, w, y = self._table, None, None
        if self._targets:
            found = [table.values(start, stop, c) for c in self._targets]
            y = found[0] if self._vector else np.stack(found, axis=1)
        elif self._y is not None:
            y = self._y.read(start, stop)
        if self._weight is not None:
            w = table.values(start, stop, self._weight)
        elif self._w is not None:
            w = self._w.read(start, stop)
        return y, w

    def table(self, start: int, stop: int) -> Any:
        """The features as columns of any kind, words among them.

        Parameters
        ----------
        start, stop : int

        Returns
        -------
        ndarray, pyarrow.Table, or dict of str to ndarray
        """
        self._check(start, stop)
        if self._function is not None:
            return self.read_features(start, stop)
        return self._table.columns(start, stop, self._columns)

    def _check(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.n_rows:
            raise ValueError(f"there are the rows 0 to {self.n_rows}, not {start} to {stop}.")

    def bounds(self) -> Iterator[tuple[int, int]]:
        """Where each block begins and ends."""
        for start in range(0, self.n_rows, self.block_rows):
            yield start, min(start + self.block_rows, self.n_rows)

    def select(self, columns: Sequence[Any], target: Any = None) -> "Blocks":
        """The same rows with other features, and another target.

        Parameters
        ----------
        columns : list of str or int
        target : str or int, default=None

        Raises
        ------
        ValueError
            After `map`, which may have made other columns.
        """
        if self._function is not None:
            raise ValueError("select() goes before map(), which may have made other columns.")
        new = copy(self)
        table = self._table
        new._targets = [] if target is None else [column_number(table, target)]
        new._y, new._vector = None, True
        new._columns = new._features(columns)
        new.n_features, names = len(new._columns), table.names
        new.feature_names = None if names is None else tuple(names[c] for c in new._columns)
        new.target_name = target if isinstance(target, str) else None
        return new

    def without_targets(self) -> "Blocks":
        """The features alone, as `map` has made them, for targets beside them."""
        new = copy(self)
        new._targets, new._y, new._vector, new.target_name = [], None, True, None
        return new

    def with_targets(self, y: Any, sample_weight: Any = None) -> "Blocks":
        """The same rows with targets, or weights, beside them.

        Parameters
        ----------
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), or None
        sample_weight : array-like of shape (n_rows,), default=None

        Raises
        ------
        ValueError
            Where there are some already, or another number of rows.
        """
        new = copy(self)
        if y is not None:
            if self.has_target:
                raise ValueError(
                    "y is given twice: the blocks have targets inside already. Leave y out, or "
                    "make the Blocks without a target."
                )
            new._y = self._beside(y, None, "y", [])
        if sample_weight is not None:
            if self.has_weight:
                raise ValueError(
                    "sample_weight is given twice: the blocks have weights inside. Leave it out, "
                    "or make the Blocks without a weight."
                )
            new._w = self._beside(sample_weight, None, "sample_weight", [])
        return new
