"""Which rows each member of a network leaves out."""

import numpy as np

from xpnn.arrays.random import SPLIT, host_generator


def make_folds(strata: np.ndarray, folds: int, repeats: int, seed: int) -> np.ndarray:
    """The fold of each row, stratified: each fold has its share of every class, or of every range.

    Parameters
    ----------
    strata : ndarray of shape (n,)
        Class numbers, or the numbers to be predicted.
    folds, repeats : int
    seed : int

    Returns
    -------
    ndarray of int64, shape (repeats, n)
        Numbers from 0 to folds - 1, of sizes that differ by 1 at most.

    Examples
    --------
    >>> found = make_folds(np.array([0, 0, 1, 1]), 2, 3, seed=0)
    >>> found.shape, sorted(found[0, :2].tolist())
    ((3, 4), [0, 1])
    """
    n, rng = len(strata), host_generator(seed, SPLIT)
    found = np.empty((repeats, n), dtype=np.int64)
    for repeat in found:
        mixed = rng.permutation(n)
        order = mixed[np.argsort(strata[mixed], kind="stable")]
        names = rng.permutation(folds)
        repeat[order] = names[np.arange(n) % folds]
    return found


def member_rows(folds: np.ndarray, count: int) -> np.ndarray:
    """The rows that each member learns from: all but those of its fold.

    Parameters
    ----------
    folds : ndarray of int, shape (repeats, n)
    count : int
        Folds of a repeat.

    Returns
    -------
    ndarray of int64, shape (k, repeats * count)
        A member with a row less than the others has its first row twice.

    Examples
    --------
    >>> member_rows(np.array([[0, 1, 1]]), 2).T.tolist()
    [[1, 2], [0, 0]]
    """
    own = [np.flatnonzero(repeat != f) for repeat in folds for f in range(count)]
    most = max(map(len, own))
    return np.stack([np.concatenate([rows, rows[: most - len(rows)]]) for rows in own], axis=1)
