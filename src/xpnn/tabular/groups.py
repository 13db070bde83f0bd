"""Rows that belong together, such as those of one patient, and folds that keep them so."""

from typing import Any

import numpy as np

from xpnn.estimators._inputs import on_host, readable
from xpnn.tables.columns import is_missing
from xpnn.tabular.ownrows import Part

_RANGES = 5  # of a target of numbers, each of which every fold is to have its share of
_KINDS = 100  # classes of which folds are to have their shares; for memory, the rest are one


def read_groups(groups: Any, part: Part) -> np.ndarray | None:
    """The number of each row's group; None where nobody says any.

    Parameters
    ----------
    groups : array-like of shape (n,), or None
        Of any values that can be compared for equality.
    part : Part
        The rows that are here.
    """
    if part.apart:
        if part.comm is not None and any(part.comm.gather(groups is not None)):
            raise ValueError(
                "groups are for processes that all have all rows: pass mpi() and all rows to each, "
                "or leave groups out."
            )
        return None
    if groups is None:
        return None
    values = np.asarray(on_host(readable(groups, "groups")))
    if values.shape != (part.n,):
        raise ValueError(
            f"groups has the shape {values.shape}, expected ({part.n},): one value for each row."
        )
    listed, places = values.tolist(), dict[Any, int]()
    codes = np.array([places.setdefault(v, len(places)) for v in listed], dtype=np.int64)
    if missing := [i for i, v in enumerate(listed) if is_missing(v)]:
        raise ValueError(
            f"groups has no value in row {missing[0]}: give the row a group, if need be one of its "
            "own."
        )
    return codes


def count_groups(groups: np.ndarray | None, n_members: int | None) -> int | None:
    """How many groups there are, at least as many as folds.

    Examples
    --------
    >>> count_groups(np.array([0, 1, 1]), None)
    2
    """
    if groups is None:
        return None
    count = len(np.unique(groups))
    if count < max(2, n_members or 0):
        raise ValueError(
            f"groups has {count} different values in the rows with a weight above 0, and "
            f"{n_members or 2} members need as many, as each leaves some groups out: pass more "
            "groups" + (f", or n_members={count}." if count > 1 else ", or none.")
        )
    return count


def folds_of_groups(
    strata: np.ndarray, groups: np.ndarray, folds: int, rng: np.random.Generator, classes: bool
) -> np.ndarray:
    """The fold of each row, that of all rows of its group.

    The largest groups first, each goes where folds become most alike: in rows, and in the rows of
    each class or range of the target, both as shares of all.

    Parameters
    ----------
    strata : ndarray of shape (n,)
        Class numbers, or the numbers to be predicted.
    groups : ndarray of int, shape (n,)
        At least as many as folds.
    rng : numpy.random.Generator
    classes : bool
        Whether strata are class numbers.

    Returns
    -------
    ndarray of int64, shape (n,)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = folds_of_groups(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), 2, rng, True)
    >>> sorted(found.tolist()), bool(found[0] == found[1])
    ([0, 0, 1, 1], True)
    """
    if not classes:
        cuts = np.quantile(strata, np.arange(1, _RANGES) / _RANGES)
        strata = np.searchsorted(cuts, strata, side="right")
    _, kinds, counts = np.unique(strata, return_inverse=True, return_counts=True)
    kinds = np.minimum(np.argsort(np.argsort(-counts, kind="stable"))[kinds], _KINDS)
    _, own = np.unique(groups, return_inverse=True)
    parts = np.zeros((own.max() + 1, kinds.max() + 2))
    np.add.at(parts, (own, kinds), 1.0)
    parts[:, -1] = parts.sum(axis=1)
    parts /= parts.sum(axis=0)
    load, found = np.zeros((folds, parts.shape[1])), np.empty(len(parts), dtype=np.int64)
    mixed = rng.permutation(len(parts))
    for g in mixed[np.argsort(-parts[mixed, -1], kind="stable")]:
        # how much the sum of the squares of all shares rises
        found[g] = np.argmin((2.0 * load + parts[g]) @ parts[g])
        load[found[g]] += parts[g]
    whole: np.ndarray = rng.permutation(folds)[found][own]
    return whole
