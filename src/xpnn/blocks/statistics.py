"""What preprocessing has to know of the features, in one pass over the blocks."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.arrays.random import PERTURB
from xpnn.blocks.hashing import chosen


@dataclass(frozen=True)
class Statistics:
    """Of each feature; what is missing (NaN) counts in `missing` alone.

    Attributes
    ----------
    n_rows : int
    missing : ndarray of int, shape (n_features,)
    mean, std, least, most : ndarray of float64, shape (n_features,)
        NaN for a feature of which nothing is known. `std` is that of the population, as
        scikit-learn's StandardScaler has it.
    sample : ndarray of float64, shape (n, n_features)
        Rows chosen by a hash of their numbers.

    Examples
    --------
    >>> from xpnn.data import Blocks
    >>> about = Blocks(np.array([[1.0, 5.0], [3.0, np.nan]])).statistics()
    >>> about.mean.tolist(), about.std.tolist(), about.missing.tolist()
    ([2.0, 5.0], [1.0, 0.0], [0, 1])
    """

    n_rows: int
    missing: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    least: np.ndarray
    most: np.ndarray
    sample: np.ndarray

    def quantile(self, q: Any) -> np.ndarray:
        """Quantiles of the sample.

        Parameters
        ----------
        q : float or array-like of shape (k,)
            Between 0 and 1.

        Returns
        -------
        ndarray of shape (n_features,) or (k, n_features)
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a feature that has nothing
            found: np.ndarray = np.nanquantile(self.sample, q, axis=0)
        return found


def statistics_of(
    blocks: Iterator[tuple[int, np.ndarray]], n_rows: int, n_features: int, size: int, seed: int
) -> Statistics:
    """Merge the moments of blocks (first row, features), as Chan's formula has it.

    References
    ----------
    T. F. Chan, G. H. Golub and R. J. LeVeque (1983), "Algorithms for computing the sample
    variance", The American Statistician 37.
    """
    count, mean, square = (np.zeros(n_features) for _ in range(3))
    least, most = np.full(n_features, np.inf), np.full(n_features, -np.inf)
    sample, fraction = list[np.ndarray](), min(1.0, size / max(n_rows, 1))
    for start, rows in blocks:
        x = np.asarray(rows, dtype=np.float64)
        sample.append(x[chosen(start, start + len(x), fraction, seed, PERTURB)])
        known = ~np.isnan(x)
        n = known.sum(axis=0)
        some, zero = np.maximum(n, 1), np.where(known, x, 0.0)
        here = zero.sum(axis=0) / some
        spread = np.where(known, x - here, 0.0)
        total = np.maximum(count + n, 1)
        delta = np.where(n > 0, here - mean, 0.0)
        square += (spread**2).sum(axis=0) + delta**2 * count * n / total
        mean, count = mean + delta * n / total, count + n
        least = np.minimum(least, np.where(known, x, np.inf).min(axis=0, initial=np.inf))
        most = np.maximum(most, np.where(known, x, -np.inf).max(axis=0, initial=-np.inf))
    unknown = np.where(count > 0, 0.0, np.nan)
    std = np.sqrt(square / np.maximum(count, 1))
    taken = np.concatenate(sample) if sample else np.empty((0, n_features))
    return Statistics(
        n_rows,
        missing=(n_rows - count).astype(int),
        mean=mean + unknown,
        std=std + unknown,
        least=least + unknown,
        most=most + unknown,
        sample=taken,
    )
