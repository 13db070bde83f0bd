"""What tests of exported models share: rows, all types of labels, networks, a table."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1000, 4)).astype(np.float32)
CODES = (X[:, 0] > 0.3).astype(int) + (X[:, 1] > 0)
LABELS = {
    "int": CODES * 3 - 1,
    "words": np.array(["bleu", "rouge", "größer"])[CODES],
    "objects": np.array(["a", "b", "c"], dtype=object)[CODES],
    "float": CODES * 1.0,
    "bool": CODES > 1,
    "binary words": np.array(["no", "yes"])[CODES % 2],
    "one class": np.full(1000, 7),
    "multilabel": np.eye(3, dtype=int)[CODES],
}
SHAPES = {
    "plain": {},
    "batch": {"normalization": "batch"},
    "layer": {"normalization": "layer"},
    "waves": {"embedding": "periodic"},
    "three": {"members": 3},
    "all": {"members": 3, "embedding": "periodic", "normalization": "layer"},
}


def network(cls: Any, y: Any, **options: Any) -> Any:
    """A network that was trained for a few epochs."""
    options = {"hidden_layer_sizes": (6, 5), "max_iter": 3, "random_state": 0} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return cls(**options).fit(X, y)


def table_with_everything(n: int = 1200) -> tuple[Any, Any, np.ndarray]:
    """A pandas table to train on, 1,000 rows to predict with unknown and missing values, a target.

    Numbers with gaps, a sentinel and a heavy tail, words, two words, many words, times.
    """
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "num": rng.normal(50, 10, n),
            "price": np.exp(rng.normal(8, 2, n)),
            "code": rng.integers(0, 5, n).astype(float),
            "word": rng.choice(["red", "green", "blue"], n),
            "two": rng.choice(["yes", "no"], n),
            "many": [f"w{int(i)}" for i in rng.exponential(60, n)],
            "when": np.datetime64("2021-03-01T00:00:00", "us")
            + rng.integers(-1600 * 86400, 1500 * 86400, n).astype("timedelta64[s]"),
        }
    )
    month = frame["when"].dt.month.to_numpy()
    y = (frame["num"] + 10 * (frame["word"] == "red")).to_numpy() + month + rng.normal(size=n)
    for name in ("num", "price", "word", "two", "many", "when"):
        frame.loc[rng.random(n) < 0.08, name] = None
    frame.loc[rng.random(n) < 0.02, "code"] = -9999
    new = frame.sample(1000, random_state=1, replace=True).reset_index(drop=True)
    new.loc[::7, "word"], new.loc[::23, "word"] = "violet", "n/A"
    new.loc[::11, "many"], new.loc[::13, "two"] = "nobody", "NaN"
    new.loc[::17, "num"], new.loc[::29, "price"] = np.inf, -1e300
    new.loc[::19, "when"] = np.datetime64("1903-12-31T23:59:59.5", "us")
    return frame, new, y
