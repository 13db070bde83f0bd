"""Time of an epoch against samples, width and depth: straight lines where arithmetic says so."""

from dataclasses import replace
from typing import Any

from workloads import Workload

BASE = Workload("growth", (32, 64, 10), 200, 10_000, 1, 1)
SAMPLES = (1_000, 10_000, 100_000, 1_000_000)
WIDTHS = (64, 256, 1024, 4096)
DEPTHS = (1, 2, 4, 8, 16)


def cases(quick: bool) -> list[tuple[str, int, Workload]]:
    """What grows, how far, and the work."""
    samples = SAMPLES[:-1] if quick else SAMPLES
    widths = WIDTHS[:-1] if quick else WIDTHS
    found = [("samples", n, replace(BASE, rows=n, epochs=max(1, 100_000 // n))) for n in samples]
    found += [("width", w, replace(BASE, sizes=(32, w, w, 10), rows=2_000)) for w in widths]
    found += [("depth", d, replace(BASE, sizes=(32, *[256] * d, 10))) for d in DEPTHS]
    return found


def measure(worker: Any, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Milliseconds an epoch, nanoseconds a floating-point operation, and whether that is flat."""
    table: list[dict[str, Any]] = []
    for what, size, work in cases(quick):
        worker("check", work, work.epochs)
        best = min(worker("run", work, work.epochs)["seconds"] for _ in range(rounds))
        epoch = best / work.epochs
        per_flop = epoch / (work.flops * work.rows / work.batch) * 1e9
        table.append({"what": what, "size": size, "ms": epoch * 1e3, "ns a flop": per_flop})
    for row in table:  # linear: twice the arithmetic takes no more than twice as long, and a bit
        same = [r for r in table if r["what"] == row["what"]]
        row["linear"] = row["ns a flop"] <= 1.5 * max(r["ns a flop"] for r in same[:1])
    return table
