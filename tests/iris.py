"""Iris, centred, and small estimators for it."""

import numpy as np
from sklearn.datasets import load_iris

from xpnn import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
IRIS = load_iris(return_X_y=True)
X, Y = IRIS[0] - IRIS[0].mean(axis=0), IRIS[1]
T = X[:, 0] - 0.5 * X[:, 1] ** 2
SMALL = {"hidden_layer_sizes": (12,), "max_iter": 40, "random_state": 0, "learning_rate_init": 0.01}


def classifier(**params):
    return MLPClassifier(**SMALL | params)


def regressor(**params):
    return MLPRegressor(**SMALL | params)
