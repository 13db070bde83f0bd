"""Fits in several processes: prints one line of JSON, the SHA-256 of each network's parameters.

    mpiexec -n 4 python ci/mpi_fits.py [--nccl] [CASE ...]

Any number of processes has to print the same line; `ci/mpi.sh` compares. With --nccl each process
has a GPU of its own; `ci/nccl.sh` compares those.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from shares import own

import xpnn
from xpnn.backends import to_numpy
from xpnn.data import Blocks
from xpnn.distributed import mpi, nccl

ROWS, FEATURES = 1201, 12
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, FEATURES))
Y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0.5)
Z = np.sin(X[:, :2]) + X[:, 2:4] ** 2
WEIGHT = RNG.uniform(size=ROWS)
TABLE = {
    "size": X[:, 0],
    "count": np.where(np.arange(ROWS) % 9 == 0, np.nan, RNG.integers(0, 50, ROWS)),
    "word": RNG.choice(np.asarray(["p", "q", "r", None]), ROWS),
    "day": np.datetime64("2024-01-01") + RNG.integers(0, 400, ROWS).astype("timedelta64[D]"),
}


def fits(every, apart):
    """Name and fitted model of each case; `apart` is a communicator of processes' own rows."""
    device = getattr(every, "device", None)
    common = {"max_iter": 8, "random_state": 0, "device": device, "hidden_layer_sizes": (32, 16)}

    def classifier(**options):
        return xpnn.MLPClassifier(**common, **options)

    def regressor(**options):
        return xpnn.MLPRegressor(**common, **options)

    yield "classifier", classifier().fit(X, Y, comm=every)
    yield "regressor", regressor().fit(X, Z, comm=every)
    yield "weights", classifier().fit(X, Y, WEIGHT, comm=every)
    yield "dropout", classifier(dropout=0.3, input_dropout=0.1).fit(X, Y, comm=every)
    yield "batch norm", classifier(normalization="batch").fit(X, Y, comm=every)
    yield "early stopping", classifier(early_stopping=True, tol=0.1).fit(X, Y, comm=every)
    yield "members", regressor(members=3, dropout=0.2).fit(X, Z, comm=every)
    yield "lbfgs", classifier(solver="lbfgs").fit(X, Y, comm=every)
    yield "float32", regressor(dtype="float32").fit(X, Z, comm=every)
    mine, label = own(apart, X), own(apart, Y)
    yield "own rows", classifier(dropout=0.2).fit(mine, label, comm=apart)
    yield "own rows stopped early", classifier(early_stopping=True).fit(mine, label, comm=apart)
    yield "own rows, batch norm", classifier(normalization="batch").fit(mine, label, comm=apart)
    small = {"block_rows": 100, "window": 2}
    rows, here = Blocks(X, Y, **small), Blocks(mine, label, **small)
    yield "blocks", classifier(dropout=0.2).fit(rows, comm=every)
    yield "blocks stopped early", classifier(early_stopping=True).fit(rows, comm=every)
    yield "blocks of own rows", classifier(dropout=0.2).fit(here, comm=apart)
    about = {"random_state": 0, "device": device}
    yield "tabular blocks", xpnn.TabularClassifier(epochs=4, **about).fit(rows, comm=every)
    yield "tabular", xpnn.TabularClassifier(epochs=4, **about).fit(X, Y, comm=every)
    table, price = {k: own(apart, column) for k, column in TABLE.items()}, own(apart, Z[:, 0])
    model = xpnn.TabularClassifier(epochs=4, **about)
    yield "tabular of own rows", model.fit(table, label, own(apart, WEIGHT), comm=apart)
    numbers = xpnn.TabularRegressor(epochs=4, **about)
    yield "tabular numbers of own rows", numbers.fit(table, price, comm=apart)
    yield (
        "tabular blocks of own rows",
        xpnn.TabularClassifier(epochs=4, **about).fit(here, comm=apart),
    )
    rule = {"batch_size": 64, "pocket": True, "early_stopping": True} | about
    yield "perceptron", xpnn.Perceptron(batch_size=64, **about).fit(X, Y > 0, comm=every)
    yield "perceptron of own rows", xpnn.Perceptron(**rule).fit(mine, label, comm=apart)
    yield "perceptron of blocks", xpnn.Perceptron(**rule).fit(rows, comm=every)


def parameters(model):
    """What a fit has learned, as bytes."""
    if hasattr(model, "oof_prediction_"):
        given = TABLE if model.n_features_in_ == len(TABLE) else X
        predict = getattr(model, "predict_proba", model.predict)
        arrays = (model.oof_prediction_, predict(given))
    else:
        arrays = (model.coef_,) if isinstance(model, xpnn.Perceptron) else model.parameters_
    return b"".join(np.ascontiguousarray(to_numpy(a)).tobytes() for a in arrays)


def main():
    """Fit all cases; the first process prints."""
    warnings.simplefilter("ignore")
    every, apart = mpi(), mpi(rows="own")
    if "--nccl" in sys.argv:
        every, apart = nccl(every), nccl(apart)
    wanted = [name for name in sys.argv[1:] if name != "--nccl"]
    found = {}
    for name, model in fits(every, apart):
        if not wanted or name in wanted:
            found[name] = hashlib.sha256(parameters(model)).hexdigest()
    if any(other != found for other in every.gather(found)):
        raise SystemExit("the processes have different networks")
    if every.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
