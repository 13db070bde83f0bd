"""Which rows each member of a network leaves out."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from xpnn.arrays.random import SPLIT, host_generator
from xpnn.tabular.groups import folds_of_groups
from xpnn.tabular.ownrows import Shards
from xpnn.tabular.recipe import Recipe


def make_folds(strata: np.ndarray, folds: int, repeats: int, seed: int) -> np.ndarray:
    """The fold of each row, stratified: each fold has its share of every class, or of every range.

    Parameters
    ----------
    strata : ndarray of shape (n,)
        Class numbers, or the numbers to be predicted.

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
    rng = host_generator(seed, SPLIT)
    return np.stack([_in_turns(strata, folds, rng) for _ in range(repeats)])


def _in_turns(strata: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The folds in turns, along the rows in the order of their strata."""
    n, found = len(strata), np.empty(len(strata), dtype=np.int64)
    mixed = rng.permutation(n)
    order = mixed[np.argsort(strata[mixed], kind="stable")]
    names = rng.permutation(folds)
    found[order] = names[np.arange(n) % folds]
    return found


def folds_of_shards(
    strata: np.ndarray, ends: Sequence[int], folds: int, repeats: int, seed: int, classes: bool
) -> np.ndarray:
    """`make_folds` of rows that are cut into shards, each of which has its share of every fold.

    Parameters
    ----------
    strata : ndarray of shape (n,)
    ends : sequence of int
        Where shards end, from 0 on.
    classes : bool
        Whether strata are class numbers: of each class, too, the folds have about as many rows
        over all shards, the rarest first.

    Returns
    -------
    ndarray of int64, shape (repeats, n)
        In each shard of sizes that differ by 1 at most.

    Examples
    --------
    >>> folds_of_shards(np.array([0, 0, 1, 1]), [0, 2, 4], 2, 1, 0, True)[0].reshape(2, 2).sum(1)
    array([1, 1])
    """
    rng, found = host_generator(seed, SPLIT), np.empty((repeats, len(strata)), dtype=np.int64)
    for repeat in found:
        counts = np.bincount(strata) if classes else np.empty(0)
        rarest = np.argsort(counts, kind="stable")
        seen = np.zeros((len(counts), folds), dtype=np.int64)
        for a, b in pairwise(ends):
            if classes:
                repeat[a:b] = _rarest_first(strata[a:b], rarest, seen, rng)
            else:
                repeat[a:b] = _in_turns(strata[a:b], folds, rng)
    return found


def _rarest_first(
    codes: np.ndarray, rarest: np.ndarray, seen: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A shard's folds: a class's rows that are too few for all go where the fewest rows are.

    `seen` counts them by class and fold, and is brought up to date.
    """
    folds, found = seen.shape[1], np.empty(len(codes), dtype=np.int64)
    load = np.zeros(folds, dtype=np.int64)
    mixed = rng.permutation(len(codes))
    rows = np.split(
        mixed[np.argsort(codes[mixed], kind="stable")],
        np.cumsum(np.bincount(codes, minlength=len(seen)))[:-1],
    )
    for c in rarest:
        whole, rest = divmod(len(rows[c]), folds)
        few = np.lexsort(np.stack([rng.random(folds), seen[c], load]))[:rest]
        found[rows[c]] = np.concatenate([np.tile(np.arange(folds), whole), few])
        load[few] += 1
        seen[c, few] += 1
    return found


def folds_of(
    strata: np.ndarray,
    recipe: Recipe,
    seed: int,
    classes: bool,
    shards: Shards | None = None,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """The fold of each row in each repeat of a recipe, (repeats, n); by shards of own rows."""
    if groups is not None:
        rng, given = host_generator(seed, SPLIT), (strata, groups, recipe.folds)
        return np.stack([folds_of_groups(*given, rng, classes) for _ in range(recipe.repeats)])
    how = recipe.folds, recipe.repeats, seed
    if shards is None or not shards.apart:
        return make_folds(strata, *how)
    return folds_of_shards(strata, shards.ends, *how, classes)


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
        A member with fewer rows than the others has some twice: one less, and it is the first.

    Examples
    --------
    >>> member_rows(np.array([[0, 1, 1]]), 2).T.tolist()
    [[1, 2], [0, 0]]
    """
    own = [np.flatnonzero(repeat != f) for repeat in folds for f in range(count)]
    most = max(map(len, own))
    more = [most - len(rows) for rows in own]
    return np.stack(
        [
            np.concatenate([rows, rows[np.arange(k) * len(rows) // max(k, 1)]])
            for rows, k in zip(own, more, strict=True)
        ],
        axis=1,
    )


def held_rows(folds: np.ndarray, count: int) -> list[np.ndarray]:
    """The rows that each member predicts out of fold: those of its fold.

    Parameters
    ----------
    folds : ndarray of int, shape (repeats, n)
    count : int
        Folds of a repeat.

    Examples
    --------
    >>> [rows.tolist() for rows in held_rows(np.array([[0, 1, 1]]), 2)]
    [[0], [1, 2]]
    """
    return [np.flatnonzero(repeat == f) for repeat in folds for f in range(count)]
