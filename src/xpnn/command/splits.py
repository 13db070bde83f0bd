"""Which rows are for the test: a fair part, whole groups, or the latest."""

from collections import Counter

import numpy as np

from xpnn.tables.columns import TableError, as_text
from xpnn.tables.problem import Problem, read_alike
from xpnn.tables.read import Table


def split_by_groups(groups: np.ndarray, test_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows, no group in both.

    Parameters
    ----------
    groups : ndarray of shape (n,)
        What must stay together, such as a patient's name; a missing value is a group too.
    test_size : float
        About which part of the rows is for the test.

    Examples
    --------
    >>> train, test = split_by_groups(np.array(["a", "a", "b", "b"], dtype=object), 0.5)
    >>> len(train), len(test)
    (2, 2)
    """
    names = _names(groups)
    counts = Counter(names)
    different = sorted(counts)
    if len(different) < 2:
        raise TableError(
            f"All rows are of one group, {different[0]!r}, so none is left for a test: "
            "name another column by --group, or leave it out."
        )
    mixed = np.random.default_rng(0).permutation(len(different))
    chosen: set[str] = set()
    rows = 0
    for i in mixed[:-1]:
        if chosen and rows >= test_size * len(names):
            break
        chosen.add(different[i])
        rows += counts[different[i]]
    test = np.array([name in chosen for name in names])
    return np.flatnonzero(~test), np.flatnonzero(test)


def names_of(groups: np.ndarray, train: np.ndarray) -> np.ndarray | None:
    """The groups by name, for folds; None where training has one alone, which no fold can leave.

    Parameters
    ----------
    train : ndarray of int
        Rows for training.

    Examples
    --------
    >>> names_of(np.array(["a", "b", None], dtype=object), np.array([0, 2])).tolist()
    ['a', 'b', '']
    """
    names = np.array(_names(groups))
    return names if len(np.unique(names[train])) > 1 else None


def _names(groups: np.ndarray) -> list[str]:
    return [v or "" for v in as_text(groups).tolist()]


def split_by_time(times: np.ndarray, test_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Training rows and, later than all of these, test rows.

    Parameters
    ----------
    times : ndarray of shape (n,)
        Numbers or times; rows without one are for training.

    Examples
    --------
    >>> split_by_time(np.array([3.0, 1.0, 2.0]), 0.4)
    (array([1, 2]), array([0]))
    """
    if times.dtype == object:
        words = next((v for v in as_text(times).tolist() if v), "")
        raise TableError(
            f"The column of --time holds words, such as {words!r}; name one of times or numbers."
        )
    known = np.sort(times[~np.isnan(times)])
    if not len(known) or known[0] == known[-1]:
        what = f"All times are {known[0]}" if len(known) else "No row has a time"
        raise TableError(f"{what}, so none is later; name another column, or leave --time out.")
    at = min(len(known) - 1, max(1, round(len(known) * (1.0 - test_size))))
    later = known[known > known[at - 1]]
    first = later[0] if len(later) else known[-1]
    test = ~np.isnan(times) & (times >= first)
    return np.flatnonzero(~test), np.flatnonzero(test)


def split_evenly(y: np.ndarray, task: str, test_size: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows: always the same ones, each with its share of every class or range.

    Rows are put in order of y (of several targets the first), in a fixed random order among
    equals, and taken at even steps. A class always has a row in training.

    Examples
    --------
    >>> train, test = split_evenly(np.repeat([0, 1], 50), "classification")
    >>> len(train), len(test)
    (80, 20)
    """
    y, n = (y if y.ndim == 1 else y[:, 0]), len(y)
    if n < 5:
        raise TableError(f"A table of {n} rows is too small to train and test on; 5 is the least.")
    order = np.random.default_rng(0).permutation(n)
    order = order[np.argsort(y[order], kind="stable")]
    count = min(max(1, round(n * test_size)), n - 1)
    test = order[np.diff(np.arange(n + 1) * count // n) > 0]
    for label in np.unique(y) if task == "classification" else ():
        rows = np.flatnonzero(y == label)
        if np.isin(rows, test).all():  # a class too rare for its share
            test = test[test != rows[0]]
    if not len(test):
        raise TableError(f"{n} rows are too few for the classes in them; get more of each.")
    return np.setdiff1d(np.arange(n), test), np.sort(test)


def check_training(problem: Problem, rows: np.ndarray, column: str) -> None:
    """Refuse a split by a column that leaves one class, or one number, to learn from."""
    y = problem.y[rows]
    if len(y) and (y == y[0]).all():
        raise TableError(
            f"Split by {column!r}, all {len(y):,} rows to learn from have {problem.target.name!r} "
            f"{y[0]}: take another column, or another --test-size."
        )


def column_of(table: Table, problem: Problem, name: str) -> np.ndarray:
    """A column of the table, of the problem's rows alone; times and numbers as such."""
    if name not in table.columns:
        raise table.lacking(name)
    return np.asarray(table.parsed(name).values[problem.present])


def split_by_file(problem: Problem, table: Table) -> tuple[tuple[np.ndarray, np.ndarray], Problem]:
    """All rows for training, and those of another table for the test.

    Parameters
    ----------
    problem : Problem
        Of the training rows.
    table : Table
        With the same columns and the target.
    """
    other = read_alike(problem, table)
    classes = problem.target.task == "classification"
    if classes and not np.isin(other.y, problem.y).any():
        raise TableError(
            f"No row of {table.name} has a class of {problem.target.name!r} that training has: it "
            f"has {str(other.y[0])!r}, and training {str(problem.y[0])!r}."
        )
    return (np.arange(len(problem.y)), np.arange(len(other.y))), other
