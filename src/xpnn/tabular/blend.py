"""How much each valley counts, by what it says of rows that it has not seen."""

from collections.abc import Callable, Sequence

import numpy as np

_ROUNDS = 12


def blend_weights(
    predictions: Sequence[np.ndarray], score: Callable[[np.ndarray], float]
) -> np.ndarray:
    """Weights of a mean, found by adding the prediction that helps most, again and again.

    Parameters
    ----------
    predictions : sequence of ndarray
        Out of fold, one a candidate.
    score : callable (prediction) -> float
        The lower the better.

    Returns
    -------
    ndarray of float64, shape (n_candidates,)
        At least 0, with the sum 1: those of the round with the best score.

    References
    ----------
    R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes (2004), "Ensemble selection from
    libraries of models".

    Examples
    --------
    >>> target = np.array([1.0, 2.0])
    >>> blend_weights([target - 1.0, target + 1.0], lambda p: float(((p - target) ** 2).mean()))
    array([0.5, 0.5])
    """
    counts = np.zeros(len(predictions), dtype=np.int64)
    total = np.zeros_like(predictions[0])
    best, found = np.inf, counts.copy()
    for size in range(1, _ROUNDS + 1):
        scores = [score((total + p) / size) for p in predictions]
        chosen = int(np.argmin(scores))
        counts[chosen] += 1
        total = total + predictions[chosen]
        if scores[chosen] < best:
            best, found = scores[chosen], counts.copy()
    if not found.any():  # no score is a number
        found[-1] = 1
    weights: np.ndarray = found / found.sum()
    return weights


def last_by_half(weights: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Weights of which the last candidate's is halved.

    Out of fold one member predicts a row, of new rows all of them do, which makes networks better
    and linear models hardly: so a linear candidate's weight out of fold is too large.

    Parameters
    ----------
    weights : ndarray of shape (n_candidates,)
    alone : ndarray of shape (n_candidates - 1,)
        Those of the others without the last one.

    Examples
    --------
    >>> last_by_half(np.array([0.5, 0.0, 0.5]), np.array([1.0, 0.0]))
    array([0.75, 0.  , 0.25])
    >>> last_by_half(np.array([0.0, 0.0, 1.0]), np.array([0.5, 0.5]))
    array([0.25, 0.25, 0.5 ])
    """
    last, rest = float(weights[-1]), weights[:-1]
    shares = rest / (1.0 - last) if last < 1.0 else alone
    return np.append((1.0 - last / 2.0) * shares, last / 2.0)
