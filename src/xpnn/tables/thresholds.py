"""Where the classes of a table change at once along a column of numbers."""

import numpy as np

FEWEST_ROWS = 1024
"""Rows from which on a step can be told from a slope."""

_DEPTH = 3  # cuts of cuts: at most 7 a column
_SIDE = 32  # rows on each side of a step
_MOST_ROWS = 20_000  # that are looked at, evenly through the sorted ones
_MOST_CLASSES = 64  # of more, each has too few rows to tell by


def class_steps(values: np.ndarray, codes: np.ndarray) -> list[tuple[float, float]]:
    """Pairs of neighbouring values between which the classes change at once.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite.
    codes : ndarray of int, shape (n,)
        Class numbers, from 0.

    Returns
    -------
    list of (float, float)
        In rising order; none of fewer than `FEWEST_ROWS`.

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
    if len(values) < FEWEST_ROWS or codes.max() >= _MOST_CLASSES:
        return []
    order = np.argsort(values, kind="stable")
    order = order[:: -(-len(order) // _MOST_ROWS)]
    values, one_hot = values[order], np.eye(int(codes.max()) + 1)[codes[order]]
    before = np.concatenate([np.zeros((1, one_hot.shape[1])), np.cumsum(one_hot, axis=0)])
    parts, found = [(0, len(values), _DEPTH)], list[tuple[float, float]]()
    while parts:
        start, stop, depth = parts.pop()
        cut = _best_cut(values, before, start, stop)
        if cut is None:
            continue
        if _is_step(values, before, cut):
            found.append((float(values[cut - 1]), float(values[cut])))
        if depth > 1:
            parts += [(start, cut, depth - 1), (cut, stop, depth - 1)]
    return sorted(found)


def _best_cut(values: np.ndarray, before: np.ndarray, start: int, stop: int) -> int | None:
    """Where to cut the sorted rows from `start` to `stop`, or None.

    `before` counts each class in all rows before a row, (n + 1, n_classes).
    """
    part = values[start:stop]
    cuts = start + 1 + np.flatnonzero(part[1:] > part[:-1])
    if len(part) < 2 * _SIDE or not len(cuts):
        return None
    worth = _worth(before[cuts] - before[start], before[stop] - before[cuts], len(cuts))
    best = int(np.argmax(worth))
    return int(cuts[best]) if worth[best] > 0 else None


def _is_step(values: np.ndarray, before: np.ndarray, cut: int) -> bool:
    """Whether a cut is worth it by the rows beside it, equal values all or none, alone."""
    start = np.searchsorted(values, values[max(cut - _SIDE, 0)], side="left")
    stop = np.searchsorted(values, values[min(cut + _SIDE, len(values)) - 1], side="right")
    sides = before[cut : cut + 1] - before[start], before[stop] - before[cut : cut + 1]
    return bool(_worth(*sides, int(stop - start) - 1)[0] > 0)


def _worth(left: np.ndarray, right: np.ndarray, choices: int) -> np.ndarray:
    """Bits a row that cuts tell, less what they take to describe; of counts (cuts, n_classes)."""
    whole = left + right
    n, kinds = (np.stack([f(s) for s in (whole, left, right)]) for f in (_rows, _kinds))
    bits = np.stack([_entropy(side) for side in (whole, left, right)])
    gain = bits[0] - (n[1] * bits[1] + n[2] * bits[2]) / n[0]
    about = kinds[0] * bits[0] - kinds[1] * bits[1] - kinds[2] * bits[2]
    price = np.log2(choices) + np.log2(3.0 ** kinds[0] - 2.0) - about
    found: np.ndarray = gain - price / n[0]
    return found


def _rows(counts: np.ndarray) -> np.ndarray:
    found: np.ndarray = counts.sum(axis=1)
    return found


def _kinds(counts: np.ndarray) -> np.ndarray:
    """How many classes there are."""
    found: np.ndarray = np.count_nonzero(counts, axis=1).astype(np.float64)
    return found


def _entropy(counts: np.ndarray) -> np.ndarray:
    """In bits, of rows of counts."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    bits = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    found: np.ndarray = -(shares * bits).sum(axis=1)
    return found
