"""What `Blocks` reads from: rows of numbers in named columns, some of which may be words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from xpnn.blocks.arrays import Parts, Slices


class Table(Protocol):
    """Rows and columns that are read a stretch at a time."""

    n_rows: int
    n_columns: int

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns."""

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers together."""

    @property
    def direct(self) -> bool:
        """Whether reading costs no more than a copy."""

    def numbers(self, start: int, stop: int, columns: Sequence[int]) -> np.ndarray:
        """Numbers, (stop - start, len(columns)).

        Raises
        ------
        ValueError
            For a column of anything else; it says its name.
        """
        ...

    def fill(self, start: int, stop: int, columns: Sequence[int], into: np.ndarray) -> None:
        """Write what `numbers` gives into an array, with one copy where the source allows it."""

    def values(self, start: int, stop: int, column: int) -> np.ndarray:
        """One column's values of any kind, (stop - start,)."""
        ...

    def columns(self, start: int, stop: int, columns: Sequence[int]) -> Any:
        """Columns of any kind: an array, a pyarrow Table, or a dict of names to arrays."""


class ArrayTable:
    """The columns of a two-dimensional array.

    Examples
    --------
    >>> table = ArrayTable(Slices(np.arange(6.0).reshape(2, 3), "X"))
    >>> table.numbers(0, 2, [0, 2]).tolist(), table.values(1, 2, 1).tolist()
    ([[0.0, 2.0], [3.0, 5.0]], [4.0])
    """

    names = None

    def __init__(self, rows: Slices | Parts) -> None:
        if len(rows.shape) != 2:
            raise ValueError(
                f"Expected 2D array, got 1D array instead: {rows.name} has the shape "
                f"{rows.shape}. Reshape it with X.reshape(-1, 1) if it is one feature."
            )
        if rows.dtype.kind not in "biuf":
            raise ValueError(
                f"{rows.name} holds {rows.dtype}, not numbers: encode it first, or give a "
                "structured array as a data frame."
            )
        self.rows, self.dtype, self.direct = rows, rows.dtype, rows.direct
        self.n_rows, self.n_columns = int(rows.shape[0]), int(rows.shape[1])

    def numbers(self, start: int, stop: int, columns: Sequence[int]) -> np.ndarray:
        """Numbers, (stop - start, len(columns))."""
        return self.rows.read(start, stop)[:, index_of(columns)]

    def fill(self, start: int, stop: int, columns: Sequence[int], into: np.ndarray) -> None:
        """Write what `numbers` gives into an array."""
        self.rows.fill(start, stop, index_of(columns), into)

    def columns(self, start: int, stop: int, columns: Sequence[int]) -> Any:
        """The same as numbers."""
        return self.numbers(start, stop, columns)

    def values(self, start: int, stop: int, column: int) -> np.ndarray:
        """One column, (stop - start,)."""
        return self.rows.read(start, stop)[:, column]


def index_of(columns: Sequence[int]) -> Any:
    """Columns as NumPy takes them without a copy, where they are neighbours.

    Examples
    --------
    >>> index_of([2, 3]), index_of([0, 2])
    (slice(2, 4, None), array([0, 2]))
    """
    first, found = columns[0] if columns else 0, list(columns)
    neighbours = found == list(range(first, first + len(found)))
    return slice(first, first + len(found)) if neighbours else np.asarray(found)


def column_number(table: Any, column: Any) -> int:
    """The number of a column that is named, or counted from the end.

    Examples
    --------
    >>> column_number(ArrayTable(Slices(np.zeros((2, 3)), "X")), -1)
    2
    """
    if isinstance(column, str):
        if table.names is None:
            raise ValueError(f"there is no column {column!r}: the columns have no names.")
        if column not in table.names:
            near = ", ".join(map(repr, table.names[:12]))
            more = ", ..." if len(table.names) > 12 else ""
            raise ValueError(f"there is no column {column!r}; there are {near}{more}.")
        found: int = table.names.index(column)
        return found
    if isinstance(column, bool) or not isinstance(column, int | np.integer):
        what = f"an array of shape {column.shape}" if hasattr(column, "shape") else repr(column)
        raise TypeError(
            f"a column is a name or a whole number, got {what}; targets and weights that lie "
            f"beside X go in as y and sample_weight."
        )
    number = int(column)
    if not -table.n_columns <= number < table.n_columns:
        raise ValueError(f"there is no column {number}: there are {table.n_columns}.")
    count: int = table.n_columns
    return number % count


@dataclass(frozen=True)
class OneAfterOther:
    """Two functions of `map`; a class, as a lambda cannot be pickled."""

    first: Callable[[np.ndarray], Any]
    second: Callable[[np.ndarray], Any]

    def __call__(self, x: np.ndarray) -> Any:
        """What the second makes of what the first gives."""
        return self.second(self.first(x))
