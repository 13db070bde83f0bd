"""What a table asks: features, target and task, and which rows train, validate and test."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xpnn.tables.columns import Columns, TableError, hint
from xpnn.tables.preprocessing import Preprocessing, Target, fit_preprocessing
from xpnn.tables.read import Table, parse_numbers, words_in

TARGETS = ("target", "label", "class", "y")
"""Names that are taken for the target when none is given; else it is the last column."""

_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}([T ].*)?")
_ROW_NAME = re.compile(r"|index|row|unnamed: ?0|(.*[_ .-])?id")


@dataclass(frozen=True)
class Problem:
    """A table taken apart: what is known, what is to be predicted, and what was left out.

    Attributes
    ----------
    columns : dict of str to ndarray of shape (n,)
    y : ndarray of shape (n,)
        float64, or for classification of whole numbers int64 and of text str.
    target : Target
    one_unit : bool
        Whether all columns share a mean and a scale.
    notices : tuple of str
        What was decided, to be shown.
    """

    columns: Columns
    y: np.ndarray
    target: Target
    one_unit: bool
    notices: tuple[str, ...]

    def fit_preprocessing(self, rows: np.ndarray, *, scale_target: bool = True) -> Preprocessing:
        """What `xpnn.preprocessing.fit_preprocessing` learns from some rows."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        options = {"one_unit": self.one_unit, "scale_target": scale_target}
        return fit_preprocessing(columns, self.y[rows], self.target, **options)


def make_problem(
    table: Table, target: str | None = None, task: str | None = None, drop: Sequence[str] = ()
) -> Problem:
    """Tell features, target and task of a table.

    Without `task`, text is classification; so are whole numbers when there are two, or at most
    20 different ones and five rows for each. Rows without a target are left out.

    Parameters
    ----------
    table : Table
    target : str, default=None
        Its name; None takes the table's own, else the first of `TARGETS`, else the last column.
    task : {"classification", "regression"}, default=None
    drop : sequence of str
        Columns to leave out.

    Returns
    -------
    Problem

    Raises
    ------
    TableError
        For an unknown column, no features, or a target that does not suit the task.

    Examples
    --------
    >>> from xpnn.tables.read import read_table
    >>> problem = make_problem(read_table("diabetes"))
    >>> problem.target.task, problem.y.dtype, len(problem.columns)
    ('regression', dtype('float64'), 10)
    """
    names = list(table.columns)
    for name in (*([] if target is None else [target]), *drop):
        if name not in table.columns:
            raise TableError(f"{table.name} has no column {name!r}{hint(name, names)}.")
    if target is None:
        lower = {n.lower(): n for n in reversed(names)}
        found = (lower[t] for t in TARGETS if t in lower)
        target = table.target or next(found, names[-1])
    if target in drop:
        raise TableError(f"The target {target!r} cannot be dropped; name another --target.")
    column = table.columns[target]
    present = np.array([v is not None and v == v for v in column], dtype=bool)
    if not present.any():
        raise TableError(f"The target {target!r} has no values.")
    notices = []
    if not present.all():
        notices.append(f"left out {(~present).sum()} rows without {target!r}")
    known_task = table.task if target == table.target else None
    y, task = _target_values(column[present], target, task or known_task)
    columns = {n: c[present] for n, c in table.columns.items() if n != target and n not in drop}
    columns = _useful(columns, notices)
    if not columns:
        raise TableError(f"{table.name} has no columns to predict {target!r} from.")
    return Problem(columns, y, Target(target, task), table.one_unit, tuple(notices))


def _target_values(column: np.ndarray, name: str, task: str | None) -> tuple[np.ndarray, str]:
    numbers = column
    if column.dtype == object and not {str(v).lower() for v in column} <= {"true", "false"}:
        numbers = parse_numbers(column)
    if numbers.dtype == object:
        if task == "regression":
            raise TableError(
                f"The target {name!r} is not numeric ({words_in(numbers)[0]!r}); regression needs "
                f"numbers. Try --task classification or another --target."
            )
        return _checked_classes(numbers.astype(str), name), "classification"
    if not np.isfinite(numbers).all():
        raise TableError(f"The target {name!r} has infinite values or gaps written as words.")
    whole = bool((numbers == np.round(numbers)).all()) and np.abs(numbers).max() < 2**53
    n_values = len(np.unique(numbers))
    if task is None:
        few = n_values == 2 or (n_values <= 20 and 5 * n_values <= len(numbers))
        task = "classification" if whole and few else "regression"
    if task == "regression":
        return numbers, task
    return _checked_classes(numbers.astype(np.int64) if whole else numbers, name), task


