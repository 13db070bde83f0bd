"""Rows chosen by a hash of their numbers: the same ones in any order and on any machine."""

import numpy as np

from xpnn.arrays.random import SPLIT, host_generator, threefry_2x32


def chosen(start: int, stop: int, fraction: float, seed: int, stream: int = SPLIT) -> np.ndarray:
    """Which rows a hash of the seed and the row's number chooses.

    Parameters
    ----------
    fraction : float
        How many, in the mean.
    seed : int
        64 bits.
    stream : int, default=SPLIT
        Of `xpnn.random`: choices of one kind do not depend on those of another.

    Returns
    -------
    ndarray of bool, shape (stop - start,)

    Examples
    --------
    >>> bool((chosen(0, 100, 0.2, 7)[40:] == chosen(40, 100, 0.2, 7)).all())
    True
    """
    key = host_generator(seed, stream).integers(0, 1 << 32, size=2).tolist()
    rows = np.arange(start, stop, dtype=np.uint64)
    low, high = (rows & 0xFFFFFFFF).astype(np.uint32), (rows >> 32).astype(np.uint32)
    words, _ = threefry_2x32((key[0], key[1]), low, high)
    return np.asarray(words < fraction * 2.0**32)
