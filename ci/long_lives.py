#!/usr/bin/env python3
"""Many fits in one process: memory, threads and open files stay as they were after the first tenth.

    python ci/long_lives.py                                3,000 fits and 20,000 partial_fit
    python ci/long_lives.py --device torch:cpu --fits 600 --partial-fits 2000

Each kind of estimator and of training step takes its turn, a failing fit among them. A life of
partial_fit is one estimator's. Exit status 1 if anything has risen.
"""

import argparse
import gc
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import xpnn
from xpnn.data import Blocks

MOST_GROWTH = 8.0  # megabytes after the first tenth: the allocator's, not ours
_ROWS, _FEATURES = 90, 6
_LOOKS = 20


def table() -> tuple[np.ndarray, np.ndarray]:
    """Rows that every kind can learn from."""
    X = np.random.default_rng(0).normal(size=(_ROWS, _FEATURES)).astype(np.float32)
    return X, (X[:, 0] > X[:, 1]).astype(np.int64)


def state() -> dict[str, float]:
    """What must not rise: megabytes, threads of Python and of the system, open files."""
    gc.collect()
    found = {"threads of Python": float(threading.active_count())}
    if Path("/proc/self/statm").exists():
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        found["megabytes"] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        found["threads"] = float(_threads())
        found["open files"] = float(len(os.listdir("/proc/self/fd")))
    return found


def _threads() -> int:
    """Those of the system; one that has just ended is there for a moment more."""
    looks = []
    for _ in range(10):
        looks.append(len(os.listdir("/proc/self/task")))
        time.sleep(0.002)
    return min(looks)


def fits(device: str | None) -> list[Callable[[int], Any]]:
    """One fit each, by its number: every estimator and every kind of step."""
    X, y = table()
    small: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 2, "device": device}
    wide = np.tile(X, (8, 1)), np.tile(y, 8)

    def of(make: Callable[..., Any], *data: Any, **params: Any) -> Callable[[int], Any]:
        return lambda i: make(random_state=i, **params).fit(*data)

    def failing(i: int) -> None:
        try:
            xpnn.MLPClassifier(**small).fit(np.where(X > 2, np.nan, X), y)
        except ValueError:
            return
        raise AssertionError("NaN was taken")

    kinds = [
        of(xpnn.MLPClassifier, X, y, **small),
        of(xpnn.MLPClassifier, X, y, **small, dropout=0.2, normalization="batch"),
        of(xpnn.MLPClassifier, *wide, **{**small, "hidden_layer_sizes": (256, 128)}),  # threads
        of(xpnn.MLPClassifier, X, y, **small, members=3),
        of(xpnn.MLPClassifier, X, y, **small, solver="lbfgs"),
        of(xpnn.MLPClassifier, X, y, **small, early_stopping=True, callbacks=[lambda end: None]),
        lambda i: xpnn.MLPClassifier(**small, activation=own_activation()).fit(X, y),
        of(xpnn.MLPRegressor, X, y.astype(float), **small, loss="huber"),
        of(xpnn.MLPClassifier, Blocks(X, y, block_rows=16, window=2), **small),
        of(xpnn.Perceptron, X, y, max_iter=3, device=device),
        of(xpnn.Perceptron, Blocks(X, y, block_rows=16, window=2), max_iter=3, device=device),
        failing,
    ]
    if device is None:
        kinds.append(of(xpnn.TabularClassifier, X, y, n_members=2, hidden=(4,), epochs=2))
    return kinds


def own_activation() -> Any:
    """Functions that are new each time: nothing remembers them."""

    def value(z: Any, xp: Any) -> Any:
        return xp.tanh(z)

    def derivative(z: Any, a: Any, xp: Any) -> Any:
        return 1.0 - a * a

    return value, derivative


def watched(count: int, work: Callable[[int], Any], name: str) -> list[str]:
    """Do the work so often; say what has risen after the first tenth."""
    every, looks, began = max(1, count // _LOOKS), list[dict[str, float]](), time.perf_counter()
    for i in range(count):
        work(i)
        if (i + 1) % every == 0:
            looks.append(state())
    first, rest = looks[1], looks[2:]  # two looks are the first tenth
    print(f"{name}: {count} in {time.perf_counter() - began:.0f} s")
    faults = []
    for what, value in first.items():
        most = max(look[what] for look in rest)
        print(f"  {what}: {value:.1f} after the first tenth, at most {most:.1f} later")
        if most > value + (MOST_GROWTH if what == "megabytes" else 0):
            faults.append(f"{name}: {what} rose from {value:.1f} to {most:.1f}")
    return faults


def main() -> int:
    """Run both lives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=3000)
    parser.add_argument("--partial-fits", type=int, default=20_000)
    parser.add_argument("--device")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    kinds, (X, y) = fits(options.device), table()
    for i in range(2 * len(kinds)):  # libraries make their threads when they first need them
        kinds[i % len(kinds)](i)
    faults = watched(options.fits, lambda i: kinds[i % len(kinds)](i), "fits")
    model = xpnn.MLPClassifier((8,), random_state=0, device=options.device)
    classes = np.unique(y)
    faults += watched(
        options.partial_fits, lambda i: model.partial_fit(X, y, classes=classes), "partial_fit"
    )
    print("\n".join(faults) or "nothing has risen")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
