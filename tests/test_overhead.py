"""What a fit does in Python around its compiled steps: counted in calls, for time is no test."""

import sys
import warnings
from collections import Counter

import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor
from xpnn.steps import compiled
from xpnn.steps.compiled.steps import CompiledSteps

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="nothing is compiled here")


def calls_of_epochs(monkeypatch, epochs, **parameters):
    """Calls of Python and of C functions between the compiled steps of one epoch and the next."""
    found, seen = [Counter()], CompiledSteps._call

    def steps(self):
        found.append(Counter())
        return seen(self)

    def count(frame, event, arg):
        if event in ("call", "c_call"):
            found[-1][frame.f_code.co_name if event == "call" else arg.__name__] += 1

    monkeypatch.setattr(CompiledSteps, "_call", steps)
    x = np.random.default_rng(0).standard_normal((150, 4))
    model = MLPClassifier(max_iter=epochs, tol=0.0, random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.setprofile(count)
        try:
            model.fit(x, x.argmax(axis=1) % 3)
        finally:
            sys.setprofile(None)
    return found[2:-1]  # between two epochs, the first of which has prepared the steps


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


@pytest.mark.parametrize("parameters", [{}, {"dropout": 0.5}, {"solver": "sgd"}], ids=str)
def test_an_epoch_is_a_handful_of_calls(monkeypatch, parameters):
    calls = [sum(c.values()) for c in calls_of_epochs(monkeypatch, 9, **parameters)]
    assert len(calls) == 7
    assert max(calls) <= 115  # 25 microseconds on the machine of docs/benchmarks.md
