"""Which columns only number the rows: by their names and their values."""

import re

import numpy as np

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|#|[^\W_]+")
_ID = frozenset(("id", "ids", "uid", "guid", "uuid", "index", "idx", "row", "rowid", "rownames"))
_NUMBER = frozenset((
    *("no", "nr", "num", "number", "serial", "sno", "srno", "slno", "sn", "record", "obs"),
    *("rownum", "rownumber", "key", "seq", "sequence", "n", "#", "observation", "case"),
))  # fmt: skip


def is_row_name(name: str) -> bool:
    """Whether a name is one of a row number: its last word is id, index or row.

    Examples
    --------
    >>> [n for n in ("PassengerId", "customer_id", "Unnamed: 0", "paid") if is_row_name(n)]
    ['PassengerId', 'customer_id', 'Unnamed: 0']
    """
    words = _words(name)
    unnamed = not name.strip() or re.fullmatch(r"unnamed: ?\d+", name.lower())
    return bool(unnamed) or (bool(words) and words[-1] in _ID)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def numbers_the_rows(values: np.ndarray, name: str) -> bool:
    """Whether a column of numbers only numbers the rows.

    Distinct whole numbers do under a name like an id's; numbers that rise by one from row to
    row do under more names.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)

    Examples
    --------
    >>> numbers_the_rows(np.arange(20.0), "RowNumber"), numbers_the_rows(np.arange(20.0), "year")
    (True, False)
    """
    n = len(values)
    if n <= 10 or np.isnan(values).any() or (values != np.floor(values)).any():
        return False
    if len(np.unique(values)) < n:
        return False
    if is_row_name(name):
        return True
    words = _words(name)
    counted = bool(words) and (words[-1] in _NUMBER or words[-1].endswith("id"))
    first_unnamed = re.fullmatch(r"column_1", name) is not None
    return (counted or first_unnamed) and bool((np.diff(values) == 1).all())
