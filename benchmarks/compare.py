"""Time training through xpnn and through what people would pick instead, side by side.

    python benchmarks/compare.py                      # Markdown on standard output
    python benchmarks/compare.py --quick --workloads tiny,digits --peers xpnn,torch
    python benchmarks/compare.py --device cupy:0      # the GPU side: ways of a step, and torch's

In each round every peer trains once from the start, in turn (A B C A B C ...), so a noisy
machine hits all alike; each has a process of its own, asleep while others run. A time is a whole
training call over its steps.
"""

import argparse
import os
import sys
from pathlib import Path

if __name__ == "__main__":  # before any library reads them
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "2")
    flags = "--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads=2"
    os.environ.setdefault("XLA_FLAGS", flags)

sys.path.insert(0, str(Path(__file__).parent))

import dataclasses
import importlib.util
import statistics
import time
from collections.abc import Iterable
from typing import Any

import growth
import inference
import peers as library
import report
from workers import Worker
from workloads import WORKLOADS, Workload

MODULES = {"torch": "torch", "torch-compile": "torch", "torch-graph": "torch", "jax": "jax"}
PARTS = ("training", "inference", "memory", "growth")
DROPOUT = 0.5
PAUSE = 0.3  # seconds: for 0.1 s after a product, OpenBLAS's threads keep a core busy


def chosen_workloads(names: Iterable[str], short: bool) -> list[Workload]:
    """Each workload without and with dropout."""
    chosen = [w for w in WORKLOADS if w.name in names]
    if short:
        chosen = [dataclasses.replace(w, epochs=w.short) for w in chosen]
    return [dataclasses.replace(w, dropout=rate) for w in chosen for rate in (0.0, DROPOUT)]


def usable(names: Iterable[str]) -> list[str]:
    """The peers that are installed."""
    return [n for n in names if n not in MODULES or importlib.util.find_spec(MODULES[n])]


def compare(work: Workload, workers: dict[str, Worker], rounds: int) -> dict[str, Any]:
    """Microseconds a step, final accuracy and peak memory of each peer on one workload."""
    able = {n: w for n, w in workers.items() if not (n == "sklearn" and work.dropout)}
    # imports and compilation; all must learn alike
    checks = {name: worker("check", work, work.epochs) for name, worker in able.items()}
    times: dict[str, list[float]] = {name: [] for name in able}
    for _ in range(rounds):
        for name, worker in able.items():
            time.sleep(PAUSE)
            seconds = worker("run", work, work.epochs)["seconds"]
            times[name].append(seconds / (work.epochs * work.steps) * 1e6)
    return {
        "workload": work.label,
        "name": work.name,
        "sizes": work.sizes,
        "batch": work.batch,
        "dropout": work.dropout,
        "median": {name: statistics.median(t) for name, t in times.items()},
        "min": {name: min(t) for name, t in times.items()},
        "accuracy": {n: c["accuracy"] for n, c in checks.items() if c["accuracy"] is not None},
    }


def memory(names: list[str]) -> list[dict[str, Any]]:
    """MiB that a fit takes beyond the data and the library: a small one comes before."""
    table = []
    for work in (w for w in WORKLOADS if w.name in ("mnist", "wide")):
        row: dict[str, Any] = {"workload": work.name}
        for name in names:
            worker = Worker(name)
            worker("run", WORKLOADS[0], WORKLOADS[0].epochs)
            row[name] = worker("run", work, work.epochs)["memory"]
            worker.close()
        table.append(row)
    return table


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    known = [w.name for w in WORKLOADS]
    parser.add_argument("--workloads", default=",".join(known), help="comma-separated")
    parser.add_argument("--peers", help=f"{','.join(library.PEERS)}, or what --device can have")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="two rounds, no extras")
    parser.add_argument("--short", action="store_true", help="fits of 60 to 800 steps")
    parser.add_argument("--device", help="where xpnn works, such as cupy:0")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--out", type=Path, help="folder for compare.md, .json and .png")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for and report it."""
    args = arguments()
    default = library.ON_GPU if args.device else library.DEFAULT
    names = usable(args.peers.split(",") if args.peers else default)
    if args.device:
        names = [n for n in names if n in library.ON_GPU]
    parts = [args.only] if args.only else ["training"]
    if not (args.only or args.quick or args.device):
        parts = list(PARTS)
    results: dict[str, Any] = {"machine": report.machine(), "training": []}
    workers = {name: Worker(name, args.device) for name in names}
    if "training" in parts:
        for work in chosen_workloads(args.workloads.split(","), args.short):
            row = compare(work, workers, min(args.rounds, 2) if args.quick else args.rounds)
            results["training"].append(row)
            print(report.line(row), file=sys.stderr, flush=True)
    if "inference" in parts:
        results["inference"] = inference.measure(workers, args.rounds)
    if "growth" in parts:
        results["growth"] = growth.measure(workers["xpnn"], args.rounds, args.quick)
    for worker in workers.values():
        worker.close()
    if "memory" in parts:
        results["memory"] = memory([n for n in names if n not in ("products", "xpnn-numpy")])
    report.write(results, args.out)


if __name__ == "__main__":
    main()
