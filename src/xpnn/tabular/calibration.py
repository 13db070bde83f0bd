"""Probabilities that mean what they say, and intervals that hold what they promise."""

import math

import numpy as np

_HALVINGS = 60
OF_THE_MEAN = 0.75
"""The power of the members' temperature that the mean of all members gets, which is less sure."""


def fit_temperature(
    probability: np.ndarray, codes: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """The temperature that makes probabilities out of fold most likely.

    Parameters
    ----------
    probability : ndarray of shape (n, n_classes)
    codes : ndarray of int, shape (n,)
        The true classes.
    weight : ndarray of shape (n,), default=None

    Returns
    -------
    float
        Between 0.2 and 5; above 1 for probabilities that are too sure.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun and K. Weinberger (2017), "On calibration of modern neural
    networks".

    Examples
    --------
    >>> sure = np.array([[0.99, 0.01]] * 4)
    >>> fit_temperature(sure, np.array([0, 0, 0, 1])) > 1
    True
    """
    from scipy.optimize import minimize_scalar

    if probability.shape[1] < 2:
        return 1.0
    logs = np.log(np.maximum(probability.T, 1e-12), order="C")  # sums over few classes are slow
    logs -= logs.max(axis=0)
    of_true = logs[codes, np.arange(len(codes))]

    def loss(log_temperature: float) -> float:
        colder = math.exp(-log_temperature)
        true = of_true * colder - np.log(np.exp(logs * colder).sum(axis=0))
        return float(-np.average(true, weights=weight))

    found = minimize_scalar(loss, bounds=(math.log(0.2), math.log(5.0)), method="bounded")
    return math.exp(float(found.x)) if loss(float(found.x)) < loss(0.0) else 1.0


def tempered(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at another temperature.

    Parameters
    ----------
    probability : ndarray of shape (n, n_classes)

    Returns
    -------
    ndarray of shape (n, n_classes)

    Examples
    --------
    >>> tempered(np.array([[0.8, 0.2]]), 2.0).round(4)
    array([[0.6667, 0.3333]])
    """
    z = np.log(np.maximum(probability, 1e-12)) / temperature
    e = np.exp(z - z.max(axis=1, keepdims=True))
    scaled: np.ndarray = e / e.sum(axis=1, keepdims=True)
    return scaled


def cross_conformal_interval(
    residuals: list[np.ndarray],
    predictions: list[np.ndarray],
    level: float,
    upper: list[np.ndarray] | None = None,
) -> np.ndarray:
    """Intervals by the plus form of cross-conformal prediction.

    The bounds are quantiles, over all training rows, of the prediction by the member that has not
    seen the row, minus or plus the row's absolute residual.

    Parameters
    ----------
    residuals : list of ndarray
        Of each member: absolute residuals of the rows of its fold; with `upper`, how far the
        target lies outside of the bounds, negative inside.
    predictions : list of ndarray of shape (n,)
        Of each member, for the new rows; with `upper`, the lower bounds.
    level : float
        Between 0 and 1, such as 0.9.
    upper : list of ndarray of shape (n,), default=None
        Upper bounds of each member: conformalized quantile regression.

    Returns
    -------
    ndarray of shape (n, 2)
        Infinite where there are too few training rows for the level.

    Notes
    -----
    For exchangeable rows the coverage is at least ``2 level - 1`` less a term that vanishes with
    the number of rows, whatever the model and the data; in practice it is about `level`.

    References
    ----------
    R. Barber, E. Candès, A. Ramdas and R. Tibshirani (2021), "Predictive inference with the
    jackknife+", Annals of Statistics 49. Y. Romano, E. Patterson and E. Candès (2019),
    "Conformalized quantile regression".

    Examples
    --------
    >>> residuals = [np.array([1.0, 2.0]), np.array([1.0, 3.0])]
    >>> cross_conformal_interval(residuals, [np.zeros(1), np.zeros(1)], 0.6)
    array([[-2.,  2.]])
    """
    n = sum(map(len, residuals))
    rank = math.ceil(level * (n + 1) - 1e-9)
    spreads = [np.sort(r) for r in residuals]
    high = _smallest(spreads, predictions if upper is None else upper, rank, n)
    low = -_smallest(spreads, [-p for p in predictions], rank, n)
    return np.stack([low, high], axis=1)


def median_interval(
    residuals: list[np.ndarray],
    predictions: list[np.ndarray],
    level: float,
    upper: list[np.ndarray] | None = None,
) -> np.ndarray:
    """The medians of the bounds that each member sets by the residuals of its own fold.

    Returns
    -------
    ndarray of shape (n, 2)
        Where folds have too few rows for the level, the plus form if that is wider: infinite where
        all rows are too few.

    Notes
    -----
    A member with n rows in its fold has the r-th smallest residual there as half a width, which is
    split conformal prediction at the level ``r / (n + 1)``. The ranks are the largest whose levels
    are at most `level` in the mean over all members. A target outside of the medians is outside of
    the bounds of half of the members at least, so of K members with N rows in all the coverage is
    at least ``1 - K / ceil(K / 2) * (1 - level + 1 / N)`` for exchangeable rows, whatever the
    model: 0.83 of five members at the level 0.9.

    References
    ----------
    G. Cherubin (2019), "Majority vote ensembles of conformal predictors", Machine Learning 108.
    M. Gasparin and A. Ramdas (2024), "Merging uncertainty sets via majority vote".

    Examples
    --------
    >>> residuals = [np.arange(1.0, 10.0), np.arange(1.0, 10.0), np.arange(10.0, 19.0)]
    >>> median_interval(residuals, [np.zeros(1), np.ones(1), np.ones(1)], 0.8)
    array([[-8.,  9.]])
    """
    sizes = [len(r) for r in residuals]
    wanted = _ranks(sizes, level)
    ranks = [min(k, n) for k, n in zip(wanted, sizes, strict=True)]
    pairs = zip(residuals, ranks, strict=True)
    widths = np.array([np.sort(r)[max(k, 1) - 1] for r, k in pairs])[:, None]
    low = np.median(np.asarray(predictions) - widths, axis=0)
    high = np.median(np.asarray(predictions if upper is None else upper) + widths, axis=0)
    if ranks != wanted:
        plus = cross_conformal_interval(residuals, predictions, level, upper)
        low, high = np.minimum(low, plus[:, 0]), np.maximum(high, plus[:, 1])
    return np.stack([low, high], axis=1)


def _ranks(sizes: list[int], level: float) -> list[int]:
    """Of n + 1 places for the residual of a new row in each fold, those up to a bound.

    All places of all folds are taken in turns, so that a higher level has no lower rank.
    """
    n = np.asarray(sizes)
    fold = np.repeat(np.arange(len(n)), n + 1)
    place = np.concatenate([np.arange(1, k + 2) for k in sizes])
    share = 1.0 / (n + 1)[fold]
    order = np.argsort(place * share, kind="stable")
    told = np.cumsum(share[order])
    count = int(np.searchsorted(told, len(n) * level + 1e-9, side="right"))
    ranks: list[int] = np.bincount(fold[order][:count], minlength=len(n)).tolist()
    return ranks


def _smallest(
    spreads: list[np.ndarray], predictions: list[np.ndarray], rank: int, n: int
) -> np.ndarray:
    """The `rank`-th smallest of prediction + residual over all members' rows, for each new row.

    Found by halving: how many are at most v is a sum of searches in sorted residuals.
    """
    shape = predictions[0].shape
    if rank > n:
        return np.full(shape, np.inf)
    both = [(p, s) for p, s in zip(predictions, spreads, strict=True) if len(s)]
    low: np.ndarray = np.min([p + s[0] for p, s in both], axis=0)
    high: np.ndarray = np.max([p + s[-1] for p, s in both], axis=0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        count = sum(np.searchsorted(s, middle - p, side="right") for p, s in both)
        enough = count >= rank
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return high
