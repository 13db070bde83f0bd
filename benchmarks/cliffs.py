"""What one more setting costs a training step on NumPy: python benchmarks/cliffs.py

The network of step.py without dropout (64-100-10, ReLU, Adam, batches of 200 rows), and the same
with one setting more. Rounds go over all of them in turn, so that a busy machine slows them alike,
and each round gives a ratio to the plain step; medians are shown; of CPU time, too, which
other processes disturb less.
"""

import argparse
import statistics
import time
from typing import Any

from step import Bench
from threadpoolctl import threadpool_limits

ACTIVATIONS = "sigmoid tanh leaky_relu elu selu gelu silu mish softplus softsign hard_sigmoid exp"
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clip_norm": {"config": {"clip_norm": 1.0}},
    "max_norm": {"config": {"max_norm": 1.0}},
    "label smoothing": {"loss": {"label_smoothing": 0.1}},
    "layer normalization": {"network": {"normalization": "layer"}},
    "batch normalization": {"network": {"normalization": "batch"}},
    "dropout": {"network": {"dropout": 0.5}},
    **{name: {"network": {"activation": name}} for name in ACTIVATIONS.split()},
}


def bench_of(name: str, dtype: str) -> Bench:
    """The step with one setting more."""
    of = SETTINGS[name]
    network = {"activation": "relu"} | of.get("network", {})
    return Bench("numpy", dtype, 100, network, of.get("loss"), of.get("config"))


def seconds(bench: Bench, epochs: int) -> tuple[float, float]:
    """Of a step: by the clock, and of this process."""
    before = time.process_time()
    found, steps = bench.seconds_per_step(epochs), 9 * epochs
    return found, (time.process_time() - before) / steps


def ratios(names: list[str], dtype: str, rounds: int, epochs: int) -> dict[str, list[float]]:
    """Microseconds of a step, its ratio to the plain one, and that of CPU times: medians."""
    benches = {name: bench_of(name, dtype) for name in names}
    for bench in benches.values():
        seconds(bench, 1)
    times = [{n: seconds(b, epochs) for n, b in benches.items()} for _ in range(rounds)]
    return {
        name: [
            1e6 * statistics.median(row[name][0] for row in times),
            *(statistics.median(row[name][i] / row["plain"][i] for row in times) for i in (0, 1)),
        ]
        for name in names
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dtype", nargs="+", default=["float32", "float64"])
    parser.add_argument("--only", help=f"with commas: {', '.join(SETTINGS)}")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=5, help="epochs of nine steps in a round")
    args = parser.parse_args()
    names = ["plain", *(args.only.split(",") if args.only else list(SETTINGS)[1:])]
    ways = [(dtype, threads) for dtype in args.dtype for threads in args.threads]
    found = {}
    for dtype, threads in ways:
        with threadpool_limits(threads):
            found[dtype, threads] = ratios(names, dtype, args.rounds, args.epochs)
    print(" " * 20 + "".join(f"{f'{dtype}, threads: {threads}':>22}" for dtype, threads in ways))
    print(" " * 20 + f"{'us':>10}{'ratio':>6}{'CPU':>6}" * len(ways))
    for name in names:
        rows = (found[way][name] for way in ways)
        print(f"{name:<20}" + "".join(f"{us:>10.0f}{r:>6.2f}{cpu:>6.2f}" for us, r, cpu in rows))


if __name__ == "__main__":
    main()
