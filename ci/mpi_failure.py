"""A fit in which one process fails, or is killed, in its fourth epoch; then one that goes on.

    mpiexec -n 3 python ci/mpi_failure.py raise FOLDER
    mpiexec -n 3 python ci/mpi_failure.py kill FOLDER
    mpiexec -n 3 python ci/mpi_failure.py before FOLDER
    mpiexec -n 2 python ci/mpi_failure.py resume FOLDER

`raise`, `kill` and `before`, which fails before its fit, have to end all processes,
with an error that names the rank. `resume` prints the SHA-256 of a fit that goes on from the
checkpoint, and of one that was never broken off.
"""

import hashlib
import os
import signal
import sys
import warnings

import numpy as np

import xpnn
from xpnn.distributed import mpi

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 12))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def fit(comm, folder, ends=None):
    """Train for eight epochs, with a checkpoint after each; `ends` is called in the fourth."""

    def callback(end):
        if ends is not None and end.epoch == 4 and comm.rank == comm.size - 1:
            ends()

    model = xpnn.MLPClassifier(max_iter=8, dropout=0.2, random_state=0, callbacks=callback)
    checkpoint = None if folder is None else xpnn.Checkpoint(folder, every="1 epoch")
    model.fit(X, Y, comm=comm, checkpoint=checkpoint, resume=folder is not None)
    return hashlib.sha256(np.ascontiguousarray(model.parameters_[0]).tobytes()).hexdigest()


def breaks():
    """An error of the user's own."""
    raise RuntimeError("a callback that fails")


def dies():
    """End as a process does that the system ends."""
    os.kill(os.getpid(), signal.SIGKILL)


def main():
    """Do what the command line says."""
    warnings.simplefilter("ignore")
    how, folder = sys.argv[1:]
    comm = mpi()
    if how == "resume":
        found = fit(comm, folder), fit(comm, None)
        if comm.rank == 0:
            print(*found)
        return
    if how == "before" and comm.rank == comm.size - 1:
        raise RuntimeError("no rows to be read")
    fit(comm, folder, {"before": None, "raise": breaks, "kill": dies}[how])


if __name__ == "__main__":
    main()
