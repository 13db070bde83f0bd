"""The training work that is compared: shapes, data, and how many epochs make a round."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A network, a batch size and as many rows.

    Parameters
    ----------
    sizes : tuple of int
        Features, hidden layers, classes.
    short : int
        Epochs of a short fit: 60 to 800 steps.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int
    epochs: int
    short: int
    dropout: float = 0.0

    @property
    def steps(self) -> int:
        """Training steps of an epoch; the last batch may be short."""
        return -(-self.rows // self.batch)

    @property
    def label(self) -> str:
        """Name and dropout rate."""
        return f"{self.name} {self.dropout:g}" if self.dropout else self.name

    @property
    def flops(self) -> int:
        """Floating-point operations of one step's matrix products."""
        pairs = [a * b for a, b in pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(pairs) - pairs[0])

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Features in float32, shape (rows, features), and labels in int64, shape (rows,)."""
        if self.name in ("tiny", "digits"):
            return _real(self)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.rows, self.sizes[0]), dtype=np.float32)
        teacher = rng.standard_normal((self.sizes[0], self.sizes[-1]), dtype=np.float32)
        return x, (x @ teacher).argmax(axis=1)


def _real(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits, load_iris

    x, y = (load_iris if workload.name == "tiny" else load_digits)(return_X_y=True)
    x = ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)).astype(np.float32)
    rows = np.arange(workload.rows) % len(x)
    return x[rows], y[rows]


WORKLOADS = (
    Workload("tiny", (4, 16, 3), 32, 3200, 300, 8),
    Workload("digits", (64, 100, 10), 200, 1797, 700, 40),
    Workload("tab", (54, 256, 256, 7), 1024, 20480, 40, 10),
    Workload("mnist", (784, 256, 128, 10), 128, 6400, 20, 4),
    Workload("wide", (784, 1024, 1024, 10), 512, 5120, 10, 6),
)
