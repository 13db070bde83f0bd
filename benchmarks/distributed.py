"""What several processes bring: measured here at 1 to 4, and computed for 8, 64 and 512 machines.

    python benchmarks/distributed.py --out measured.json     a few minutes; needs mpi4py and mpiexec
    python benchmarks/distributed.py --read measured.json --picture picture.png

What a step costs is measured in processor seconds of one thread, which hardly depend on what else
the machine does; the steps of several processes by the clock, which do. Both are the least of some
epochs, each of several steps. With --read nothing is measured.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from cost_model import LINKS, Link, Step, seconds, speedup, worth_it
from workloads import WORKLOADS, Workload

from xpnn.distributed.communicator import SHARDS

STEPS = {"tiny": 40, "digits": 12, "tab": 4, "mnist": 8, "wide": 4}  # of an epoch
SIZES = (1_000, 16_000, 250_000, 4_000_000)  # float32 numbers that are added
MACHINES = (8, 64, 512)
TIMES = {"tiny": 64, "digits": 16, "tab": 4, "mnist": 8, "wide": 2}  # a second batch size


def cases(names: list[str]) -> list[Workload]:
    """The ten workloads, or some of them by name."""
    found = [replace(w, dropout=d) for w in WORKLOADS for d in (0.0, 0.5)]
    return [w for w in found if not names or w.name in names]


def epoch_seconds(work: Workload, comm: Any, epochs: int) -> tuple[float, float]:
    """Seconds of a step, by the clock and of the processor: of the epochs, the least of each."""
    import xpnn

    x, y = work.data()
    clocks = [(time.perf_counter, list[float]()), (time.process_time, list[float]())]
    model = xpnn.MLPClassifier(
        work.sizes[1:-1],
        batch_size=work.batch,
        dropout=work.dropout,
        max_iter=epochs + 1,
        tol=0.0,
        n_iter_no_change=10**6,
        random_state=0,
        callbacks=lambda end: [times.append(clock()) for clock, times in clocks] and None,
    )
    model.fit(x, y, comm=comm)
    least = [min(b - a for a, b in pairwise(times)) for _, times in clocks]
    return least[0] / work.steps, least[1] / work.steps


def sum_seconds(comm: Any, rounds: int) -> dict[int, float]:
    """Seconds of a sum in the fixed tree, by the vector's bytes."""
    from xpnn.distributed import tree_sum
    from xpnn.distributed.tree import bounds

    cuts, found = bounds(comm.shards, comm.size), {}
    for k in SIZES:
        own = [np.ones(k, np.float32) for _ in range(cuts[comm.rank + 1] - cuts[comm.rank])]
        times = []
        for _ in range(rounds):
            comm.barrier()
            start = time.perf_counter()
            tree_sum(comm, list(own))
            times.append(time.perf_counter() - start)
        alone = local_seconds(k, len(own), rounds)
        found[4 * k] = max(min(times) - alone, 1e-9)
    return found


def local_seconds(k: int, count: int, rounds: int) -> float:
    """Seconds of adding up this process's own vectors, which is arithmetic and no message."""
    own, best = [np.ones(k, np.float32) for _ in range(count)], float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for a in own[1:]:
            own[0] += a
        best = min(best, time.perf_counter() - start)
    return best


def worker(options: argparse.Namespace) -> None:
    """One of the processes; the first prints what it has measured."""
    from xpnn.distributed import mpi, one

    warnings.simplefilter("ignore")
    comm = {"mpi": mpi, "one": one, "none": lambda: None}[options.how]()
    found: dict[str, Any] = {"steps": {}}
    for work in cases(options.only):
        work = replace(work, rows=work.batch * STEPS[work.name])
        found["steps"][work.label] = epoch_seconds(work, comm, options.epochs)
        if options.how == "mpi" and comm is not None and comm.size == 1:
            size = work.batch * TIMES[work.name]
            larger, more = replace(work, batch=size, rows=2 * size), one(shards=2 * SHARDS)
            found["steps"][f"{work.label}, larger"] = epoch_seconds(larger, comm, options.epochs)
            found["steps"][f"{work.label}, shards"] = epoch_seconds(work, more, options.epochs)
    if options.how == "mpi" and comm is not None and comm.size > 1:
        found["sums"] = sum_seconds(comm, 20)
    if comm is None or comm.rank == 0:
        print(json.dumps(found))


