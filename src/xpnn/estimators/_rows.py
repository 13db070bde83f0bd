"""Errors of a target that say in which rows it is not what it has to be."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from xpnn.arrays.backend import to_numpy

_MOST_ROWS = 3


@contextmanager
def naming_rows(y: Any) -> Iterator[None]:
    """Add to the error of a `y` that has NaN or infinity in which rows these stand."""
    try:
        yield
    except ValueError as error:
        what = str(error).replace("Input contains", "Input y contains", 1)  # of a list with None
        if not what.startswith("Input y contains"):
            raise
        found = _not_finite(y)
        told = f"{what.rstrip('.')}. {told_rows(found)}"
        raise ValueError(told if found else what) from error


def told_rows(rows: Sequence[int]) -> str:
    """A sentence of the rows that are to be left out, counted from 0.

    Examples
    --------
    >>> told_rows([4]), told_rows([4, 9]), told_rows(range(5))
    ('It stands in row 4: leave it out.', 'It stands in rows 4 and 9: leave them out.', \
'It stands in rows 0, 1, 2 and 2 others: leave them out.')
    """
    if len(rows) == 1:
        return f"It stands in row {rows[0]}: leave it out."
    others = len(rows) - _MOST_ROWS
    *first, last = [str(row) for row in rows[:_MOST_ROWS]]
    if others > 0:
        first, last = [*first, last], f"{others:,} other{'s' * (others > 1)}"
    return f"It stands in rows {', '.join(first)} and {last}: leave them out."


def _not_finite(y: Any) -> list[int]:
    """The rows of an array, a frame or a list in which something is missing or infinite."""
    from xpnn.tables.columns import is_missing

    values = y.toarray() if hasattr(y, "toarray") else to_numpy(y)
    cells = values.reshape(len(values), -1)
    try:
        wrong = ~np.isfinite(cells.astype(np.float64))
    except (TypeError, ValueError):  # text beside what is missing
        wrong = np.array([[is_missing(v) for v in row] for row in cells.tolist()], dtype=bool)
    rows: list[int] = np.flatnonzero(wrong.any(axis=1)).tolist()
    return rows


def check_labels(y: Any) -> None:
    """Refuse labels of which one is missing, or that are text and others; of any column of objects.

    Examples
    --------
    >>> check_labels(np.array(["a", None], dtype=object))
    Traceback (most recent call last):
        ...
    ValueError: y has no label in row 1: leave such rows out, or give them a label.
    """
    kind = getattr(y, "dtype", None)
    if kind is None or (kind.kind != "O" if isinstance(kind, np.dtype) else is_array_api_obj(y)):
        return
    from xpnn.tables.columns import is_missing, objects  # not for numbers

    values = y if isinstance(y, np.ndarray) else objects(listed(y))
    kinds = {*map(type, values.ravel().tolist())}
    if kinds <= {str}:  # most often, and quickly told
        return
    all_there(values, [is_missing(v) for v in values.ravel()])
    text = [v for v in values.ravel() if isinstance(v, str)]
    if text and len(text) < values.size:
        other = next(v for v in values.ravel() if not isinstance(v, str))
        raise ValueError(
            f"y holds text and other labels, such as {text[0]!r} and {other!r}: make them one "
            "kind, as by y.astype(str)."
        )


def listed(y: Any) -> list[Any]:
    """The values of a column: of pandas, polars, pyarrow or narwhals."""
    for name in ("to_pylist", "tolist", "to_list"):
        if hasattr(y, name):
            return list(getattr(y, name)())
    return list(y.to_numpy())


def all_there(values: np.ndarray, missing: Any) -> np.ndarray:
    """Labels of which none is missing."""
    rows = np.flatnonzero(missing)
    if len(rows):
        raise ValueError(
            f"y has no label in row {rows[0]}: leave such rows out, or give them a label."
        )
    return values
