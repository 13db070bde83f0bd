"""What a fit does in Python around its compiled steps: counted in calls, for time is no test."""

import sys
import warnings
from collections import Counter

import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor
from xpnn.steps import compiled

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="nothing is compiled here")


def calls_of_fit(epochs, **parameters):
    """Calls of Python and of C functions."""
    x, seen = np.random.default_rng(0).standard_normal((150, 4)), Counter()
    model = MLPClassifier(max_iter=epochs, tol=0.0, random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.setprofile(lambda frame, event, arg: seen.update([event]))
        try:
            model.fit(x, x.argmax(axis=1) % 3)
        finally:
            sys.setprofile(None)
    assert model.n_iter_ == epochs
    return seen["call"] + seen["c_call"]


@pytest.mark.parametrize(
    ("kind", "method", "most"),
    [
        (MLPClassifier, "predict", 48),
        (MLPClassifier, "predict_proba", 32),
        (MLPRegressor, "predict", 30),
    ],
)  # 5 to 9 microseconds
def test_one_row_is_predicted_in_a_handful_of_calls(kind, method, most):
    x, seen = np.random.default_rng(0).standard_normal((150, 4)), Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind(random_state=0, max_iter=1).fit(x, x.argmax(1) % 3)
    call = getattr(model, method)
    call(x[:1])
    sys.setprofile(lambda frame, event, arg: seen.update([event]))
    try:
        call(x[:1])
    finally:
        sys.setprofile(None)
    assert seen["call"] + seen["c_call"] <= most


@pytest.mark.parametrize(
    ("parameters", "most"),
    [({}, 40), ({"dropout": 0.5}, 40), ({"solver": "sgd"}, 40), ({"shuffle": False}, 90)],
    ids=str,
)  # 15 and 25 microseconds on the machine of docs/benchmarks.md
def test_an_epoch_is_a_handful_of_calls(parameters, most):
    calls_of_fit(12, **parameters)
    calls = [calls_of_fit(epochs, **parameters) for epochs in (12, 67)]
    assert calls[1] - calls[0] <= 55 * most