def started(how: str, processes: int, threads: int, options: argparse.Namespace) -> Any:
    """What so many processes measure."""
    own = [sys.executable, os.path.abspath(__file__), "--worker", "--how", how]
    own += ["--epochs", str(options.epochs), *(["--only", *options.only] if options.only else [])]
    if how == "mpi":
        own = [str(Path(sys.executable).parent / "mpiexec"), "-n", str(processes), *own]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    print(f"{how}, {processes} processes of {threads} threads ...", file=sys.stderr)
    run = subprocess.run(own, capture_output=True, text=True, env=environment, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    return json.loads(run.stdout)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All that is measured on this machine."""
    cores = len(os.sched_getaffinity(0))
    found: dict[str, Any] = {"cores": cores, "processes": {}}
    for p in range(1, 5):
        found["processes"][str(p)] = started("mpi", p, 1, options)
    found["threads"] = started("none", 1, cores, options)["steps"]
    found["shards"] = started("one", 1, cores, options)["steps"]
    return found


def link_here(found: dict[str, Any]) -> Link:
    """Of this machine's memory: the smallest and the largest sum of two processes."""
    sums = {int(k): v for k, v in found["processes"]["2"]["sums"].items()}
    small, large = min(sums), max(sums)
    alpha = sums[small]  # one message
    beta = max(sums[large] - 2 * alpha, 0.0) / large  # half of the vector there, and half back
    return Link("here", alpha, beta)


def step_of(work: Workload, found: dict[str, Any]) -> Step:
    """A workload's fixed seconds, those a shard and those a row, by two batches and shards."""
    measured = found["processes"]["1"]["steps"]
    first, larger, more = (measured[work.label + end][1] for end in ("", ", larger", ", shards"))
    row = max(larger - first, 1e-9) / (work.batch * (TIMES[work.name] - 1))
    shard = max(more - first, 0.0) / SHARDS  # twice as many, so
    fixed = max(first - row * work.batch - SHARDS * shard, 0.0)
    parameters = sum((a + 1) * b for a, b in pairwise(work.sizes))
    return Step(work.label, parameters, work.batch, fixed, shard, row, work.flops // work.batch)


def checked(found: dict[str, Any], names: list[str]) -> str:
    """Prediction against measurement at 1 to 4 processes, in milliseconds a step."""
    link, cores, lines, off = link_here(found), found["cores"], [], list[float]()
    for work in cases(names):
        step = step_of(work, found)
        cells = [f"{step.flops:,}", f"{step.flops / step.row / 1e9:.1f}"]
        cells += [f"{step.fixed * 1e6:.0f}", f"{step.shard * 1e6:.0f}"]
        for p in range(1, 5):
            is_ = found["processes"][str(p)]["steps"][work.label][0]
            said = seconds(step, link, work.batch, p, cores=cores)
            off += [abs(np.log2(said / is_))] if p > 1 else []
            cells.append(f"{is_ * 1e3:.2f}" + (f" ({said * 1e3:.2f})" if p > 1 else ""))
        lines.append(f"| {step.name} | " + " | ".join(cells) + " |")
    head = "| workload | flops a row | Gflop/s | fixed, us | a shard, us | 1 | 2 | 3 | 4 |\n|"
    head += " --- |" * 9
    about = f"alpha {link.alpha * 1e6:.0f} us, beta {link.beta * 1e9:.3f} ns a byte, {cores} cores"
    middle = f"prediction off by a factor of {2 ** np.median(off):.2f} in the median"
    return "\n".join([f"{about}; {middle}", "", head, *lines])


def two_of_each(found: dict[str, Any], names: list[str]) -> str:
    """Two processes beside two threads: milliseconds a step, and how much of the double."""
    lines = []
    for work in cases(names):
        one, two = (found["processes"][p]["steps"][work.label][0] for p in "12")
        threads, shards = (found[how][work.label][0] for how in ("threads", "shards"))
        cells = [f"{t * 1e3:.2f}" for t in (one, shards, threads, two)]
        cells.append(f"{one / two / 2:.0%}")
        lines.append(f"| {work.label} | " + " | ".join(cells) + " |")
    head = (
        "| workload | 1 process | all threads, comm | all threads, no comm | 2 processes | "
        "efficiency of 2 |\n|" + " --- |" * 6
    )
    return "\n".join([head, *lines])


def paper(found: dict[str, Any], names: list[str]) -> str:
    """Batch sizes from which on it is worth it, and what the workload's own batch brings."""
    lines = []
    for work in cases(names):
        step = step_of(work, found)
        cells = [f"{step.message / 1024:,.0f}"]
        for link in LINKS:
            cells += [f"{worth_it(step, link, p):,.0f}" for p in MACHINES]
            cells.append(f"{speedup(step, link, work.batch, 8):.1f}")
        lines.append(f"| {step.name}, {work.batch} | " + " | ".join(cells) + " |")
    each = [f"{link.name.split(',')[0]}: {p}" for link in LINKS for p in (*MACHINES, "x")]
    head = (
        "| workload, its batch | KiB | " + " | ".join(each) + " |\n|" + " --- |" * (2 + len(each))
    )
    return "\n".join([head, *lines])


def draw(found: dict[str, Any], path: Path) -> None:
    """The batch size from which on so many machines are half as fast as they could be."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    machines = [2**i for i in range(1, 10)]
    from xpnn.plotting.canvas import CYCLE, MARKERS

    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.8), sharey=True, layout="constrained")
    for ax, link in zip(axes, LINKS, strict=True):
        for i, work in enumerate(w for w in cases([]) if not w.dropout):
            step = step_of(work, found)
            y = [worth_it(step, link, p) for p in machines]
            free = [worth_it(step, link, p, tree=False) for p in machines]
            label = "-".join(map(str, work.sizes))
            ax.plot(machines, y, color=CYCLE[i], marker=MARKERS[i], ms=5, label=label)
            ax.plot(machines, free, color=CYCLE[i], ls=":", lw=1)
        ax.set(xscale="log", yscale="log", title=link.name, xlabel="machines")
        ax.set_xticks([2, 8, 64, 512], ["2", "8", "64", "512"])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("batch size at half of the ideal speed")
    handles = axes[1].get_legend_handles_labels()[0]
    figure.legend(handles=handles, ncols=3, frameon=False, loc="outside lower center")
    figure.savefig(path, dpi=140)
    print(f"wrote {path}")


def main() -> None:
    """Measure or read, and say what follows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40, help="the fastest of so many counts")
    parser.add_argument("--only", nargs="+", default=[], help="workloads by name")
    parser.add_argument("--out", type=Path, help="where what was measured is written")
    parser.add_argument("--read", type=Path, help="what was measured before")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--how", default="mpi", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options)
        return
    if options.read:
        found = json.loads(options.read.read_text("utf-8"))
    else:
        found = measure(options)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), "utf-8")
    for table in (checked, two_of_each, paper):
        print(f"{table(found, options.only)}\n")
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