def _checked_classes(y: np.ndarray, name: str) -> np.ndarray:
    n_classes = len(np.unique(y))
    if n_classes < 2:
        raise TableError(f"The target {name!r} is always {y[0]!s}; there is nothing to learn.")
    if 2 * n_classes > len(y) and n_classes > 10:
        raise TableError(
            f"The target {name!r} has {n_classes} different values in {len(y)} rows, too many for "
            f"classes. Try --task regression or another --target."
        )
    return y


def _useful(columns: Columns, notices: list[str]) -> Columns:
    """Without row numbers, ids and empty columns; numbers as numbers. Dates are an error."""
    kept = {}
    for name, raw in columns.items():
        column = parse_numbers(raw)
        n = len(column)
        if column.dtype != object:
            values = column[~np.isnan(column)]
            whole = bool((values == np.floor(values)).all())
            distinct = len(values) == n > 10 and whole and len(np.unique(values)) == n
            if len(values) == 0:
                notices.append(f"left out {name!r}: it is empty")
            elif distinct and _ROW_NAME.fullmatch(name.lower()):
                notices.append(f"left out {name!r}: it numbers the rows")
            else:
                kept[name] = column
            continue
        words = [v for v in column if v is not None]
        if not words:
            notices.append(f"left out {name!r}: it is empty")
        elif all(_DATE.fullmatch(v) for v in words):
            raise TableError(
                f"Column {name!r} holds dates ({words[0]!r}); leave it out with --drop "
                f"{name!r}, or write year, month and day as numbers."
            )
        elif len(set(words)) > max(10, len(words) / 2):
            odd = words_in(column)
            most = 10 * len(odd) < len(words)
            why = f"all numbers but {odd[0]!r}, say" if most else "an id?"
            notices.append(f"left out {name!r}: {len(set(words))} different texts ({why})")
        else:
            kept[name] = column
    return kept


def split_rows(
    y: np.ndarray, task: str, test_size: float = 0.2, validation_size: float = 0.1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split rows for training, validation and test: always the same way, stratified.

    Rows are put in order of y, in a fixed random order among equals, and taken at even steps:
    so each part has its share of every class, or of every range of a regression's target. A
    class always has a row in training.

    Parameters
    ----------
    y : ndarray of shape (n,)
    task : {"classification", "regression"}
    test_size, validation_size : float
        Parts of the whole, above 0; together below 1.

    Returns
    -------
    train, validation, test : ndarray of int
        Row numbers in rising order; none is empty.

    Raises
    ------
    TableError
        For fewer than 5 rows.

    Examples
    --------
    >>> train, validation, test = split_rows(np.repeat([0, 1], 50), "classification")
    >>> len(train), len(validation), len(test)
    (70, 10, 20)
    """
    n = len(y)
    if n < 5:
        raise TableError(f"A table of {n} rows is too small to train and test on; 5 is the least.")
    order = np.random.default_rng(0).permutation(n)
    order = order[np.argsort(y[order], kind="stable")]
    test = _every(order, test_size)
    rest = order[~np.isin(order, test)]
    validation = _every(rest, validation_size / (1 - test_size))
    if task == "classification":
        held = np.union1d(test, validation)
        for label in np.unique(y):
            rows = np.flatnonzero(y == label)
            if np.isin(rows, held).all():  # a class too rare for its share
                test, validation = (part[part != rows[0]] for part in (test, validation))
    if not (len(test) and len(validation)):
        raise TableError(f"{n} rows are too few for the classes in them; get more of each.")
    train = np.setdiff1d(np.arange(n), np.union1d(test, validation))
    return train, np.sort(validation), np.sort(test)


def _every(rows: np.ndarray, part: float) -> np.ndarray:
    """Take a part of the rows at even steps, at least one and never all."""
    count = min(max(1, round(len(rows) * part)), len(rows) - 1)
    steps = (np.arange(1, len(rows) + 1) * count) // len(rows)
    return rows[np.diff(steps, prepend=0) > 0]
