"""One network trained by several processes, and the rows they have."""

import hashlib

import numpy as np
from shares import own

import xpnn

RNG = np.random.default_rng(0)
N = 123
X = RNG.normal(size=(N, 6))
CLASSES = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0.7)
NAMES = np.asarray(["a", "b", "c"])[CLASSES]


def fitted(comm, make, y, weight=None, **given):
    """A model's parameters as a checksum, its epochs and its last score."""
    model = make().fit(own(comm, X), own(comm, y), own(comm, weight), comm=comm, **given)
    digest = hashlib.sha256(np.ascontiguousarray(model.parameters_[0]).tobytes()).hexdigest()
    return (
        digest,
        model.n_iter_,
        model.history_.get("val_score", [0])[-1],
        model.predict(X[:9]).tolist(),
    )


def classifier(**options):
    given = {"random_state": 0, "max_iter": 5, "hidden_layer_sizes": 9, "batch_size": 32}
    return xpnn.MLPClassifier(**given | options)
