"""Scores on the device against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from xpnn.parts import metrics


def rows(seed=0, n=50):
    rng = np.random.default_rng(seed)
    return rng, rng.uniform(0.1, 3.0, n).astype(np.float32)


def test_accuracy_is_scikit_learns(target):
    rng, weight = rows()
    for shape in ((50,), (50, 2)):
        truth, predicted = rng.integers(0, 2, (2, *shape))
        for w in (np.ones(50, np.float32), weight):
            score = metrics.accuracy(
                target.asarray(predicted), target.asarray(truth), target.asarray(w), target.xp
            )
            expected = accuracy_score(truth, predicted, sample_weight=w.astype(float))
            target.assert_close(score, np.asarray(expected))


def test_r2_is_scikit_learns(target):
    rng, weight = rows()
    truth = rng.normal(size=(50, 3)).astype(np.float32)
    predicted = (truth + rng.normal(size=truth.shape)).astype(np.float32)
    truth[:, 2] = 0.5
    for predictions in (predicted, truth):  # a constant output, missed and met
        for w in (np.ones(50, np.float32), weight):
            score = metrics.r2(
                target.asarray(predictions), target.asarray(truth), target.asarray(w), target.xp
            )
            expected = r2_score(
                truth.astype(float), predictions.astype(float), sample_weight=w.astype(float)
            )
            target.assert_close(score, np.asarray(expected))


@pytest.mark.parametrize("metric", ["accuracy", "r2"])
def test_scores_wait_for_nothing(target_any, metric):
    t, (rng, weight) = target_any, rows()
    a = rng.integers(0, 2, 50) if metric == "accuracy" else rng.normal(size=(50, 2))
    args = [t.asarray(a), t.asarray(a), t.asarray(weight.astype(float))]
    with t.forbid_sync():
        score = getattr(metrics, metric)(*args, t.xp)
    t.assert_close(score, np.asarray(1.0))


def test_first_largest_is_argmax(target):
    rng, _ = rows()
    x = rng.integers(0, 3, (60, 5)).astype(np.float32)  # many equals
    wide = "int64" if "int64" in target.backend.dtypes else "int32"
    dtype = getattr(target.xp, wide)
    with target.forbid_sync():
        found = metrics.first_largest(target.asarray(x), dtype, target.xp)
    target.assert_close(found, x.argmax(axis=1), dtype=dtype)
    x[0] = np.nan
    x[1] = -np.inf
    found = metrics.first_largest(target.asarray(x), dtype, target.xp)
    assert target.to_numpy(found)[:2].tolist() == [0, 0]
