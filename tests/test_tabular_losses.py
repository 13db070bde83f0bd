"""What a tabular estimator minimizes, and what follows from that."""

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import mean_poisson_deviance

import xpnn
from xpnn import TabularClassifier, TabularRegressor
from xpnn.arrays.backend import to_numpy


def counts(n, seed):
    """How often something happens, at rates that are no straight line's exponential."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, rng.poisson(np.exp(0.8 * x[:, 0] - np.abs(x[:, 1]))).astype(float)


X, Y = counts(400, 0)
SMALL = {"hidden": 16, "epochs": 30, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return TabularRegressor(loss="poisson", **SMALL).fit(X, Y)


def test_rates_are_predicted(model):
    """Better than a linear model of the logarithm does, and above 0 as rates are."""
    new, truth = counts(2000, 1)
    found = model.predict(new)
    linear = PoissonRegressor(alpha=1e-3).fit(X, Y).predict(new)
    assert found.min() > 0
    assert mean_poisson_deviance(truth, found) < mean_poisson_deviance(truth, linear)
    assert found.mean() == pytest.approx(Y.mean(), rel=0.15)


def test_the_loss_of_a_valley_is_half_the_deviance(model):
    """Of predictions out of fold, in units of the mean, which the score of training is in."""
    best = min(score for score, _ in model.valleys_.values())
    blended = mean_poisson_deviance(Y, model.oof_prediction_) / (2.0 * Y.mean())
    assert blended <= best * (1.0 + 1e-6)
    assert blended == pytest.approx(best, rel=0.05)


def test_rates_have_intervals_importances_and_files(model, tmp_path):
    new, truth = counts(1000, 2)
    low, high = model.predict_interval(new, 0.8).T
    assert low.min() >= 0
    assert ((low <= truth) & (truth <= high)).mean() > 0.75
    assert next(iter(model.feature_importance(n_repeats=2))) in ("x0", "x1")
    xpnn.save(model, tmp_path / "counts")
    again = xpnn.load(tmp_path / "counts")
    assert (again.predict(new) == model.predict(new)).all()
    assert (again.predict_interval(new) == model.predict_interval(new)).all()


@pytest.mark.own_context
def test_rates_on_every_device(target):
    options = {**SMALL, "loss": "poisson", "epochs": 4, "dtype": target.dtype_name}
    expected = TabularRegressor(**options).fit(X, Y).predict(X)
    found = TabularRegressor(**options, device=target.backend.name).fit(X, Y).predict(X)
    limit = {"float64": 1e-11, "float32": 1e-3}[target.dtype_name]
    assert np.abs(to_numpy(found) - expected).max() <= limit * expected.max()


def test_several_rates_and_nothing_at_all():
    both = np.stack([Y, 1e6 * Y, np.zeros_like(Y)], axis=1)
    found = TabularRegressor(loss="poisson", **SMALL).fit(X, both).predict(X)
    assert (found[:, 2] == 0).all()
    assert np.corrcoef(found[:, 1], Y)[0, 1] > 0.5
    assert found[:, 1].mean() == pytest.approx(1e6 * Y.mean(), rel=0.2)


def test_targets_below_0_are_told():
    model = TabularRegressor(loss="poisson", **SMALL)
    with pytest.raises(ValueError, match=r"poisson.*at least 0, got -1.*another loss"):
        model.fit(X, Y - 1.0)
    assert not hasattr(model, "network_")


def test_rare_classes_are_told_by_extreme_values():
    """Classes have narrow bins at both ends of a column of numbers, a regression has not."""
    x = np.random.default_rng(0).lognormal(sigma=3.0, size=(1200, 1))
    low, high = np.quantile(x, [0.92, 0.96])  # within what is one bin otherwise: 0.961 then
    rare = ((x[:, 0] > low) & (x[:, 0] < high)).astype(int)
    model = TabularClassifier(hidden=8, epochs=40, random_state=0).fit(x, rare)
    assert len(model.encoding_.columns[0].edges) == 13
    assert model.validation_score_ > 0.985
    numbers = TabularRegressor(hidden=8, epochs=1, random_state=0).fit(x, x[:, 0])
    assert len(numbers.encoding_.columns[0].edges) == 9
