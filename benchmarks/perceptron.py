"""Time one epoch of the perceptron beside scikit-learn's: python benchmarks/perceptron.py

Rounds go over all contestants in turn, so that a busy machine slows them alike, and each round
gives a ratio to scikit-learn; medians are shown. One epoch is a fifth of the difference between
fits of six epochs and of one, so that checks and conversions before the first are not in it.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
from sklearn.linear_model import Perceptron as Theirs

import xpnn.perceptron.numba as perceptron_numba
import xpnn.perceptron.numpy as perceptron_numpy
from xpnn.perceptron import fit as _perceptron_fit
from xpnn.perceptron.estimator import Perceptron

CASES = ((100_000, 54, "float64"), (60_000, 784, "float32"))
NOISE = (0.0, 0.3, 1.0)
KERNELS = {"numba": perceptron_numba.epoch, "NumPy": perceptron_numpy.epoch}


def problem(n: int, d: int, dtype: str, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, divided by a plane but for the noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)).astype(dtype)
    score = x @ rng.standard_normal(d) + noise * d**0.5 * rng.standard_normal(n)
    return x, (score > 0).astype(int)


def fit_seconds(cls: type, epochs: int, x: np.ndarray, y: np.ndarray, shuffle: bool) -> float:
    model = cls(max_iter=epochs, tol=None, shuffle=shuffle)
    start = time.perf_counter()
    model.fit(x, y)
    return time.perf_counter() - start


def epoch_seconds(contestant: str, x: np.ndarray, y: np.ndarray, shuffle: bool) -> float:
    cls = Theirs if contestant == "scikit-learn" else Perceptron
    kernel = KERNELS.get(contestant, perceptron_numba.epoch)
    with mock.patch.object(_perceptron_fit, "select_epoch", return_value=kernel):
        one, six = (fit_seconds(cls, n, x, y, shuffle) for n in (1, 6))
    return (six - one) / 5


def measure(rounds: int, shuffle: bool = False) -> Iterator[dict[str, Any]]:
    """Milliseconds an epoch of each contestant and its ratio to scikit-learn, medians, by case."""
    for (n, d, dtype), noise in ((case, noise) for case in CASES for noise in NOISE):
        x, y = problem(n, d, dtype, noise)
        wrong = 1.0 - Theirs(max_iter=2, tol=None).fit(x, y).score(x, y)
        seconds: dict[str, list[float]] = {"scikit-learn": [], **{name: [] for name in KERNELS}}
        for _ in range(rounds):
            for name, measured in seconds.items():
                measured.append(epoch_seconds(name, x, y, shuffle))
        row: dict[str, Any] = {"data": f"{n:,} x {d} {dtype}", "wrong": f"{wrong:.1%}"}
        for name, measured in seconds.items():
            row[name] = 1e3 * statistics.median(measured)
            theirs = zip(measured, seconds["scikit-learn"], strict=True)
            row[f"{name} ratio"] = statistics.median(a / b for a, b in theirs)
        del row["scikit-learn ratio"]
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--shuffle", action="store_true", help="the samples in random order")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"one epoch, median of {options.rounds} interleaved rounds; x: of scikit-learn's time")
    print(f"{'data':>22} {'wrong':>6} {'scikit-learn':>13} {'numba':>17} {'NumPy':>17}")
    for row in measure(options.rounds, options.shuffle):
        line = f"{row['data']:>22} {row['wrong']:>6} {row['scikit-learn']:10.1f} ms"
        for name in KERNELS:
            line += f" {row[name]:7.1f} ms {row[name + ' ratio']:5.2f}x"
        print(line, flush=True)


if __name__ == "__main__":
    main()
