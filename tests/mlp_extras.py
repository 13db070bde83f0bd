"""Targets of each kind, and small estimators with members, embedding or groups."""

import numpy as np
import pytest
from targets import TABLE

from xpnn import MLPClassifier, MLPRegressor
from xpnn.network import Group

# JAX compiles each network for seconds: what is not of one library alone runs on the others.
eager = pytest.mark.targets(*(name for name in TABLE if not name.startswith("jax")))
N, N_IN, MEMBERS = 45, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, N_IN)).astype(np.float32).astype(np.float64)

CODES = (X[:, 0] > 0.4).astype(int) + (X[:, 1] > 0)
TARGETS = {
    "multiclass": np.array([2, 5, 8])[CODES],
    "binary": np.array([3, 7])[(X[:, 0] > X[:, 1]).astype(int)],
    "multilabel": (X[:, :2] > 0).astype(int),
    "margins": np.array([2, 5, 8])[CODES],
    "margin": np.array([3, 7])[(X[:, 0] > X[:, 1]).astype(int)],
    "regression": X[:, 0] * X[:, 1],
    "multi-output": np.stack([X[:, 0], X[:, 1] ** 2], axis=1),
    "rates": CODES.astype(float),
}
KINDS = tuple(TARGETS)
CLASSES = KINDS[:5]
SHARED = {"hidden_layer_sizes": (6, 5), "activation": "tanh", "batch_size": 16, "max_iter": 4}
SHARED |= {"learning_rate_init": 0.01, "random_state": 3, "n_iter_no_change": np.inf}

LOSS = {"margins": "hinge", "margin": "hinge", "rates": "poisson"}


def estimator(kind="multiclass", **options):
    cls = MLPClassifier if kind in CLASSES else MLPRegressor
    loss = {"loss": LOSS[kind]} if kind in LOSS else {}
    return cls(**{**SHARED, **loss, **options})


def data(target, kind):
    return target.asarray(X), target.asarray(TARGETS[kind])


def host(target, arrays):
    return [target.to_numpy(a).astype(np.float64) for a in arrays]


def assert_close(found, expected, rtol):
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


EXTRAS = {"members": 2, "embedding": "periodic", "dropout": 0.1}
EXTRAS["groups"] = {"embedding": Group(0.1, 1.0), "weight": Group(1.0, 1.0, 1.0, by_fan_in=True)}
