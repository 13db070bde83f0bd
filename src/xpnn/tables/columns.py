"""What a table is made of: columns as arrays, their text, and the error for all that is wrong.

A column is a NumPy array: float64 with NaN where a value is missing, datetime64[us] with NaT, or
objects that are str, or None where missing.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from xpnn.parts.entries import meant, nearest_first

Columns = dict[str, np.ndarray]


class TableError(ValueError):
    """A table that cannot be read or used; the message names what and the cure."""


def hint(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest of some names.

    Returns
    -------
    str
        To go at the end of a message. None is asked after that is not alike.

    Examples
    --------
    >>> hint("digit", ["iris", "digits"])
    "; did you mean 'digits'? There are, nearest first: digits, iris"
    """
    names = nearest_first(word, known)
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"{meant(word, names)} There are, nearest first: {shown}"


def distinct_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns' names, of which the second of its kind is called x_2 if that is free; and notes.

    Examples
    --------
    >>> distinct_names(["x", "x", "x_2"])
    (['x', 'x_3', 'x_2'], ["a second column 'x' is called 'x_3'"])
    """
    found, taken, notes = list[str](), set[str](), list[str]()
    for name in names:
        new, number = name, 2
        while new in taken or (new != name and new in names):
            new, number = f"{name}_{number}", number + 1
        if new != name:
            notes.append(f"a second column {name!r} is called {new!r}")
        taken.add(new)
        found.append(new)
    return found, notes


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or pandas' NA.

    Examples
    --------
    >>> [is_missing(v) for v in (None, float("nan"), 0, "")]
    [True, True, False, False]
    """
    missing = value is None or type(value).__name__ in ("NAType", "NaTType")
    return missing or bool(value != value)


def objects(values: Sequence[Any]) -> np.ndarray:
    """Put values into an array of objects, whatever they are.

    Parameters
    ----------
    values : sequence

    Returns
    -------
    ndarray of object, shape (n,)

    Examples
    --------
    >>> objects(["a", None])
    array(['a', None], dtype=object)
    """
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def as_text(column: np.ndarray) -> np.ndarray:
    """A column as text: whole numbers without a point, times in ISO's form.

    Parameters
    ----------
    column : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)
        Of str, and None where missing.

    Examples
    --------
    >>> as_text(np.array([1.0, 2.5, np.nan])).tolist()
    ['1', '2.5', None]
    """
    if column.dtype == object:
        return column
    if column.dtype.kind == "M":
        moments = np.datetime_as_string(column).tolist()
        return objects([None if t == "NaT" else t for t in moments])
    if column.dtype.kind in "iub":
        return objects([str(v) for v in column.tolist()])
    texts = (str(int(v)) if v.is_integer() else repr(v) for v in column.tolist())
    return objects([None if t == "nan" else t for t in texts])
