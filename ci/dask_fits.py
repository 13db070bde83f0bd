"""Fits on a Dask cluster of processes: prints the SHA-256 of each network's parameters.

    python ci/dask_fits.py bits
    python ci/dask_fits.py kill

`bits` fits on 1 to 5 workers and in one process without Dask, from several partitions, and
fails where any differs. `kill` kills a worker in the middle of a fit: one that cannot go on ends
within ten seconds with an error that names it; one that can comes to the same bits, from rows that
are computed again, whether the first worker or the last is killed.
"""

import hashlib
import os
import signal
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

import xpnn
import xpnn.dask as xd
from xpnn.distributed import one

ROWS, FEATURES = 1201, 12
SOON = 10  # seconds
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, FEATURES))
Y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0.5)
Z = np.sin(X[:, :2]) + X[:, 2:4] ** 2
WEIGHT = RNG.uniform(size=ROWS)
COMMON = {"max_iter": 8, "random_state": 0, "hidden_layer_sizes": (32, 16)}
TABLE = pd.DataFrame(X[:, :4], columns=list("abcd")).assign(word=np.where(Y > 1, "x", "y"))


def digest(model):
    """What a fit has learned, as a checksum."""
    if isinstance(model, xpnn.TabularClassifier):
        arrays = (model.oof_prediction_,)
    else:
        arrays = model.parameters_
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


CASES = {
    "classifier": ("MLPClassifier", COMMON, (X, Y)),
    "weights": ("MLPClassifier", COMMON, (X, Y, WEIGHT)),
    "dropout": ("MLPClassifier", COMMON | {"dropout": 0.3}, (X, Y)),
    "batch norm": ("MLPClassifier", COMMON | {"normalization": "batch"}, (X, Y)),
    "early stopping": ("MLPClassifier", COMMON | {"early_stopping": True}, (X, Y)),
    "lbfgs": ("MLPClassifier", COMMON | {"solver": "lbfgs"}, (X, Y)),
    "regressor": ("MLPRegressor", COMMON | {"dtype": "float32"}, (X, Z)),
    "table": ("TabularClassifier", {"epochs": 3, "random_state": 0}, (TABLE, Y)),
}


def cut(a, rows):
    """An array or a frame as Dask's."""
    if isinstance(a, pd.DataFrame):
        return dd.from_pandas(a, chunksize=rows)
    return da.from_array(a, chunks=(rows, *a.shape[1:]))


@contextmanager
def cluster(n):
    """The client of a cluster of n processes."""
    made = LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=":0")
    with made, Client(made) as client:
        client.wait_for_workers(n)
        yield client


def alone(name):
    """The fit of one process, without Dask."""
    cls, options, given = CASES[name]
    return digest(getattr(xpnn, cls)(**options).fit(*given, comm=one(rows="own")))


def bits():
    """All cases on 1 to 5 workers."""
    expected = {name: alone(name) for name in CASES}
    for n in (1, 2, 3, 4, 5):
        with cluster(n):
            for name, (cls, options, given) in CASES.items():
                model = getattr(xd, cls)(**options).fit(*(cut(a, 100 * n) for a in given))
                if digest(model) != expected[name]:
                    raise SystemExit(f"{name} is another network on {n} workers")
    for name, found in expected.items():
        print(name, found)


def kills(comm, rank):
    """Work in which one rank is killed."""
    for step in range(1000):
        comm.barrier()
        if step == 20 and comm.rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)


class Killer:
    """A callback that kills its worker once, in the third epoch; a file says that it has been."""

    def __init__(self, path):
        self.path = path

    def __call__(self, end):
        """End as a process does that the system ends."""
        if end.epoch == 3 and not os.path.exists(self.path):
            open(self.path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


def kill_first(folder):
    """A fit whose first worker is killed; with a folder for checkpoints."""
    path = tempfile.mktemp(dir=folder)
    checkpoint = xpnn.Checkpoint(f"{path}-run", every="1 epoch")
    model = xd.MLPClassifier(**COMMON, callbacks=Killer(path))
    found = digest(model.fit(cut(X, 100), cut(Y, 100), checkpoint=checkpoint))
    again = xd.MLPClassifier(**COMMON, callbacks=Killer(path))
    resumed = again.fit(cut(X, 100), cut(Y, 100), checkpoint=checkpoint, resume=True)
    return found, digest(resumed)


def kill_last(client):
    """A fit whose last worker is killed from outside, as soon as it is at work."""
    slow = {"max_iter": 20, "tol": 0, "n_iter_no_change": 99}
    pids = client.run(os.getpid)
    killed = []

    def look(run, writer_look):
        def now():
            writer_look()
            if not killed:
                killed.append(run.workers[-1])
                os.kill(pids[run.workers[-1]], signal.SIGKILL)

        return now

    from xpnn.dask import fitting

    results = fitting.Run.results
    fitting.Run.results = lambda run, watch=lambda: None: results(run, look(run, watch))
    try:
        options = COMMON | slow | {"callbacks": lambda end: time.sleep(0.05)}
        given = client.persist([cut(X, 100), cut(Y, 100)])
        found = digest(xd.MLPClassifier(**options).fit(*given))
    finally:
        fitting.Run.results = results
    options.pop("callbacks")
    return found, digest(xpnn.MLPClassifier(**options).fit(X, Y, comm=one(rows="own")))


def kill():
    """A worker is killed: an error that names it, or the same bits."""
    with cluster(3) as client:
        last, began = sorted(client.nthreads())[-1], time.monotonic()
        try:
            xd.on_workers(kills, client, inputs=[(2,)] * 3)
        except xd.WorkerLostError as error:
            seconds = time.monotonic() - began
            print(f"after {seconds:.1f} s: {error}")
            if last not in str(error) or seconds > SOON:
                raise SystemExit("it took too long, or names another worker") from error
        else:
            raise SystemExit("a worker was killed and nobody noticed")
    expected = alone("classifier")
    with tempfile.TemporaryDirectory() as folder:
        with cluster(2):
            found = kill_first(folder)
        if found != (expected, expected):
            raise SystemExit(f"the first worker was killed: {found} and not {expected}")
    with cluster(2) as client:
        found, expected = kill_last(client)
        if found != expected:
            raise SystemExit(f"the last worker was killed: {found} and not {expected}")
    print("the first and the last worker killed: the same bits")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    {"bits": bits, "kill": kill}[sys.argv[1]]()
