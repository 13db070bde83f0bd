"""Time training through xpnn and through what people would pick instead, side by side.

    python benchmarks/compare.py                      # Markdown on standard output
    python benchmarks/compare.py --quick --workloads tiny,digits --peers xpnn,torch
    python benchmarks/compare.py --device cupy:0      # the GPU side, beside torch on CUDA

In each round every peer trains once from the start, in turn (A B C A B C ...), so a noisy
machine hits all alike. A time is a whole training call over its steps.
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
from collections.abc import Callable, Iterable
from typing import Any

import peers as library
import report
from workloads import WORKLOADS, Workload

MODULES = {"torch": "torch", "torch-compile": "torch", "jax": "jax"}
DROPOUT = 0.5


def chosen_workloads(names: Iterable[str], quick: bool) -> list[Workload]:
    """Each workload without and with dropout; `quick` ones train a tenth as long."""
    chosen = [w for w in WORKLOADS if w.name in names]
    if quick:
        chosen = [dataclasses.replace(w, epochs=max(1, w.epochs // 5)) for w in chosen]
    return [dataclasses.replace(w, dropout=rate) for w in chosen for rate in (0.0, DROPOUT)]


def usable(names: Iterable[str]) -> list[str]:
    """The peers that are installed."""
    return [n for n in names if n not in MODULES or importlib.util.find_spec(MODULES[n])]


def make(name: str, work: Workload, device: str | None) -> Any:
    """A peer ready to run, or None where it cannot do this work."""
    if name == "sklearn" and work.dropout:
        return None
    if device and name == "xpnn":
        return library.xpnn(work, device=device)
    if device and name == "torch":
        return library.torch(work, device="cuda:" + (device.partition(":")[2] or "0"))
    return library.PEERS[name](work)


def timer(device: str | None) -> Callable[[Callable[[], Any]], tuple[float, Any]]:
    """Seconds and the result of a call; on a GPU by events, which the device itself stamps."""
    if device and device.startswith("cupy"):
        return _events

    def clock(call: Callable[[], Any]) -> tuple[float, Any]:
        start = time.perf_counter()
        result = call()
        return time.perf_counter() - start, result

    return clock


def _events(call: Callable[[], Any]) -> tuple[float, Any]:
    import cupy

    cupy.cuda.Device().synchronize()  # torch's stream too
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    result = call()
    cupy.cuda.Device().synchronize()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(start, end) / 1e3, result


def compare(work: Workload, names: list[str], rounds: int, device: str | None) -> dict[str, Any]:
    """Microseconds a step and the final accuracy of each peer on one workload."""
    ready = {name: make(name, work, device) for name in names}
    ready = {name: run for name, run in ready.items() if run is not None}
    x, y = work.data()
    clock, accuracy = timer(device), {}
    for name, run in ready.items():  # imports, compilation, and a check that all learn alike
        predict = run(work.epochs)
        if predict is not None:
            rows = x
            if device and name == "xpnn":
                from xpnn import get_backend

                rows = get_backend(device).asarray(x)
            from xpnn.backends import to_numpy

            accuracy[name] = float((to_numpy(predict(rows)) == y).mean())
    times: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(rounds):
        for name, run in ready.items():
            seconds, _ = clock(lambda run=run: run(work.epochs))
            times[name].append(seconds / (work.epochs * work.steps) * 1e6)
    return {
        "workload": work.label,
        "name": work.name,
        "sizes": work.sizes,
        "batch": work.batch,
        "dropout": work.dropout,
        "median": {name: statistics.median(t) for name, t in times.items()},
        "min": {name: min(t) for name, t in times.items()},
        "accuracy": accuracy,
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    known = [w.name for w in WORKLOADS]
    parser.add_argument("--workloads", default=",".join(known), help="comma-separated")
    parser.add_argument("--peers", default=",".join(library.DEFAULT), help=",".join(library.PEERS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="shorter rounds, no extras")
    parser.add_argument("--device", help="where xpnn works, such as cupy:0")
    parser.add_argument("--only", choices=("training", "inference", "memory", "growth"))
    parser.add_argument("--out", type=Path, help="folder for compare.md, .json and .png")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for and report it."""
    args = arguments()
    names = usable(args.peers.split(","))
    if args.device:
        names = [n for n in names if n in ("xpnn", "torch")]
    results: dict[str, Any] = {"machine": report.machine(), "training": []}
    parts = [args.only] if args.only else ["training"]
    if not (args.only or args.quick or args.device):
        parts += ["inference", "memory", "growth"]
    if "training" in parts:
        for work in chosen_workloads(args.workloads.split(","), args.quick):
            row = compare(work, names, args.rounds, args.device)
            results["training"].append(row)
            print(report.line(row), file=sys.stderr, flush=True)
    for part in parts:
        if part != "training":
            module = importlib.import_module(part)
            results[part] = module.measure(args.rounds, args.quick)
    report.write(results, args.out)


if __name__ == "__main__":
    main()
