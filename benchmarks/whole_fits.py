"""Time whole fits with default parameters beside scikit-learn's: python benchmarks/whole_fits.py

What a user meets: a classifier or regressor made with its default parameters, and `fit`, in a
process that has fitted before. Rounds go over both libraries in turn, so that a busy machine slows
them alike; medians, and the ratio of medians. `--cold` times a new process instead, from its start
over the import to a fitted iris.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

COLD = (
    "import warnings; warnings.simplefilter('ignore')\n"
    "from {0} import MLPClassifier\n"
    "from sklearn.datasets import load_iris\n"
    "MLPClassifier(random_state=0).fit(*load_iris(return_X_y=True))\n"
)
LIBRARIES = {"scikit-learn": "sklearn.neural_network", "xpnn": "xpnn"}
Problem = tuple[str, np.ndarray, np.ndarray]


def problems() -> dict[str, Callable[[], Problem]]:
    """The kind of estimator and its rows, scaled as users are told to."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    def real(kind: str, load: Callable[..., Any]) -> Callable[[], Problem]:
        def rows() -> Problem:
            x, y = load(return_X_y=True)
            return kind, StandardScaler().fit_transform(x), y

        return rows

    def made(kind: str, n: int, d: int, classes: int) -> Callable[[], Problem]:
        def rows() -> Problem:
            rng = np.random.default_rng(0)
            x = rng.standard_normal((n, d))
            score = np.tanh(x @ rng.standard_normal((d, max(classes, 1))))
            score += 0.3 * rng.standard_normal(score.shape)
            return kind, x, score.argmax(axis=1) if classes else score[:, 0]

        return rows

    return {
        "iris": real("MLPClassifier", datasets.load_iris),
        "wine": real("MLPClassifier", datasets.load_wine),
        "breast cancer": real("MLPClassifier", datasets.load_breast_cancer),
        "digits": real("MLPClassifier", datasets.load_digits),
        "diabetes": real("MLPRegressor", datasets.load_diabetes),
        "regression 20k x 8": made("MLPRegressor", 20_000, 8, 0),
        "7 classes 50k x 54": made("MLPClassifier", 50_000, 54, 7),
    }


def fit_seconds(library: str, problem: Problem) -> tuple[float, int]:
    """How long a fit takes, and how many epochs it was."""
    kind, x, y = problem
    cls = getattr(__import__(LIBRARIES[library], fromlist=[kind]), kind)
    model = cls(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 epochs may be too few
        start = time.perf_counter()
        model.fit(x, y)
    return time.perf_counter() - start, model.n_iter_


def cold_seconds(library: str) -> float:
    """From the start of a process to a fitted iris, both libraries as pip leaves them: compiled."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", COLD.format(LIBRARIES[library])], check=True, env=env)
    return time.perf_counter() - start


def compared(once: Callable[[str], float], rounds: int) -> dict[str, float]:
    """Medians of both libraries in turn, after one call that is not counted."""
    for library in LIBRARIES:
        once(library)
    seen: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    for _ in range(rounds):
        for library, times in seen.items():
            times.append(once(library))
    return {library: statistics.median(times) for library, times in seen.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help=f"with commas: {', '.join(problems())}")
    parser.add_argument("--cold", action="store_true", help="new processes, iris")
    parser.add_argument("--json", help="a file for the figures")
    args = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    if args.cold:
        found["cold process, iris"] = compared(cold_seconds, args.rounds)
    else:
        known = problems()
        for name in args.only.split(",") if args.only else known:
            problem = known[name]()
            epochs = {library: fit_seconds(library, problem)[1] for library in LIBRARIES}
            found[name] = compared(lambda k, p=problem: fit_seconds(k, p)[0], args.rounds)
            print(f"{name}: epochs {epochs}", file=sys.stderr, flush=True)
    print(f"{'':>24} {'scikit-learn':>13} {'xpnn':>9} {'ratio':>6}")
    ratios = []
    for name, row in found.items():
        ratios.append(row["scikit-learn"] / row["xpnn"])
        times = f"{row['scikit-learn']:>12.3f}s {row['xpnn']:>8.3f}s"
        print(f"{name:>24} {times} {ratios[-1]:>6.2f}")
    if len(ratios) > 1:
        print(f"geometric mean {statistics.geometric_mean(ratios):.2f}, lowest {min(ratios):.2f}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=2)


if __name__ == "__main__":
    main()
