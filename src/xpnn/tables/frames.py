"""Any table that a user may have, as named columns on the host."""

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj, is_numpy_array

from xpnn.arrays.backend import to_numpy
from xpnn.tables.read import Columns

_LARGEST = 1 << 53  # whole numbers up to here are floats without loss


def read_columns(X: Any) -> Columns:
    """The columns of a table.

    Parameters
    ----------
    X : table of shape (n_samples, n_features)
        A pandas, polars or pyarrow table or any other that narwhals knows; a mapping of names to
        columns; a NumPy array, of objects too; an array of another library on any device; or
        rows in a list.

    Returns
    -------
    dict of str to ndarray of shape (n_samples,)
        float64 with NaN where a value is missing; datetime64[us] with NaT; or objects that are
        str, or None. Columns without names are called x0, x1, ...

    Raises
    ------
    ValueError
        For what is no table: of another number of dimensions, sparse, or complex.
    TypeError
        For values that are neither numbers, nor words, nor dates.

    Examples
    --------
    >>> read_columns(np.array([[1.0, np.nan]]))
    {'x0': array([1.]), 'x1': array([nan])}
    >>> read_columns({"colour": ["red", None]})
    {'colour': array(['red', None], dtype=object)}
    """
    if hasattr(X, "tocsr"):
        raise TypeError(
            "Sparse data was passed, but a tabular model takes dense tables alone: use "
            "X.toarray(), or MLPClassifier and MLPRegressor, which take CSR."
        )
    if isinstance(X, Mapping):
        return {str(name): read_column(values, str(name)) for name, values in X.items()}
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        return _of_frame(X)
    if is_array_api_obj(X) and not is_numpy_array(X):
        X = to_numpy(X)
    rows = X if isinstance(X, np.ndarray) else _as_array(X)
    if rows.dtype.kind == "c":
        raise ValueError(f"Complex data not supported, got {rows.dtype}.")
    if rows.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {rows.ndim}D array instead: a table has a row for each "
            "sample. Reshape your data using X.reshape(-1, 1) if it has a single feature or "
            "X.reshape(1, -1) if it contains a single sample."
        )
    return {f"x{i}": read_column(rows[:, i], f"x{i}") for i in range(rows.shape[1])}


def _as_array(X: Any) -> np.ndarray:
    try:
        found = np.asarray(X)
    except ValueError:  # rows of several lengths
        raise ValueError("X has rows of different lengths: give each the same features.") from None
    if found.dtype.kind in "US":  # numbers beside words: each as it was
        found = np.asarray(X, dtype=object)
    return found


def _of_frame(X: Any) -> Columns:
    import narwhals.stable.v1 as nw

    frame = nw.from_native(X)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    columns: Columns = {}
    for name in frame.columns:
        series, label = frame[name], str(name)
        if series.dtype in (nw.Categorical, nw.Enum):
            columns[label] = as_words(series.to_numpy())
        else:
            columns[label] = read_column(series.to_numpy(), label)
    return columns


def read_column(values: Any, name: str) -> np.ndarray:
    """One column as `read_columns` has it.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
    name : str
        How errors call it.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    TypeError
        For values that are neither numbers, nor words, nor dates.

    Examples
    --------
    >>> read_column([1, None, True], "age")
    array([ 1., nan,  1.])
    """
    column = values if isinstance(values, np.ndarray) else _one_dimensional(values)
    kind = column.dtype.kind
    if kind in "biuf":
        return column.astype(np.float64)
    if kind == "M":
        return column.astype("datetime64[us]")
    if kind == "m":
        return _seconds(column)
    if kind in "US":
        column = column.astype(object)
    if column.dtype != object:
        raise TypeError(f"Column {name!r} holds {column.dtype}, expected numbers, words or dates.")
    return _of_objects(column, name)


def as_words(column: np.ndarray) -> np.ndarray:
    """A column as objects that are str, or None where missing; whole numbers without a point.

    Parameters
    ----------
    column : ndarray of shape (n_samples,)

    Returns
    -------
    ndarray of objects, shape (n_samples,)

    Examples
    --------
    >>> as_words(np.array([1.0, np.nan])).tolist()
    ['1', None]
    """
    found = np.empty(len(column), dtype=object)
    found[:] = [None if _missing(v) else _word(v) for v in column.tolist()]
    return found


def _one_dimensional(values: Any) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = list(values)
    return found


def _of_objects(column: np.ndarray, name: str) -> np.ndarray:
    values = column.tolist()
    known = [v for v in values if not _missing(v)]
    kinds = {type(v) for v in known}
    if all(issubclass(k, Real | np.bool_ | Decimal) for k in kinds):
        return np.array([math.nan if _missing(v) else float(v) for v in values])
    if all(issubclass(k, dt.date | np.datetime64) for k in kinds):
        return np.array([_utc(v) for v in values], dtype="datetime64[us]")
    if all(issubclass(k, dt.timedelta | np.timedelta64) for k in kinds):
        filled = ["NaT" if _missing(v) else v for v in values]
        return _seconds(np.array(filled, dtype="timedelta64[us]"))
    if all(issubclass(k, dt.time) for k in kinds):
        return np.array([math.nan if _missing(v) else _of_day(v) for v in values])
    for row, v in enumerate(values):
        if not _missing(v) and not isinstance(v, str | bytes | Real | np.bool_ | Decimal):
            shown = str(v)
            if not hasattr(v, "isoformat") and type(v).__module__ == "builtins":
                raise TypeError(
                    f"Column {name!r} holds {v!r} in row {row}: argument must be a string or a "
                    "real number, or a date; take such columns apart, or leave them out."
                )
            values[row] = shown
    found = np.empty(len(values), dtype=object)
    found[:] = [None if _missing(v) else _word(v) for v in values]
    return found


def _missing(value: Any) -> bool:
    """Whether it is None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas' NA is neither
        return type(value).__name__ == "NAType"


def _word(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return str(int(value))
    return str(value)


def _seconds(column: np.ndarray) -> np.ndarray:
    seconds = column / np.timedelta64(1, "s")
    return np.asarray(seconds, dtype=np.float64)


def _of_day(time: dt.time) -> float:
    return 3600.0 * time.hour + 60.0 * time.minute + time.second + 1e-6 * time.microsecond


def _utc(value: Any) -> Any:
    if _missing(value):
        return np.datetime64("NaT")
    if getattr(value, "tzinfo", None) is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")
