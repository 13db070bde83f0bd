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
