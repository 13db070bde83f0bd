"""What each column is worth: how much worse a prediction is without what the column says."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from xpnn.arrays.random import PERTURB, host_generator


def permutation_importance(
    x: np.ndarray,
    places: Mapping[str, Sequence[int]],
    loss: Callable[[np.ndarray], float],
    n_repeats: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """How much the loss rises when a column's values are permuted among the rows.

    Parameters
    ----------
    x : ndarray of shape (n, n_inputs)
    places : mapping of str to sequence of int
        Which inputs each column has become.
    loss : callable (x) -> float
    n_repeats : int
        Permutations of each column.
    seed : int

    Returns
    -------
    dict of str to (mean, standard deviation)
        The most important column first.

    References
    ----------
    L. Breiman (2001), "Random forests", Machine Learning 45.

    Examples
    --------
    >>> x = np.array([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0]])
    >>> loss = lambda x: float(np.abs(x[:, 0] - [0.0, 1.0, 2.0]).sum())
    >>> list(permutation_importance(x, {"b": [1], "a": [0]}, loss, 9, seed=0))
    ['a', 'b']
    """
    rng, whole = host_generator(seed, PERTURB), loss(x)
    found = {}
    for name, inputs in places.items():
        rises = []
        for _ in range(n_repeats):
            mixed = x.copy()
            mixed[:, inputs] = x[rng.permutation(len(x))][:, inputs]
            rises.append(loss(mixed) - whole)
        found[name] = float(np.mean(rises)), float(np.std(rises))
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))
