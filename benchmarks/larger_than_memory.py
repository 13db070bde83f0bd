"""An epoch over a table that does not fit: its speed beside memory's, and the memory it takes.

    python benchmarks/larger_than_memory.py                       7.5 million rows of 100: 3 GB
    python benchmarks/larger_than_memory.py --rows 500000         a tenth of a minute

Each measurement is a process of its own. The bars: at least 0.8 of the speed of the same rows in
memory, and a peak of less than 700 MB above that of the interpreter with xpnn imported.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

FEATURES = 100
BARS = {"speed": 0.8, "megabytes": 700}
_CHUNK = 1 << 16


def write(folder: Path, rows: int) -> None:
    """A table of float32, and the classes of its rows."""
    made = {"rows": rows, "features": FEATURES}
    about = folder / "made.json"
    if about.exists() and json.loads(about.read_text("utf-8")) == made:
        return
    random = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (rows, FEATURES))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.int64, (rows,))
    direction = random.normal(size=(FEATURES, 8)).astype(np.float32)
    for i in range(0, rows, _CHUNK):
        n = min(_CHUNK, rows - i)
        part = random.standard_normal((n, FEATURES), np.float32)
        x[i : i + n] = part
        y[i : i + n] = np.abs(part @ direction).argmax(axis=1)
    x.flush()
    y.flush()
    about.write_text(json.dumps(made), "utf-8")


def resident() -> float:
    """Megabytes that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


class Peak:
    """The most memory of a block of code, looked at a hundred times a second."""

    def __enter__(self) -> "Peak":
        self.most, self._end = resident(), threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._end.wait(0.01):
            self.most = max(self.most, resident())

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._watch.join()


def epoch(folder: str, how: str, device: str | None, epochs: int) -> dict[str, float]:
    """Train in this process; seconds, and megabytes above what the import takes."""
    import xpnn
    from xpnn.data import Blocks

    warnings.simplefilter("ignore")
    model = xpnn.MLPClassifier((100,), batch_size=512, max_iter=1, random_state=0, device=device)
    small = np.zeros((600, FEATURES), np.float32)
    model.fit(small, np.arange(600) % 8)  # what is loaded at first use
    before = resident()
    model.set_params(max_iter=epochs, tol=0.0)
    if how == "memory":
        x, y = (np.load(Path(folder, f"{name}.npy")) for name in "Xy")
    with Peak() as peak:
        start = time.perf_counter()
        model.fit(Blocks(folder)) if how == "blocks" else model.fit(x, y)
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "megabytes": peak.most - before, "loss": model.loss_curve_[-1]}


def measured(folder: Path, how: str, device: str | None, epochs: int) -> dict[str, float]:
    """The same in a process of its own."""
    given = [str(folder), how, device or "", str(epochs)]
    run = subprocess.run(
        [sys.executable, os.path.abspath(__file__), "--one", *given],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise SystemExit(run.stderr)
    found: dict[str, float] = json.loads(run.stdout)
    return found


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=7_500_000)
    parser.add_argument("--rounds", type=int, default=1, help="the best of each counts")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the table is written, and stays")
    parser.add_argument("--device")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        folder, how, device, epochs = options.one
        print(json.dumps(epoch(folder, how, device or None, int(epochs))))
        return 0
    with tempfile.TemporaryDirectory(prefix="xpnn-table-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, options.rows)
        best: dict[str, dict[str, float]] = {}
        for _ in range(options.rounds):
            for how in ("blocks", "memory"):
                found = measured(folder, how, options.device, options.epochs)
                if how not in best or found["seconds"] < best[how]["seconds"]:
                    best[how] = found
    for how, found in best.items():
        rate = options.rows * options.epochs / found["seconds"] / 1e6
        print(
            f"{how:7} {found['seconds']:7.1f} s  {rate:6.2f} million rows/s  "
            f"{found['megabytes']:7.0f} MB  loss {found['loss']:.5f}"
        )
    speed = best["memory"]["seconds"] / best["blocks"]["seconds"]
    good = speed >= BARS["speed"] and best["blocks"]["megabytes"] < BARS["megabytes"]
    print(f"speed {speed:.2f} of memory's: {'within' if good else 'NOT within'} the bars {BARS}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
