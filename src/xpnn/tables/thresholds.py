"""Where the classes of a table change at once along a column of numbers."""

from typing import NamedTuple

import numpy as np

from xpnn.distributed.communicator import Communicator
from xpnn.tables.kinds import Step

FEWEST_ROWS = 1024
"""Rows from which on a step can be told from a slope."""

_DEPTH = 3  # cuts of cuts: at most 7 a column
_SIDE = 32  # rows on each side of a step
_MOST_ROWS = 20_000  # that are looked at, evenly through the sorted ones
_MOST_CLASSES = 64  # of more, each has too few rows to tell by


class Classes(NamedTuple):
    """The classes of rows, and which member of a model has not seen each."""

    codes: np.ndarray  # (n,), class numbers from 0
    folds: np.ndarray  # (repeats, n), from 0 to n_folds - 1
    n_folds: int

    def of_rows(self, rows: np.ndarray | slice) -> "Classes":
        """The same of some rows."""
        return self._replace(codes=self.codes[rows], folds=self.folds[:, rows])

    def of_all(self, comm: Communicator) -> "Classes":
        """Those of the rows of all processes, one behind the other."""
        folds = comm.gather_rows(np.ascontiguousarray(self.folds.T)).T
        return self._replace(codes=comm.gather_rows(self.codes), folds=folds)


def member_steps(values: np.ndarray, classes: Classes) -> tuple[Step, ...]:
    """The `class_steps` of each member's own rows, all but those of its fold.

    So what a member predicts for the rows of its fold does not depend on their classes.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite.
    classes : Classes
        Of `n` rows.

    Returns
    -------
    tuple of Step
        In rising order; none of fewer than `FEWEST_ROWS`.

    Examples
    --------
    >>> x, folds = np.arange(2000.0), np.arange(2000) % 2
    >>> member_steps(x, Classes(np.where(x < 500, 0, 1), folds[None], 2))
    (Step(low=498.0, high=500.0, members=(1,)), Step(low=499.0, high=501.0, members=(0,)))
    """
    codes, folds, n_folds = classes
    if len(values) < FEWEST_ROWS or codes.max() >= _MOST_CLASSES:
        return ()
    order = np.argsort(values, kind="stable")
    values, codes, folds = values[order], codes[order], folds[:, order]
    found = dict[tuple[float, float], list[int]]()
    for member in range(len(folds) * n_folds):
        repeat, fold = divmod(member, n_folds)
        own = folds[repeat] != fold
        for pair in class_steps(values[own], codes[own]):
            found.setdefault(pair, []).append(member)
    return tuple(Step(*pair, tuple(members)) for pair, members in sorted(found.items()))


def class_steps(values: np.ndarray, codes: np.ndarray) -> list[tuple[float, float]]:
    """Pairs of neighbouring values between which the classes change at once.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite, in rising order.
    codes : ndarray of int, shape (n,)
        Class numbers, from 0.

    Returns
    -------
    list of (float, float)
        In rising order.

    Notes
    -----
    A part of the sorted rows is cut where that tells most about their classes, if it tells more
    than the cut takes to describe (Fayyad and Irani). That finds slopes too, so a cut is a step
    only if the same is true of the 32 rows on each of its sides alone.

    References
    ----------
    U. Fayyad and K. Irani (1993), "Multi-interval discretization of continuous-valued attributes
    for classification learning", IJCAI.

    Examples
    --------
    >>> x = np.arange(2000.0)
    >>> class_steps(x, np.where(x < 500, 0, 1))
    [(499.0, 500.0)]
    >>> slope = np.random.default_rng(0).uniform(0, 2000, 2000) < x
    >>> class_steps(x, slope.astype(int))
    []
    """
    every = max(-(-len(values) // _MOST_ROWS), 1)
    rows = _Rows.of(values[::every], codes[::every])
    parts, found = [(0, len(rows.values), _DEPTH)], list[tuple[float, float]]()
    while parts:
        start, stop, depth = parts.pop()
        cut = _best_cut(rows, start, stop)
        if cut is None:
            continue
        if _is_step(rows, cut):
            found.append((float(rows.values[cut - 1]), float(rows.values[cut])))
        if depth > 1:
            parts += [(start, cut, depth - 1), (cut, stop, depth - 1)]
    return sorted(found)


class _Rows(NamedTuple):
    """Rows in the order of their values."""

    values: np.ndarray
    codes: np.ndarray
    before: np.ndarray  # how many of a row's class come before it
    n_log_n: np.ndarray  # of each whole number up to that of all rows

    @classmethod
    def of(cls, values: np.ndarray, codes: np.ndarray) -> "_Rows":
        n, counts = np.arange(len(values) + 1), np.bincount(codes)
        before = np.empty(len(values), dtype=np.int64)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        before[np.argsort(codes, kind="stable")] = n[:-1] - first
        return cls(values, codes, before, n * np.log2(np.maximum(n, 1)))


def _best_cut(rows: _Rows, start: int, stop: int) -> int | None:
    """Where to cut the rows from `start` to `stop`, or None."""
    part = rows.values[start:stop]
    cuts = 1 + np.flatnonzero(part[1:] > part[:-1])
    if len(part) < 2 * _SIDE or not len(cuts):
        return None
    worth = _worth(rows, start, stop, cuts, len(cuts))
    best = int(np.argmax(worth))
    return start + int(cuts[best]) if worth[best] > 0 else None


def _is_step(rows: _Rows, cut: int) -> bool:
    """Whether a cut is worth it by the rows beside it, equal values all or none, alone."""
    values = rows.values
    start = int(np.searchsorted(values, values[max(cut - _SIDE, 0)], side="left"))
    stop = int(np.searchsorted(values, values[min(cut + _SIDE, len(values)) - 1], side="right"))
    return bool(_worth(rows, start, stop, np.array([cut - start]), stop - start - 1)[0] > 0)


def _worth(rows: _Rows, start: int, stop: int, cuts: np.ndarray, choices: int) -> np.ndarray:
    """Bits a row that cuts tell, less what they take to describe.

    `cuts` are rows on the left, of those from `start` to `stop`. One more changes the count of its
    own class alone.
    """
    codes, f, at = rows.codes[start:stop], rows.n_log_n, cuts - 1
    total = np.bincount(codes)
    left = rows.before[start:stop] - np.bincount(rows.codes[:start], minlength=len(total))[codes]
    right, whole = total[codes] - left, f[total].sum()
    n, n_kinds = len(codes), np.count_nonzero(total)
    kinds = np.cumsum(left == 0)[at], n_kinds - np.cumsum(right == 1)[at]
    bits_left = (f[cuts] - np.cumsum(f[left + 1] - f[left])[at]) / cuts
    bits_right = (f[n - cuts] - whole - np.cumsum(f[right - 1] - f[right])[at]) / (n - cuts)
    bits = (f[n] - whole) / n
    gain = bits - (cuts * bits_left + (n - cuts) * bits_right) / n
    about = n_kinds * bits - kinds[0] * bits_left - kinds[1] * bits_right
    price = np.log2(choices) + np.log2(3.0**n_kinds - 2.0) - about
    found: np.ndarray = gain - price / n
    return found
