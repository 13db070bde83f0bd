"""Time fits of the perceptron beside scikit-learn's: python benchmarks/perceptron.py

A whole fit of four epochs in random order, as a user calls it, and one epoch alone: a fifth of the
difference between fits of six epochs and of one. Rounds go over all contestants in turn, so that a
busy machine slows them alike, and each round gives a ratio to scikit-learn; medians are shown.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from sklearn.linear_model import Perceptron as Theirs

from xpnn.perceptron.estimator import Perceptron
from xpnn.steps import compiled

CASES = ((100_000, 54, "float64"), (30_000, 784, "float32"), (30_000, 784, "float64"))
NOISE = (0.0, 0.3, 1.0)
CONTESTANTS = ("scikit-learn", "compiled", "NumPy")


def problem(n: int, d: int, dtype: str, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, divided by a plane but for the noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)).astype(dtype)
    score = x @ rng.standard_normal(d) + noise * d**0.5 * rng.standard_normal(n)
    return x, (score > 0).astype(int)


@contextmanager
def kernel(name: str) -> Iterator[type]:
    """The estimator of a contestant, with its kernel."""
    os.environ["XPNN_COMPILED"] = str(int(name == "compiled"))
    try:
        yield Theirs if name == "scikit-learn" else Perceptron
    finally:
        del os.environ["XPNN_COMPILED"]


def seconds(name: str, epochs: int, x: np.ndarray, y: np.ndarray, shuffle: bool) -> float:
    """How long a whole fit takes."""
    with kernel(name) as cls:
        model = cls(max_iter=epochs, tol=None, shuffle=shuffle)
        start = time.perf_counter()
        model.fit(x, y)
        return time.perf_counter() - start


def measure(
    rounds: int, x: np.ndarray, y: np.ndarray, shuffle: bool
) -> Iterator[tuple[str, float, float, float]]:
    """Of each contestant: ms of a fit and of an epoch, and how much faster its fit is."""
    fits: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    epochs: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name in CONTESTANTS:
            one, four, six = (seconds(name, n, x, y, shuffle) for n in (1, 4, 6))
            fits[name].append(four)
            epochs[name].append((six - one) / 5)
    for name in CONTESTANTS:
        ratio = statistics.median(
            a / b for a, b in zip(fits["scikit-learn"], fits[name], strict=True)
        )
        yield name, *(1e3 * statistics.median(t[name]) for t in (fits, epochs)), ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--in-order", action="store_true", help="do not shuffle the samples")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if compiled.library() is None:
        print(f"nothing is compiled here: {compiled.state()}")
    print(f"medians of {options.rounds} interleaved rounds; x: scikit-learn's fit over this one")
    print(f"{'data':>22} {'wrong':>6} {'':>13} {'four epochs':>12} {'one epoch':>10}")
    for (n, d, dtype), noise in ((case, noise) for case in CASES for noise in NOISE):
        x, y = problem(n, d, dtype, noise)
        wrong = 1.0 - Theirs(max_iter=2, tol=None).fit(x, y).score(x, y)
        for name, fit, epoch, ratio in measure(options.rounds, x, y, not options.in_order):
            line = f"{f'{n:,} x {d} {dtype}':>22} {wrong:6.1%} {name:>13} {fit:9.1f} ms"
            print(f"{line} {epoch:7.1f} ms {ratio:6.2f}x", flush=True)


if __name__ == "__main__":
    main()
