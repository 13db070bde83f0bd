"""A table of numbers, words, truths and dates with gaps, and what follows from it."""

from functools import cache

import numpy as np
import pytest

from xpnn import TabularClassifier

pd = pytest.importorskip("pandas")

N = 240
SMALL = {"hidden": 16, "epochs": 20, "random_state": 0}


def table(n=N, seed=0):
    """Numbers, words, truths and dates, with gaps; and what follows from them."""
    rng = np.random.default_rng(seed)
    size, colour = rng.normal(size=n), rng.choice(["red", "green", "blue"], size=n)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, size=n), unit="D")
    frame = pd.DataFrame(
        {
            "size": np.where(rng.uniform(size=n) < 0.1, np.nan, size),
            "colour": np.where(rng.uniform(size=n) < 0.1, None, colour),
            "sold": rng.uniform(size=n) < 0.5,
            "day": day,
        }
    )
    y = 3.0 * size + 2.0 * (colour == "red") + frame["sold"] + 0.1 * rng.normal(size=n)
    return frame, y.to_numpy()


FRAME, Y = table()
CLASSES = np.where(np.median(Y) < Y, "high", "low")


@cache
def fitted(estimator):
    """A tabular estimator fitted to the table, the same for all modules of a run; not to change."""
    y = CLASSES if estimator is TabularClassifier else Y
    return estimator(**{**SMALL, "epochs": 60}).fit(FRAME, y)
