"""A search of many fits: one after the other, in threads, and in processes of one thread each.

    python benchmarks/searches.py --rounds 3
    python benchmarks/searches.py --device cupy:0       threads of one process, a stream each

Seconds of a whole GridSearchCV on digits, 8 candidates in 3 folds, without the last fit; ways are
interleaved, and workers have done one search before. Several workers are to be no slower than one
after the other. scikit-learn's own network, which has no dropout, is searched over 4 candidates in
6 folds: as many fits.
"""

import argparse
import os
import time
import warnings
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as Peer
from threadpoolctl import threadpool_limits

from xpnn import MLPClassifier

GRID = {"alpha": [1e-4, 1e-2], "dropout": [0.0, 0.2], "hidden_layer_sizes": [(64,), (64, 64)]}
PEER = "scikit-learn"


def processor_seconds() -> float:
    """What this process and its workers have used so far; without /proc this process alone."""
    tasks, total = [str(os.getpid())], 0
    while tasks:
        task = Path("/proc", tasks.pop())
        with suppress(OSError):  # it may end meanwhile
            fields = (task / "stat").read_text("ascii").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
            for thread in (task / "task").iterdir():
                tasks += (thread / "children").read_text("ascii").split()
    return total / os.sysconf("SC_CLK_TCK") if total else time.process_time()


def search(device: str | None, peer: bool = False) -> float:
    """Seconds of one search."""
    X, y = load_digits(return_X_y=True)
    model: Any = MLPClassifier(max_iter=15, random_state=0, device=device)
    grid, folds = GRID, 3
    if peer:
        model, folds = Peer(max_iter=15, random_state=0), 6
        grid = {name: values for name, values in GRID.items() if name != "dropout"}
    candidates = GridSearchCV(model, grid, cv=folds, refit=False, error_score="raise")
    start = time.perf_counter()
    candidates.fit((X / 16).astype(np.float32), y)
    return time.perf_counter() - start


def ways(cores: int, device: str | None) -> dict[str, Any]:
    """How the fits are shared, as a context each."""
    one = {"n_jobs": 1}
    found: dict[str, Any] = {
        f"one after the other, {cores} threads": (one, None),
        "one after the other, 1 thread": (one, 1),
        f"{cores} threads": ({"backend": "threading", "n_jobs": cores}, None),
    }
    if device is None:
        about = {"backend": "loky", "n_jobs": cores, "inner_max_num_threads": 1}
        found[f"{cores} processes of 1 thread"] = about, None
        found[f"{PEER}, one after the other, 1 thread"] = one, 1
        found[f"{PEER}, {cores} threads"] = {"backend": "threading", "n_jobs": cores}, 1
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    each = ways(joblib.cpu_count(), options.device)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in each}
    for turn in range(options.rounds + 1):
        for name, (how, limit) in each.items():
            # where nothing is limited: threadpool_limits(None) keeps other threads from limiting
            few = nullcontext() if limit is None else threadpool_limits(limit)
            with joblib.parallel_config(**how), few:
                before = processor_seconds()
                seconds = search(options.device, peer=name.startswith(PEER))
                used = processor_seconds() - before
            if turn:  # the first starts workers
                times[name].append((seconds, used))
    print("| way | seconds | as fast as its first | processor seconds |\n| --- | --- | --- | --- |")
    medians = {name: np.median(found, axis=0) for name, found in times.items()}
    for name, (seconds, used) in medians.items():
        firsts = (n for n in medians if n.startswith(PEER) == name.startswith(PEER))
        first = medians[next(firsts)][0]
        print(f"| {name} | {seconds:.2f} | {first / seconds:.2f} | {used:.2f} |")


if __name__ == "__main__":
    main()
