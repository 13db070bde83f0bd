"""Classes of rows by a fitted 64-100-10 network, from NumPy to NumPy."""

import time
from typing import Any

import numpy as np
import peers
from workloads import WORKLOADS

SIZES = (1, 256, 65_536)
NAMES = ("xpnn", "sklearn", "torch", "jax")


def seconds(name: str, rows: int, calls: int) -> float:
    """The fastest of some calls of predict, after a few to warm up."""
    work = next(w for w in WORKLOADS if w.name == "digits")
    predict = _PREDICT.setdefault(name, None) or peers.make(name, work, None)(2)
    _PREDICT[name] = predict
    x = np.random.default_rng(0).standard_normal((rows, 64), dtype=np.float32)
    times = []
    for _ in range(calls + 3):
        start = time.perf_counter()
        predict(x)
        times.append(time.perf_counter() - start)
    return min(times[3:])


_PREDICT: dict[str, Any] = {}


def measure(workers: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    """Microseconds a call of each peer, peers in turn."""
    table = []
    for rows in SIZES:
        calls = max(5, min(2000, 200_000 // rows))
        best = {n: float("inf") for n in workers if n in NAMES}
        for _ in range(rounds):
            for name in best:
                took = workers[name]("inference", None, (rows, calls)) * 1e6
                best[name] = min(best[name], took)
        table.append({"rows": rows, **best})
    return table
