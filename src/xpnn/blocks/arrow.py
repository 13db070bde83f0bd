"""Tables by pyarrow: Parquet and its data sets, a row group at a time, and tables in memory."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn.blocks.arrays import overlapping

CURE = 'get it with: python -m pip install "xpnn[data]"'


def need_pyarrow(what: str) -> Any:
    """pyarrow, or an ImportError that says how to install it."""
    try:
        import pyarrow
        import pyarrow.dataset
    except ModuleNotFoundError as error:
        raise ImportError(f"{what} needs pyarrow; {CURE}") from error
    return pyarrow


class _Columns:
    """What is read of tables whose columns are pyarrow's."""

    @abstractmethod
    def columns(self, start: int, stop: int, columns: Sequence[int]) -> Any:
        """Columns of any kind, a pyarrow Table."""

    def numbers(self, start: int, stop: int, columns: Sequence[int]) -> np.ndarray:
        """Numbers, (stop - start, len(columns))."""
        return matrix(self.columns(start, stop, columns))

    def fill(self, start: int, stop: int, columns: Sequence[int], into: np.ndarray) -> None:
        """Write what `numbers` gives into an array."""
        into[...] = self.numbers(start, stop, columns)

    def values(self, start: int, stop: int, column: int) -> np.ndarray:
        """One column's values of any kind, (stop - start,)."""
        return plain(self.columns(start, stop, [column]).column(0))


class ArrowTable(_Columns):
    """Columns of a pyarrow Table that is in memory.

    Parameters
    ----------
    table : pyarrow.Table

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = ArrowTable(pa.table({"size": [1, 2], "kind": ["a", "b"]}))
    >>> table.numbers(0, 2, [0]).ravel().tolist(), table.values(1, 2, 1).tolist()
    ([1, 2], ['b'])
    """

    direct = True

    def __init__(self, table: Any) -> None:
        self.table, self.schema = table, table.schema
        self.n_rows, self.n_columns = table.num_rows, table.num_columns
        self.names = tuple(table.schema.names)
        self.dtype = numbers_dtype(table.schema)

    def columns(self, start: int, stop: int, columns: Sequence[int]) -> Any:
        """Columns of any kind, a pyarrow Table."""
        return self.table.slice(start, stop - start).select(list(columns))


class ParquetTable(_Columns):
    """Columns of Parquet files, read by row groups.

    Parameters
    ----------
    dataset : pyarrow.dataset.FileSystemDataset

    Attributes
    ----------
    largest : int
        Rows of the largest row group: what has to be unpacked for a single row.
    """

    direct = False

    def __init__(self, dataset: Any) -> None:
        self.schema = dataset.schema
        self.names, self.n_columns = tuple(self.schema.names), len(self.schema.names)
        self.dtype = numbers_dtype(self.schema)
        self.groups = [g for f in dataset.get_fragments() for g in f.split_by_row_group()]
        counts = [g.row_groups[0].num_rows for g in self.groups]
        self.ends = np.cumsum(counts, dtype=np.int64)
        self.n_rows, self.largest = sum(counts), max(counts, default=0)
        self.last: tuple[Any, Any] = (None, None)

    def _table(self, group: int, names: tuple[str, ...]) -> Any:
        """Columns of a row group; the last one stays, as the next block may begin in it."""
        key = group, names
        if self.last[0] != key:
            found = self.groups[group].to_table(columns=list(names), schema=self.schema)
            self.last = key, found
        return self.last[1]

    def columns(self, start: int, stop: int, columns: Sequence[int]) -> Any:
        """Columns of any kind, a pyarrow Table."""
        import pyarrow as pa

        names = tuple(self.names[c] for c in columns)
        parts = overlapping(self.ends, start, stop)
        if not parts:
            return self.schema.empty_table().select(names)
        return pa.concat_tables([self._table(g, names).slice(a, b - a) for g, a, b in parts])


def is_number(kind: Any) -> bool:
    """Whether Arrow's type is one of numbers or truth values."""
    import pyarrow as pa

    is_a = pa.types
    tests = (is_a.is_integer, is_a.is_floating, is_a.is_boolean, is_a.is_decimal, is_a.is_null)
    return any(test(kind) for test in tests)


def numbers_dtype(schema: Any) -> np.dtype:
    """What NumPy makes of a table's numbers together; float64 where there are none.

    Examples
    --------
    >>> import pyarrow as pa
    >>> numbers_dtype(pa.schema({"a": pa.float32(), "b": pa.int16(), "c": pa.string()}))
    dtype('float32')
    """
    import pyarrow as pa

    wide = (pa.types.is_decimal, pa.types.is_null)  # and what has no type of NumPy's
    found = [
        np.float64 if any(test(kind) for test in wide) else kind.to_pandas_dtype()
        for kind in schema.types
        if is_number(kind)
    ]
    return np.result_type(*found) if found else np.dtype(np.float64)


def matrix(table: Any) -> np.ndarray:
    """A pyarrow Table's numbers, (rows, columns); what is missing is NaN."""
    kind = numbers_dtype(table.schema)
    if kind.kind != "f" and any(c.null_count for c in table.columns):
        kind = np.dtype(np.float64)
    found = np.empty((table.num_columns, table.num_rows), kind)
    for into, name, column in zip(found, table.schema.names, table.columns, strict=True):
        if not is_number(column.type):
            raise ValueError(
                f"the column {name!r} holds {column.type}, and a network takes numbers: leave it "
                "out (columns=[...]), or encode it first."
            )
        into[:] = plain(column)
    return found.T


def _floats(column: Any) -> np.ndarray:
    """A column with gaps as float64."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    found: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy()
    return found


def plain(column: Any) -> np.ndarray:
    """A column's values as NumPy has them; words as str."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64(), safe=False)
    if is_number(column.type):
        found: np.ndarray = _floats(column) if column.null_count else column.to_numpy()
        return found
    if column.null_count:
        raise ValueError(f"{column.null_count} labels are missing: leave these rows out.")
    return np.asarray(column.to_pylist())
