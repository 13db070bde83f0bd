"""xpnn on a Dask cluster: estimators of Dask's arrays and frames, trained where the rows lie.

The import and the type of the data change, and nothing else: `xpnn.dask.MLPClassifier` takes the
parameters of `xpnn.MLPClassifier`, and gives the same network whatever the number of workers.
"""

from xpnn.dask.estimators import (
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularRegressor,
)
from xpnn.distributed.workers import WorkerLostError, on_workers

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "TabularClassifier",
    "TabularRegressor",
    "WorkerLostError",
    "on_workers",
]
