"""What a tabular estimator minimizes, and what follows from that."""

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import mean_poisson_deviance, r2_score

import xpnn
from xpnn import TabularClassifier, TabularRegressor
from xpnn.arrays.backend import to_numpy
from xpnn.tabular.targets import share_of_logarithm


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


@pytest.mark.long_to_compile
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
    x = np.random.default_rng(0).lognormal(sigma=3.0, size=(1020, 1))  # too few rows for steps
    low, high = np.quantile(x, [0.94, 0.98])  # in what is one bin otherwise: 0.972 then
    rare = ((x[:, 0] > low) & (x[:, 0] < high)).astype(int)
    model = TabularClassifier(hidden=8, epochs=40, random_state=0).fit(x, rare)
    assert len(model.encoding_.columns[0].edges) == 11
    assert model.validation_score_ > 0.985
    numbers = TabularRegressor(hidden=8, epochs=1, random_state=0).fit(x, x[:, 0])
    assert len(numbers.encoding_.columns[0].edges) == 9


# -- skewed targets -------------------------------------------------------------------------------


def prices(n, seed):
    """Factors that multiply: few large numbers among many small ones."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, 1000.0 * np.exp(1.2 * x[:, 0] + 0.8 * np.abs(x[:, 1]) + 0.1 * rng.normal(size=n))


AT, PRICES = prices(300, 0)


@pytest.fixture(scope="module")
def of_prices():
    return TabularRegressor(**SMALL).fit(AT, PRICES)


def error(model, x, y):
    return float(np.sqrt(np.mean((model.predict(x) - y) ** 2)) / y.std())


def test_skewed_targets_are_learned_as_logarithms_too(of_prices, monkeypatch):
    """Better than without, by a share with the least squared error of rows out of fold."""
    new, truth = prices(2000, 1)
    assert 0.0 < of_prices.log_share_ <= 1.0
    assert of_prices.predict(new).shape == truth.shape
    assert of_prices.validation_score_ == pytest.approx(r2_score(PRICES, of_prices.oof_prediction_))
    assert "its logarithm counts" in of_prices.summary()
    monkeypatch.setattr("xpnn.tabular.regressor.is_skewed", lambda y, weight: False)
    without = TabularRegressor(**SMALL).fit(AT, PRICES)
    assert without.log_share_ is None
    assert error(of_prices, new, truth) < 0.9 * error(without, new, truth)
    assert of_prices.validation_score_ > without.validation_score_


def test_the_share_is_the_best_one():
    rng = np.random.default_rng(0)
    y = rng.normal(size=50)
    plain, other = y + rng.normal(size=50), y + 2.0 * rng.normal(size=50)
    weight = rng.uniform(size=50)
    share = share_of_logarithm(plain, other, y, weight)
    grid = np.linspace(0, 1, 1001)
    losses = [np.average(((1 - s) * plain + s * other - y) ** 2, weights=weight) for s in grid]
    assert share == pytest.approx(grid[int(np.argmin(losses))], abs=1e-3)
    assert share_of_logarithm(y, other, y, None) == 0.0
    assert share_of_logarithm(plain, y, y, None) == pytest.approx(1.0)


def test_skewed_targets_have_intervals_importances_and_files(of_prices, tmp_path):
    new, truth = prices(1000, 2)
    low, high = of_prices.predict_interval(new, 0.8).T
    assert 0.75 < ((low <= truth) & (truth <= high)).mean() < 0.95
    assert next(iter(of_prices.feature_importance(n_repeats=2))) == "x0"
    assert next(iter(of_prices.feature_importance(new, truth, n_repeats=2))) == "x0"
    xpnn.save(of_prices, tmp_path / "prices")
    again = xpnn.load(tmp_path / "prices")
    assert (again.predict(new) == of_prices.predict(new)).all()
    assert (again.predict_interval(new) == of_prices.predict_interval(new)).all()


@pytest.mark.parametrize(
    ("y", "options"),
    [
        (PRICES - PRICES.min(), {}),  # 0 has no logarithm
        (np.log(PRICES), {}),
        (-PRICES, {}),
        (np.stack([PRICES, PRICES], axis=1), {}),
        (PRICES, {"loss": "absolute_error"}),
        (PRICES, {"quantiles": (0.1, 0.5)}),
    ],
    ids=["zeros", "even", "negative", "two", "another loss", "quantiles"],
)
def test_others_are_learned_as_they_are(y, options):
    model = TabularRegressor(**{**SMALL, "epochs": 1}, **options).fit(AT, y)
    assert model.log_share_ is None
    assert model.predict(AT).shape == y.shape


def test_many_rows_are_learned_as_they_are(monkeypatch):
    monkeypatch.setattr("xpnn.tabular.regressor.MOST_ROWS", 299)
    assert TabularRegressor(**{**SMALL, "epochs": 1}).fit(AT, PRICES).log_share_ is None


def test_rows_without_weight_say_nothing_of_logarithms():
    weight = np.ones(len(PRICES))
    weight[:20] = 0.0
    y = np.where(weight > 0, PRICES, -1e9)
    model = TabularRegressor(**{**SMALL, "epochs": 4}).fit(AT, y, sample_weight=weight)
    assert model.log_share_ is not None
    assert model.predict(AT).min() >= PRICES[20:].min()


@pytest.mark.long_to_compile
@pytest.mark.own_context
def test_skewed_targets_on_every_device(target):
    options = {**SMALL, "epochs": 4, "dtype": target.dtype_name}
    expected = TabularRegressor(**options).fit(AT, PRICES).predict(AT)
    found = TabularRegressor(**options, device=target.backend.name).fit(AT, PRICES).predict(AT)
    limit = {"float64": 1e-11, "float32": 1e-3}[target.dtype_name]
    assert np.abs(to_numpy(found) - expected).max() <= limit * expected.max()


def test_a_classifier_takes_its_loss_by_any_name():
    kind = np.where(Y > 1, "many", "few")
    found = [
        TabularClassifier(loss=name, **SMALL).fit(X, kind).predict_proba(X)
        for name in ("log_loss", "cross_entropy")
    ]
    assert (found[0] == found[1]).all()
    with pytest.raises(ValueError, match="'loss' parameter of TabularClassifier must be a str"):
        TabularClassifier(loss="hinge").fit(X, kind)


def test_smoothed_labels_are_made_up_for_by_the_temperature(tmp_path):
    """Probabilities are pulled together in training, and calibrated to the labels as they are."""
    kind = np.where(Y > 1, "many", "few")
    plain = TabularClassifier(**SMALL).fit(X, kind)
    smooth = TabularClassifier(label_smoothing=0.4, **SMALL).fit(X, kind)
    assert smooth.temperature_ < 0.8 * plain.temperature_
    assert smooth.validation_log_loss_ == pytest.approx(plain.validation_log_loss_, abs=0.03)
    xpnn.save(smooth, tmp_path / "smooth")
    again = xpnn.load(tmp_path / "smooth")
    assert again.label_smoothing == 0.4
    assert (again.predict_proba(X) == smooth.predict_proba(X)).all()


def test_intervals_around_the_mean_prediction():
    """Half as wide as the residuals' quantile says, on both sides of what `predict` says."""
    model = TabularRegressor(**SMALL).fit(X, Y)
    low, high = model.predict_interval(X, 0.8, method="base").T
    residuals = np.sort(np.abs(model.oof_prediction_ - Y))
    rank = int(np.ceil(0.8 * (len(Y) + 1)))
    unclipped = (model.predict(X) > Y.min()) & (model.predict(X) < Y.max())
    assert np.allclose(((low + high) / 2)[unclipped], model.predict(X)[unclipped], atol=1e-4)
    assert np.allclose((high - low) / 2, residuals[rank - 1], rtol=0.1)  # clipped ones are less
    plus = model.predict_interval(X, 0.8, method="plus")
    assert (high - low).mean() < (plus[:, 1] - plus[:, 0]).mean()
    with pytest.raises(ValueError, match="method is 'minmax', expected one of median, plus, base"):
        model.predict_interval(X, method="minmax")
    several = TabularRegressor(quantiles=(0.1, 0.5, 0.9), **SMALL).fit(X, Y)
    low, high = several.predict_interval(X, 0.8, method="base").T
    outer = several.predict_quantiles(X)[:, ::2]
    inside = ((outer > Y.min()) & (outer < Y.max())).all(axis=1)  # others are clipped
    assert inside.sum() > 20
    assert np.ptp((low + high - outer.sum(axis=1))[inside]) < 1e-4
    assert np.ptp((high - low - np.ptp(outer, axis=1))[inside]) < 1e-4
