"""Curves that thousands of calls add to, and what they cost."""

import copy
import math
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor
from xpnn.training.history import Curve

X = np.random.default_rng(0).normal(size=(20, 3))
Y = (X[:, 0] > 0).astype(int)


def grown(model, calls):
    """The model as after so many more calls."""
    rng = np.random.default_rng(1)
    for name, curve in model._state.history.items():
        for value in rng.uniform(size=calls).tolist():
            curve.append(0.001 if name == "learning_rate" else value)
    return model


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_a_call_allocates_no_copy_of_the_past(cls):
    model = cls(hidden_layer_sizes=4, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch is too few, on purpose
        model = grown(model.fit(X, Y).partial_fit(X, Y), 100_000)
    tracemalloc.start()
    model.partial_fit(X, Y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000  # a copy of one curve alone takes 800,000 bytes
    assert len(model.loss_curve_) == len(model.history_["learning_rate"]) > 100_000


def test_a_pickle_grows_by_a_number_a_call():
    model = MLPClassifier((4,)).partial_fit(X, Y, classes=[0, 1])
    before = len(pickle.dumps(model))
    grown(model, 10_000)
    assert len(pickle.dumps(model)) - before < 8 * 10_000 + 500
    again = pickle.loads(pickle.dumps(model))
    assert again.history_ == model.history_
    assert again.partial_fit(X, Y).loss_curve_[:-1] == model.loss_curve_


def test_copies_go_on_by_themselves():
    curve, expected, copies = Curve(), [], []
    for i in range(1000):
        curve.append(float(i))
        expected.append(float(i))
        if i % 100 == 50:
            copies.append((curve.copy(), expected.copy()))
    for i, (other, known) in enumerate(copies):
        other.append(-1.0)
        assert list(other) == [*known, -1.0]
        assert len(other) == 100 * i + 52
        other.amend(-2.0)
        assert other[-1] == -2.0
    assert curve == expected
    assert [curve[i] for i in (0, -1, 255, 256, -300)] == [0.0, 999.0, 255.0, 256.0, 700.0]
    assert curve[250:260] == expected[250:260]
    for again in (copy.deepcopy(curve), pickle.loads(pickle.dumps(curve))):
        assert again == expected
    gaps = Curve([math.nan] * 3)
    assert [math.isnan(v) for v in pickle.loads(pickle.dumps(gaps))] == [True] * 3
    assert pickle.loads(pickle.dumps(Curve())) == []


def test_a_failed_call_leaves_the_curves():
    model = MLPRegressor(hidden_layer_sizes=4).partial_fit(X, Y)
    curve = model.loss_curve_

    def fail(end):
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        model.set_params(callbacks=[fail]).partial_fit(X, Y)
    assert model.loss_curve_ == curve
    assert not hasattr(MLPRegressor(), "loss_curve_")
    with pytest.raises(AttributeError, match="has no history_ before fit"):
        MLPRegressor().history_  # noqa: B018
