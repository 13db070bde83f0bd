"""Steps of two builds of the compiled library, in turn: python benchmarks/libraries.py OLD NEW

A machine that others use, or whose clock changes, moves a step's time by tens of percent within
minutes. Here both libraries are in one process and take turns of milliseconds, so that each turn
gives a ratio, whose median tells differences of 2 %. For another commit's library run
`python hatch_build.py` in its checkout; both need the functions' arguments of this one.
"""

import argparse
import ctypes
import statistics
import time
from typing import Any

import numpy as np
from workloads import WORKLOADS, Workload

from xpnn.losses import get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import get_optimizer
from xpnn.steps import compiled
from xpnn.steps.compiled.plan import SUFFIXES, address
from xpnn.steps.compiled.pool import Pool
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.rules import Batch, Carry, Rows, Rules

TURN = 0.005  # seconds


class Contestant:
    """The steps of a workload by one library."""

    def __init__(self, path: str, work: Workload, dtype: np.dtype, normalization: str | None):
        lib = ctypes.CDLL(path)
        if lib.xpnn_abi() != compiled.ABI:
            raise SystemExit(f"{path} has functions of other arguments than this checkout.")
        *hidden, last = zip(work.sizes, work.sizes[1:], strict=False)
        about: Any = {"normalization": normalization, "dropout": work.dropout}
        net = Network((*(Dense(*n, "relu", **about) for n in hidden), Dense(*last)), link="softmax")
        rules = Rules(net, get_loss("softmax_cross_entropy"), get_optimizer("adam"))
        theta, buffers = (a.astype(dtype) for a in net.init(0))
        self.carry = Carry(theta, buffers, rules.optimizer.init(theta, np), dtype.type(0))
        x, y = work.data()
        order = np.random.default_rng(0).permutation(len(x))
        self.rows = Rows(Batch(x.astype(dtype), y, None), order, 0, work.batch)
        self.count = len(x) // work.batch
        self.keys = np.zeros((self.count, len(net.layers) + 1, 2), dtype=np.uint32)
        self.rates = [rules.optimizer.coefficients(0.001, i + 1) for i in range(self.count)]
        self.steps = CompiledSteps(rules, lambda: None)  # type: ignore[arg-type, return-value]
        self.steps.prepare(self.carry, self.rows)
        self.steps.on_rows(self.carry, self.rows, self.keys, self.rates)
        self.take(lib, SUFFIXES[dtype])

    def take(self, lib: Any, suffix: str) -> None:
        """Another library's functions, threads and room, for the same plan."""
        steps = self.steps
        run, room = (getattr(lib, f"xpnn_{name}_{suffix}") for name in ("steps", "room"))
        run.argtypes = room.argtypes = [ctypes.c_void_p]
        run.restype = room.restype = ctypes.c_int64
        steps.held["room"] = np.empty(room(steps.at), dtype=np.uint8)
        steps.plan.room, steps.steps = address(steps.held["room"]), run
        steps.pool = Pool(lib, steps.plan.parts)
        steps.plan.pool = steps.pool.handle

    def seconds(self, epochs: int) -> float:
        """Of a step."""
        start = time.perf_counter()
        for _ in range(epochs):
            self.steps.on_rows(self.carry, self.rows, self.keys, self.rates)
        return (time.perf_counter() - start) / (epochs * self.count)


def compare(both: list[Contestant], rounds: int) -> tuple[list[list[float]], float]:
    """Seconds of the two in each round, and the median ratio of the second to the first."""
    epochs = max(1, int(TURN / (both[0].seconds(1) * both[0].count)))
    times: list[list[float]] = [[], []]
    for i in range(rounds):
        for j in (0, 1) if i % 2 else (1, 0):
            times[j].append(both[j].seconds(epochs))
    return times, statistics.median(b / a for a, b in zip(*times, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs=2, metavar="LIBRARY")
    parser.add_argument("--workloads", default=",".join(w.name for w in WORKLOADS))
    parser.add_argument("--dtype", nargs="+", default=["float32", "float64"])
    parser.add_argument("--normalization", choices=["batch", "layer"])
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    print("us of a step: first library, second (shortest, median); median ratio")
    for name in args.workloads.split(","):
        work = next(w for w in WORKLOADS if w.name == name)
        for dtype in args.dtype:
            about = work, np.dtype(dtype), args.normalization
            both = [Contestant(path, *about) for path in args.libraries]
            times, ratio = compare(both, args.rounds)
            told = "".join(f"{1e6 * f(t):9.1f}" for t in times for f in (min, statistics.median))
            print(f"{name:<8}{dtype:<8}threads: {both[0].steps.plan.parts}{told}{ratio:8.3f}")


if __name__ == "__main__":
    main()
