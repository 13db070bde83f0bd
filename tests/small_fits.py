"""Small fits of each kind of target."""

import numpy as np

from xpnn import MLPClassifier, MLPRegressor

N, N_IN = 48, 4
SHARED = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 5, "batch_size": 16}
SHARED |= {"learning_rate_init": 0.02}


def features(seed=0):
    return np.random.default_rng(seed).normal(size=(N, N_IN)).astype(np.float32).astype(float)


def targets(kind):
    z = features() @ np.random.default_rng(1).normal(size=(N_IN, 3))
    return {
        "binary": (z[:, 0] > 0).astype(int),
        "multiclass": z.argmax(axis=1) * 3 + 2,
        "multilabel": (z > 0).astype(int),
        "regression": z[:, 0].astype(np.float32),
        "multi-output": z.astype(np.float32),
    }[kind]


CLASSIFIED = ["binary", "multiclass", "multilabel"]
KINDS = [*CLASSIFIED, "regression", "multi-output"]


def estimator(kind="multiclass", **options):
    cls = MLPClassifier if kind in CLASSIFIED else MLPRegressor
    return cls(**SHARED | options)


def fitted(kind="multiclass", **options):
    return estimator(kind, **options).fit(features(), targets(kind))


def cubed_error(output, target, weight, xp):
    r = output - target
    return xp.sum(xp.abs(r) ** 3) / r.shape[0], 3 * r * xp.abs(r) / r.shape[0]
