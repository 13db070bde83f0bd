"""Kills trainings at random moments and resumes them: each ends with the bits of one undisturbed.

    python ci/kill.py             # 100 kills, 40 of them while a checkpoint is being written
    python ci/kill.py --kills 12  # what ci/test.sh runs

A kill is SIGKILL to a process of its own, which can do nothing against it. A training that goes on
is killed again now and then. After each kill at least one whole checkpoint has to be there, if the
first had been written. Linux and macOS; exit status 1 where a training ends with other bits.
"""

import argparse
import contextlib
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # threads of BLAS do not live in a fork

import numpy as np  # noqa: E402

import xpnn  # noqa: E402
from xpnn.files.record import CHECKPOINT, ModelFileError, read_record  # noqa: E402

WRITING = 0.4  # of the kills
AGAIN = 0.3  # how often a training that goes on is killed, too
PAUSE = 0.004  # seconds, at each point of a write, so that kills hit all of them
LIMIT = 120.0  # seconds that a training may take

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6))
Y = (X @ RNG.normal(size=6) + RNG.normal(size=400) > 0).astype(int)


def _network() -> Any:
    return xpnn.MLPClassifier(
        (32,), dropout=0.2, normalization="batch", early_stopping=True, learning_rate="one_cycle",
        batch_size=32, max_iter=40, n_iter_no_change=40, random_state=0, dtype="float32",
    )  # fmt: skip


def _minimized() -> Any:
    return xpnn.MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", max_iter=60, random_state=0)


def _perceptron() -> Any:
    return xpnn.Perceptron(max_iter=200, tol=None, average=True)


def _table() -> Any:
    return xpnn.TabularClassifier(2, 16, epochs=30, random_state=0)


KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "MLPClassifier": (_network, "20 steps"),
    "MLPRegressor, lbfgs": (_minimized, "5 epochs"),
    "Perceptron": (_perceptron, "10 epochs"),
    "TabularClassifier": (_table, "9 steps"),
}


def digest(model: Any) -> str:
    """A hash of all that was learned."""
    held = hashlib.sha256(repr(model.history_).encode())
    for name, value in sorted(vars(model).items()):
        parts = list(value.values()) if isinstance(value, dict) else [value]
        if name == "_state":
            parts = [value.theta, value.buffers, *value.moments]
        for a in parts:
            if isinstance(a, np.ndarray) and a.dtype.kind == "f":
                held.update(np.ascontiguousarray(a).tobytes())
    return held.hexdigest()


def child(kind: str, folder: Path, pipe: int, slow: bool) -> None:
    """Train in a process of its own; say so at each point of a write, and the digest at the end."""
    if slow:
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, _telling(getattr(os, name), pipe))
    make, every = KINDS[kind]
    checkpoint = xpnn.Checkpoint(folder, every)
    model = make().fit(X, Y, checkpoint=checkpoint, resume=True)
    os.write(pipe, b"=" + digest(model).encode())


def _telling(function: Callable[..., Any], pipe: int) -> Callable[..., Any]:
    def told(*args: Any, **how: Any) -> Any:
        os.write(pipe, b"w")
        time.sleep(PAUSE)
        found = function(*args, **how)
        time.sleep(PAUSE)
        return found

    return told


def start(kind: str, folder: Path, slow: bool) -> tuple[int, int]:
    """Fork a child: its process and what it says."""
    reads, writes = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reads)
        try:
            child(kind, folder, writes, slow)
        except BaseException as error:
            os.write(writes, f"!{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writes)
    return process, reads


def finish(process: int, reads: int) -> str:
    """What a child that nobody kills ends with."""
    said = b""
    while part := os.read(reads, 1 << 16):
        said += part
    os.close(reads)
    os.waitpid(process, 0)
    text = said.decode().lstrip("w")
    if not text.startswith("="):
        raise SystemExit(f"A training ended without a result: {text or 'nothing was said'}")
    return text[1:]


def killed(process: int, reads: int, wait: float, writes: int) -> bool:
    """Kill a child after a time, or in its n-th point of a write; False if it ended before."""
    said, end = b"", time.monotonic() + LIMIT
    if not writes:
        time.sleep(wait)
    while writes and said.count(b"w") < writes and b"=" not in said and time.monotonic() < end:
        part = os.read(reads, 1)
        if not part:
            break
        said += part
    if writes:
        time.sleep(wait)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.set_blocking(reads, False)
    with contextlib.suppress(BlockingIOError):
        said += os.read(reads, 1 << 16)
    os.close(reads)
    return b"=" not in said


def whole(folder: Path) -> tuple[int, int]:
    """Checkpoints that are whole, and all that have the name of one."""
    files = list(folder.glob("checkpoint-*"))
    good = 0
    for path in files:
        try:
            read_record(path, CHECKPOINT)
            good += 1
        except ModelFileError:
            pass
    return good, len(files)


def one_round(kind: str, writing: bool, expected: str, seconds: float, dice: random.Random) -> bool:
    """Kill a training at least once, go on, and look at what it ends with."""
    with tempfile.TemporaryDirectory() as above:
        folder, kills = Path(above, "run"), 0
        while not kills or dice.random() < AGAIN:
            process, reads = start(kind, folder, writing)
            points = dice.randrange(1, 40) if writing else 0
            wait = dice.uniform(0, 2.5 * PAUSE if writing else seconds)
            if not killed(process, reads, wait, points):
                if kills:
                    break
                seconds *= 0.9
                for left in folder.iterdir():
                    left.unlink()
                continue
            kills += 1
            good, files = whole(folder)
            if good < files:
                print(f"{kind}: {files - good} of {files} checkpoints are not whole", flush=True)
                return False
        return finish(*start(kind, folder, False)) == expected


def main() -> None:
    """Run the rounds, and say how they ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    dice, began = random.Random(asked.seed), time.monotonic()
    expected, seconds = {}, {}
    for kind, (make, _) in KINDS.items():
        model = make().fit(X, Y)
        expected[kind] = digest(model)
        with tempfile.TemporaryDirectory() as above:
            start_of_it = time.monotonic()
            finish(*start(kind, Path(above, "run"), False))
            seconds[kind] = time.monotonic() - start_of_it
    right = {True: 0, False: 0}
    rounds = [i < round(asked.kills * WRITING) for i in range(asked.kills)]
    for i, writing in enumerate(rounds):
        kind = list(KINDS)[i % len(KINDS)]
        right[writing] += one_round(kind, writing, expected[kind], seconds[kind], dice)
    good = right[True] + right[False]
    print(
        f"{good} of {asked.kills} trainings that were killed ({right[True]} of {sum(rounds)} while "
        f"a checkpoint was being written) end with the bits of the undisturbed ones; "
        f"{time.monotonic() - began:.0f} s"
    )
    sys.exit(good < asked.kills)


if __name__ == "__main__":
    main()
