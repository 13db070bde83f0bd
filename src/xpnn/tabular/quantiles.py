"""Several quantiles of one target, learned at once."""

import itertools
from dataclasses import dataclass

from array_api_compat import device

from xpnn.arrays.typing import Array, Namespace


@dataclass(frozen=True)
class Pinballs:
    """The mean of the pinball losses of some quantiles, an output each.

    References
    ----------
    R. Koenker and G. Bassett (1978), "Regression quantiles", Econometrica 46.

    Examples
    --------
    >>> import numpy as np
    >>> loss = Pinballs((0.1, 0.9))
    >>> value, gradient = loss(np.zeros((1, 2)), np.ones((1, 1)), None, np)
    >>> float(value), gradient.tolist()
    (0.5, [[-0.05, -0.45]])
    """

    levels: tuple[float, ...]  # between 0 and 1, in rising order

    def __call__(
        self, output: Array, target: Array, weight: Array | None, xp: Namespace
    ) -> tuple[Array, Array]:
        """The loss, 0-d, and its gradient with respect to outputs of shape (n, n_levels)."""
        # Python numbers, so that nothing is moved within a step
        columns = [xp.full((1,), q, dtype=output.dtype, device=device(output)) for q in self.levels]
        level, r = xp.concat(columns), output - target
        slope = xp.astype(r > 0, r.dtype) - level
        if weight is None:
            share = xp.ones_like(r[:, 0]) / r.shape[0]
        else:
            total = xp.sum(weight)
            share = weight / xp.where(total > 0, total, xp.ones_like(total))
        share = share[:, None] / len(self.levels)
        return xp.sum(slope * r * share), slope * share


def check_levels(quantiles: object) -> tuple[float, ...] | None:
    """Quantiles as a tuple of rising floats, or a ValueError that says so; None stays None."""
    if quantiles is None:
        return None
    try:
        levels = tuple(float(q) for q in quantiles)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        levels = ()
    rising = all(a < b for a, b in itertools.pairwise(levels))
    if not (levels and rising and levels[0] > 0 and levels[-1] < 1):
        raise ValueError(
            f"quantiles is {quantiles!r}, expected numbers between 0 and 1 in rising order, such "
            "as (0.05, 0.5, 0.95)."
        )
    return levels
