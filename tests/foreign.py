"""Fits to which arrays of any library are given."""

import dlpack_only
import numpy as np
import scipy.sparse as sp

from xpnn import MLPClassifier, MLPRegressor, Perceptron, TabularClassifier

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
NETWORK = r"model\.network_\.predict\(\*model\.parameters_, X, xp\)"
FITS = {
    "classifier": lambda **o: MLPClassifier((5,), max_iter=2, random_state=0, **o),
    "regressor": lambda **o: MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=0, **o),
    "perceptron": lambda **o: Perceptron(max_iter=2, tol=None, random_state=0, **o),
    "tabular": lambda **o: TabularClassifier(
        n_members=2, hidden=(5,), epochs=1, random_state=0, **o
    ),
}


def on(number, x=X):
    return dlpack_only.from_dlpack(np.array(x), device=dlpack_only.DEVICES[number])


class Coo:
    """A sparse matrix of another library, as `sparse.COO` is."""

    def __init__(self, x):
        self.csr = sp.csr_array(x)
        self.shape, self.ndim, self.dtype, self.nnz = x.shape, 2, x.dtype, self.csr.nnz

    def tocsr(self):
        return self.csr

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("cannot convert a sparse array to dense automatically")
