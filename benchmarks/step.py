"""Time one training step on every usable device: python benchmarks/step.py [--device SPEC ...]

A multi-layer perceptron for scikit-learn's digits (64-100-10, ReLU, dropout 0.5, Adam, batches of
200 rows), trained by `xpnn.training.loop.train`; its time has a step's share of the work between
epochs. Rounds go over all devices in turn, so that a busy machine slows them alike, and each round
gives a ratio to the first device; medians are shown. The device is waited for before each look at
the clock.
"""

import argparse
import json
import statistics
import sys
import time
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import xpnn
from xpnn.data import Dataset
from xpnn.network import multilayer_perceptron
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training.loop import train

BATCH = 200


class Bench:
    """One device with its data, network and initial weights."""

    def __init__(
        self,
        spec: str,
        dtype: str,
        hidden: int = 100,
        network: dict[str, Any] | None = None,
        loss: dict[str, float] | None = None,
        config: dict[str, float] | None = None,
    ) -> None:
        self.backend = xpnn.get_backend(spec)
        self.dtype = dtype if dtype in self.backend.dtypes else "float32"
        x, y = load_digits(return_X_y=True)
        self.network = multilayer_perceptron([64, hidden, 10], **(network or {"dropout": 0.5}))
        self.loss = xpnn.get_loss("softmax_cross_entropy", **(loss or {}))
        self.config = {"batch_size": BATCH, "patience": np.inf} | (config or {})
        optimizer = xpnn.get_optimizer("adam")
        move = self.backend.asarray
        with self.backend.device_context():
            self.data = Dataset(
                x / 16.0, y, None, self.backend, getattr(self.backend.xp, self.dtype)
            )
            theta, buffers = (move(a, dtype=self.dtype) for a in self.network.init(0))
            self.state = TrainingState(
                theta, buffers, optimizer.init(theta, self.backend.xp), seed=0
            )
        self.optimizer = optimizer

    def seconds_per_step(self, epochs: int) -> float:
        """Train for some epochs from the initial weights."""
        config = TrainingConfig(self.loss, self.optimizer, epochs=epochs, **self.config)
        self.backend.synchronize()
        start = time.perf_counter()
        end = train(self.network, self.state, self.data, config)
        self.backend.synchronize()
        return (time.perf_counter() - start) / (end.step - self.state.step)


def usable() -> list[str]:
    """Every device that works here; of array-api-strict, a test double, only one."""
    specs = [d.spec for d in xpnn.devices() if d.usable and d.library != "array_api_strict"]
    return [*dict.fromkeys(xpnn.get_backend(spec).name for spec in specs)]


def measure(specs: list[str], dtype: str, hidden: int, rounds: int, epochs: int) -> list[dict]:
    """Median microseconds per step and median ratio to the first device."""
    benches = [Bench(spec, dtype, hidden) for spec in specs]
    for bench in benches:
        bench.seconds_per_step(1)  # compile, fill caches
    times = [[bench.seconds_per_step(epochs) for bench in benches] for _ in range(rounds)]
    return [
        {
            "device": bench.backend.name,
            "dtype": bench.dtype,
            "microseconds_per_step": 1e6 * statistics.median(row[i] for row in times),
            "ratio": statistics.median(row[i] / row[0] for row in times),
        }
        for i, bench in enumerate(benches)
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", action="append", help="default: every usable one; repeatable")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--hidden", type=int, default=100, help="neurons of the hidden layer")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5, help="epochs of nine steps in a round")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    given = [spec for word in chosen.device or [] for spec in word.split(",")]
    try:
        rows = measure(given or usable(), chosen.dtype, chosen.hidden, chosen.rounds, chosen.epochs)
    except xpnn.DeviceError as error:
        sys.exit(f"step.py: {error}")
    if chosen.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'device':<28}{'dtype':<10}{'us per step':>12}{'ratio':>8}")
    for row in rows:
        time_, ratio = row["microseconds_per_step"], row["ratio"]
        print(f"{row['device']:<28}{row['dtype']:<10}{time_:>12.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
