"""What an epoch is cut into before it is cut into batches, and the order that it is drawn in."""

from typing import NamedTuple

import numpy as np

from xpnn.arrays.random import SHUFFLE, host_generator
from xpnn.arrays.typing import Array
from xpnn.steps.rules import Batch


class Draw(NamedTuple):
    """What an epoch's order follows from, but for the data."""

    seed: int  # 64 bits
    epoch: int
    members: int = 1  # how many orders: one for all, or each member's own
    shuffle: bool = True  # False takes the rows as they lie
    begun: int = 0  # steps that are done already: of these, a portion need not have rows

    def order(self, n: int, rows: np.ndarray | None = None) -> np.ndarray | None:
        """An epoch's order of `n` rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n, members), default=None
            The rows that each member learns from; None is all, for each.

        Returns
        -------
        ndarray of int, shape (n,) or (n, members), or None
            None stands for the order in which the rows lie.

        Examples
        --------
        >>> sorted(Draw(seed=7, epoch=0).order(4).tolist())
        [0, 1, 2, 3]
        """
        if not self.shuffle:
            return rows
        if rows is None and self.members == 1:
            return host_generator(self.seed, SHUFFLE, self.epoch).permutation(n)
        members = range(self.members if rows is None else rows.shape[1])
        draws = [host_generator(self.seed, SHUFFLE, self.epoch, m).permutation(n) for m in members]
        orders = np.stack(draws, axis=1)
        return orders if rows is None else np.take_along_axis(rows, orders, axis=0)


class Portion(NamedTuple):
    """Rows of an epoch whose steps need no other rows."""

    batch: Batch  # arrays on the device; of a streamed portion, just the one batch
    order: Array | None  # in which to take them, on the device
    start: int  # where in the order the first step begins
    steps: int
