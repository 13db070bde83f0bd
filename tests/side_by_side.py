"""scikit-learn's networks and ours with the same parameters."""

import pytest
import sklearn.neural_network as sk
from sklearn.datasets import load_diabetes, load_digits

import xpnn

PAIRS = {"classifier": (sk.MLPClassifier, xpnn.MLPClassifier)}
PAIRS["regressor"] = (sk.MLPRegressor, xpnn.MLPRegressor)


def _tables():
    x, y = load_digits(return_X_y=True)
    d, t = load_diabetes(return_X_y=True)
    return {"digits": (x / 16.0, y), "diabetes": (d * 10.0, (t - t.mean()) / t.std())}


TABLES = _tables()

of_both = pytest.mark.parametrize("library", [sk, xpnn], ids=["sklearn", "xpnn"])
"""Tests that have it hold for scikit-learn and for us."""
