"""A skewed positive target is learned as it is and as its logarithm, by one network.

The second output shows the network what many small values have in common, which their squared
errors hide behind those of a few large ones; how much it counts in a prediction is found out of
fold.
"""

import numpy as np

MOST_ROWS = 5_000
"""Rows up to which a logarithm is learned too: more tell a network enough, and take long."""

_SKEWED = 1.0


def is_skewed(y: np.ndarray, weight: np.ndarray | None) -> bool:
    """Whether a target is above 0 with a skewness above 1, and its logarithm has less than half.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Rows that count.
    weight : ndarray of shape (n,), or None

    Examples
    --------
    >>> prices = np.exp(np.random.default_rng(0).normal(size=100))
    >>> is_skewed(prices, None), is_skewed(np.log(prices), None), is_skewed(-prices, None)
    (True, False, False)
    """
    if y.min() <= 0 or y.min() == y.max():
        return False
    plain = _skewness(y / y.max(), weight)
    return plain > _SKEWED and 2.0 * abs(_skewness(np.log(y), weight)) < plain


def _skewness(values: np.ndarray, weight: np.ndarray | None) -> float:
    apart = values - np.average(values, weights=weight)
    variance = float(np.average(apart**2, weights=weight))
    third = float(np.average(apart**3, weights=weight))
    return third / variance**1.5 if variance > 0 else 0.0


def share_of_logarithm(
    plain: np.ndarray, of_logarithm: np.ndarray, y: np.ndarray, weight: np.ndarray | None
) -> float:
    """How much predictions by the logarithm are to count beside plain ones, from 0 to 1.

    Parameters
    ----------
    plain, of_logarithm : ndarray of shape (n,)
        Two predictions of `y`, out of fold.
    y : ndarray of shape (n,)
    weight : ndarray of shape (n,), or None

    Returns
    -------
    float
        With the least squared error.

    Examples
    --------
    >>> share_of_logarithm(np.array([0.0, 0.0]), np.array([4.0, 8.0]), np.array([1.0, 2.0]), None)
    0.25
    """
    apart, missing = of_logarithm - plain, y - plain
    whole = float(np.average(apart**2, weights=weight))
    share = float(np.average(apart * missing, weights=weight)) / whole if whole > 0 else 0.0
    return min(max(share, 0.0), 1.0)
