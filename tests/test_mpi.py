"""What only processes that MPI has started can show; `ci/mpi.sh` has the rest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BEFORE = """
import numpy as np
import xpnn
from xpnn.distributed import mpi

comm = mpi(rows="own")
if comm.rank == 1:
    open("no such file")
X = np.random.default_rng(0).normal(size=(50, 3))
xpnn.MLPClassifier(4, max_iter=1).fit(X, X[:, 0] > 0, comm=comm)
"""


@pytest.fixture
def mpiexec():
    """Calls a command in so many processes; what it says, and its status."""
    pytest.importorskip("mpi4py", exc_type=ImportError)
    beside = Path(sys.executable).parent / "mpiexec"
    program = str(beside) if beside.exists() else shutil.which("mpiexec")
    if program is None:
        pytest.skip("there is no mpiexec")

    def run(*parts):
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        about = {"capture_output": True, "text": True, "timeout": 60, "env": env}
        found = subprocess.run([program, *map(str, parts)], **about)
        return found.stdout + found.stderr, found.returncode

    return run


@pytest.mark.slow
def test_a_process_that_fails_outside_of_fit_ends_the_others(mpiexec, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(BEFORE)
    said, status = mpiexec("-n", 2, sys.executable, script)
    assert "RemoteError: rank 1 failed: FileNotFoundError" in said
    assert status != 0


@pytest.mark.slow
def test_the_command_ends_where_one_process_has_no_table(mpiexec, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,b,y\n" + "".join(f"{i},{i % 7},{i % 2}\n" for i in range(80)))
    train = [sys.executable, "-m", "xpnn", "train"]
    options = ["--mpi", "--epochs", 2, "--out", tmp_path / "out"]
    parts = [
        "-n",
        1,
        *train,
        table,
        *options,
        ":",
        "-n",
        1,
        *train,
        tmp_path / "none.csv",
        *options,
    ]
    said, status = mpiexec(*parts)
    assert "rank 1 failed: TableError: There is no file" in said
    assert status != 0
