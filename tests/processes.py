"""Scripts in processes of their own that do not import everything anew.

One process imports what the scripts need, which takes longer than most of them, and is forked for
each; a child is a process that has imported and done nothing else. BLAS has two threads in it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

IMPORTS = """
import os, signal, sys, threading, time, warnings
from contextlib import contextmanager
import numpy as np
import scipy.linalg.cython_blas
from threadpoolctl import threadpool_info, threadpool_limits
from xpnn import MLPClassifier
from xpnn.steps import threads
from xpnn.steps.compiled.steps import CompiledSteps
warnings.simplefilter("ignore")
"""
# Each line asks for a child, which leaves the loop and ends as any script does.
FORKS = """
import gc, json
gc.freeze()  # a child that looks through what was imported copies its memory
for line in sys.stdin:
    code, out, err = json.loads(line)
    child = os.fork()
    if child == 0:
        signal.alarm(300)
        for path, number in (out, 1), (err, 2):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        break
    print(os.waitpid(child, 0)[1], flush=True)
else:
    sys.exit()
exec(code)
"""


class Processes:
    """Runs scripts, each in a process that begins with `IMPORTS`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2"
        )
        self.parent: subprocess.Popen[str] | None = None

    def run(self, code: str) -> str:
        """What a script prints; it must end well."""
        out, err = self.folder / "out", self.folder / "err"
        if not hasattr(os, "fork"):
            command = [sys.executable, "-c", IMPORTS + code]
            with out.open("w") as a, err.open("w") as b:
                status = subprocess.run(
                    command, env=self.environment, stdout=a, stderr=b
                ).returncode
        else:
            status = self.forked(code, out, err)
        assert status == 0, f"status {status}: {err.read_text()}"
        return out.read_text()

    def forked(self, code: str, out: Path, err: Path) -> int:
        if self.parent is None:
            self.parent = subprocess.Popen(
                [sys.executable, "-c", IMPORTS + FORKS],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self.environment,
                text=True,
            )
        for path in (out, err):
            path.unlink(missing_ok=True)
        self.parent.stdin.write(json.dumps([code, str(out), str(err)]) + "\n")
        self.parent.stdin.flush()
        return int(self.parent.stdout.readline())

    def close(self) -> None:
        if self.parent is not None:
            self.parent.communicate()  # ends its input
            self.parent = None
