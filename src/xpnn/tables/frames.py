"""Any table that a user may have, as named columns on the host."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj, is_numpy_array

from xpnn.arrays.backend import to_numpy
from xpnn.arrays.libraries.base import check_some, check_whole
from xpnn.tables.columns import Columns, distinct_names, objects
from xpnn.tables.values import Parsed


class Frame(NamedTuple):
    """Columns as they were given, by name, and what is known of them already."""

    columns: Columns  # of numbers, times, or objects of any kind
    categories: frozenset[str] = frozenset()  # those that are words by their type
    parsed: Mapping[str, Parsed] = MappingProxyType({})  # those that were read already
    zoned: frozenset[str] = frozenset()  # times that had a zone by their type, and are UTC here

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def of_rows(self, rows: np.ndarray) -> "Frame":
        """Some rows, by a mask."""
        if rows.all():
            return self
        columns = {name: column[rows] for name, column in self.columns.items()}
        parsed = {n: replace(p, values=p.values[rows]) for n, p in self.parsed.items()}
        return Frame(columns, self.categories, parsed, self.zoned)

    def named(self, names: list[str]) -> "Frame":
        """The same columns by other names, in their order."""
        new = dict(zip(self.columns, names, strict=True))
        columns = {new[name]: column for name, column in self.columns.items()}
        by_type = self.categories, self.zoned
        categories, zoned = (frozenset(new[name] for name in names) for names in by_type)
        return Frame(columns, categories, zoned=zoned)


def read_frame(X: Any) -> Frame:
    """The columns of a table.

    Parameters
    ----------
    X : table of shape (n_samples, n_features)
        A pandas, polars or pyarrow table or any other that narwhals knows; a mapping of names to
        columns; a NumPy array, of objects too; an array of another library on any device; or
        rows in a list, each a list or a mapping of names to values, as of JSON.

    Returns
    -------
    Frame
        Columns without names are called x0, x1, ...

    Examples
    --------
    >>> read_frame(np.array([[1.0, np.nan]])).columns
    {'x0': array([1.]), 'x1': array([nan])}
    """
    X = as_table(X)
    if hasattr(X, "tocsr"):
        raise TypeError(
            "Sparse data was passed, but a tabular model takes dense tables alone: use "
            "X.toarray(), or MLPClassifier and MLPRegressor, which take CSR."
        )
    if isinstance(X, Frame):
        frame = X
    elif isinstance(X, Mapping):
        frame = Frame({str(name): _column(values, name) for name, values in X.items()})
        if len(frame.columns) < len(X):
            raise ValueError(f"Names of columns are the same as text: {list(X)}. Rename one.")
    elif hasattr(X, "columns") or hasattr(X, "column_names"):
        frame = _of_frame(X)
    else:
        frame = _of_rows(X)
    if len({len(column) for column in frame.columns.values()}) > 1:
        lengths = {name: len(column) for name, column in frame.columns.items()}
        raise ValueError(f"Columns have different lengths: {lengths}. Give each the same.")
    for name, column in frame.columns.items():
        if column.dtype.kind == "c":
            raise ValueError(
                f"Complex data not supported, got {column.dtype} in column {name!r}: pass its real "
                "and imaginary parts as two columns."
            )
    check_some((frame.n_rows, len(frame.columns)))
    return frame


def _of_rows(X: Any) -> Frame:
    if is_array_api_obj(X) and not is_numpy_array(X):
        X = to_numpy(X)
    if isinstance(X, str | PathLike):
        raise ValueError(
            f"Expected 2D array, got {str(X)!r} instead: read the file first, as by "
            "pandas.read_csv, or pass xpnn.data.Blocks of it."
        )
    check_whole(X, "X")
    if isinstance(X, np.matrix):
        raise TypeError("np.matrix is not supported: pass np.asarray(X).")
    rows = X if isinstance(X, np.ndarray) else np.asarray(X)
    if rows.dtype.kind in "US" and not isinstance(X, np.ndarray):
        rows = np.asarray(X, dtype=object)  # numbers beside words: each as it was
    if rows.dtype.kind == "c":
        raise ValueError(f"Complex data not supported, got {rows.dtype}.")
    if rows.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {rows.ndim}D array instead: a table has a row for each "
            "sample. Reshape your data using X.reshape(-1, 1) if it has a single feature or "
            "X.reshape(1, -1) if it contains a single sample; of a frame, X.iloc[[i]] is a row."
        )
    check_some(rows.shape)
    return Frame({f"x{i}": _column(rows[:, i]) for i in range(rows.shape[1])})


def _of_frame(X: Any) -> Frame:
    import narwhals.stable.v1 as nw

    frame = nw.from_native(X)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    columns: Columns = {}
    categories, zoned = set(), set()
    for series in frame.iter_columns():
        name = str(series.name)
        if series.dtype in (nw.Categorical, nw.Enum):
            categories.add(name)
            columns[name] = objects(series.to_list())  # pyarrow's to_numpy fills gaps with words
        elif series.dtype in (nw.Int128, nw.UInt128):  # which NumPy has not
            columns[name] = objects(series.to_list())
        else:
            if getattr(series.dtype, "time_zone", None):
                zoned.add(name)
            values = series.to_numpy()
            columns[name] = _column(values if values.ndim == 1 else objects(list(values)))
    return Frame(columns, frozenset(categories), zoned=frozenset(zoned))


def as_table(X: Any) -> Any:
    """A table that `read_frame` and scikit-learn's check of names both know.

    Parameters
    ----------
    X : object
        Of pandas' columns of one name the second is called x_2; a lazy frame is collected, a
        record batch becomes a table, a structured array and a list of mappings become a mapping of
        their fields, and masked values are missing ones. Others are returned as they are.

    Examples
    --------
    >>> as_table(np.array([(1.0, "a")], dtype=[("size", "f8"), ("kind", "U1")]))
    {'size': array([1.]), 'kind': array(['a'], dtype='<U1')}
    """
    if isinstance(X, np.ndarray):
        if X.dtype.names is not None:
            return {name: X[name] for name in X.dtype.names}
        return _unmasked(X)
    if isinstance(X, list | tuple):
        return _by_column(X) if X and all(isinstance(row, Mapping) for row in X) else X
    if type(X).__name__ == "RecordBatch" and hasattr(X, "schema"):
        import pyarrow as pa

        return pa.Table.from_batches([X])
    if hasattr(X, "collect_schema") and not hasattr(X, "shape"):
        return X.collect()
    if not (hasattr(X, "set_axis") and hasattr(X, "columns")):
        return X
    names = [str(name) for name in X.columns]
    return X if len(set(names)) == len(names) else X.set_axis(distinct_names(names)[0], axis=1)


def _by_column(records: Sequence[Mapping[Any, Any]]) -> dict[Any, list[Any]]:
    """Rows that name their values as columns; what a row has not is missing."""
    names = dict.fromkeys(name for row in records for name in row)
    return {name: [row.get(name) for row in records] for name in names}


def _unmasked(values: np.ndarray) -> np.ndarray:
    """Values of which those that are masked are missing."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    masked, found = np.ma.getmaskarray(values), np.array(values.data)
    if masked.any():
        kind = found.dtype.kind
        found = found if kind in "Mm" else found.astype("f8" if kind in "biuf" else object)
        found[masked] = None  # which is NaN, NaT or itself
    return found


def _column(values: Any, name: object = None) -> np.ndarray:
    if is_array_api_obj(values) and not is_numpy_array(values):
        values = to_numpy(values)
    no_column = isinstance(values, str | bytes) or not isinstance(values, Iterable)
    if no_column or getattr(values, "ndim", 1) != 1:
        raise ValueError(
            f"Column {name!r} is {values!r}, and a column is a list or an array of values, one for "
            "each row; a single row goes into a list."
        )
    column = _unmasked(values) if isinstance(values, np.ndarray) else objects(list(values))
    return column.astype(object) if column.dtype.kind in "USVT" else column
