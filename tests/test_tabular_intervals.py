"""Intervals, quantiles and probabilities: what is promised of new rows."""

import numpy as np
import pytest
from tabular_table import CLASSES, FRAME, SMALL, N, Y, fitted, table

import xpnn
from xpnn import TabularClassifier, TabularRegressor
from xpnn.tabular.calibration import (
    cross_conformal_interval,
    fit_temperature,
    median_interval,
    tempered,
)
from xpnn.tabular.quantiles import Pinballs


@pytest.fixture(scope="module")
def classifier():
    return fitted(TabularClassifier)


@pytest.fixture(scope="module")
def regressor():
    return fitted(TabularRegressor)


@pytest.fixture(scope="module")
def of_many():
    return TabularRegressor(**SMALL).fit(*table(400))


@pytest.mark.parametrize("method", ["median", "plus"])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_intervals_hold_what_they_promise(of_many, level, method):
    new, truth = table(2000, seed=1)
    low, high = of_many.predict_interval(new, level, method=method).T
    held = float(((low <= truth) & (truth <= high)).mean())
    assert level - 0.05 < held < level + 0.5 * (1.0 - level)  # members predict worse than all
    if method == "median":
        assert (of_many.predict_interval(new, level) == np.stack([low, high], axis=1)).all()
        assert (of_many.predict_interval(new, level, method="plus")[:, 0] != low).any()


def test_probabilities_are_calibrated_out_of_fold(classifier):
    """Of all temperatures that of the estimator makes its predictions out of fold most likely."""
    codes = np.searchsorted(classifier.classes_, CLASSES)
    true = np.arange(N), codes

    def loss(factor):
        return -np.log(tempered(classifier.oof_prediction_, factor)[true]).mean()

    assert classifier.temperature_ != 1.0
    assert loss(1.0) < loss(0.9)
    assert loss(1.0) < loss(1.1)
    undone = tempered(classifier.predict_proba(FRAME), 1 / classifier.temperature_)
    raw, _ = classifier._mean_prediction(FRAME)
    assert np.allclose(undone, raw, atol=1e-6)


def test_intervals_are_the_plus_form():
    """Against sorting all predictions minus and plus residuals."""
    rng = np.random.default_rng(0)
    residuals = [np.abs(rng.normal(size=k)) for k in (3, 7, 11)]
    predictions = [rng.normal(size=5) for _ in residuals]
    n, level = 21, 0.8
    rank = int(np.ceil(level * (n + 1)))
    pairs = list(zip(predictions, residuals, strict=True))
    high = np.sort(np.concatenate([p[:, None] + r for p, r in pairs], axis=1))[:, rank - 1]
    low = np.sort(np.concatenate([p[:, None] - r for p, r in pairs], axis=1))[:, n - rank]
    found = cross_conformal_interval(residuals, predictions, level)
    assert np.allclose(found, np.stack([low, high], axis=1), atol=1e-12)
    assert np.isinf(cross_conformal_interval(residuals, predictions, 0.99)).all()


def test_intervals_are_medians_of_the_bounds_of_members():
    """Each by the residuals of its fold, in whose places a new row's is anywhere alike."""
    rng = np.random.default_rng(0)
    sizes, level = (10, 10, 10, 10, 9), 0.8
    residuals = [np.abs(rng.normal(size=k)) for k in sizes]
    predictions = [rng.normal(size=5) for _ in residuals]
    found = median_interval(residuals, predictions, level)
    ranks = [9, 9, 9, 8, 8]  # 9/11 three times, 8/11 and 8/10: a mean of 0.796; another is 0.815
    widths = [np.sort(r)[k - 1] for r, k in zip(residuals, ranks, strict=True)]
    pairs = list(zip(predictions, widths, strict=True))
    expected = [np.median([p + sign * w for p, w in pairs], axis=0) for sign in (-1, 1)]
    assert np.allclose(found, np.stack(expected, axis=1), atol=1e-12)
    upper = [p + 2.0 for p in predictions]
    quantiles = median_interval(residuals, predictions, level, upper)
    assert np.allclose(quantiles - found, np.array([0.0, 2.0]))


def test_intervals_grow_with_the_level_and_are_finite_as_long_as_all_rows_allow():
    rng = np.random.default_rng(0)
    residuals = [np.abs(rng.normal(size=k)) for k in (7, 7, 6, 6, 6)]
    predictions = [rng.normal(size=50) for _ in residuals]
    before = np.tile([np.inf, -np.inf], (50, 1))
    for level in np.linspace(0.01, 0.99, 99):
        found = median_interval(residuals, predictions, level)
        assert (found[:, 0] <= before[:, 0]).all()
        assert (found[:, 1] >= before[:, 1]).all()
        assert np.isfinite(found).all() == (level * 33 <= 32)
        before = found


def test_medians_hold_what_is_guaranteed_whatever_the_members_predict():
    """Of members that are wrong in their own ways alike: 1 - 5/3 (0.2 + 1/n) at least."""
    rng, held = np.random.default_rng(0), []
    for _ in range(300):
        shift = rng.standard_cauchy(5)  # a member's own, for all rows: residuals know of it
        truth = rng.normal(size=(5, 12))
        residuals = list(np.abs(truth - shift[:, None]))
        low, high = median_interval(residuals, [np.full(40, s) for s in shift], 0.8).T
        new = rng.normal(size=40)
        held.append(((low <= new) & (new <= high)).mean())
    assert np.mean(held) > 1.0 - 5.0 / 3.0 * (0.2 + 1.0 / 60.0)


@pytest.mark.parametrize("level", [0, 1, 1.5, "much", None])
def test_a_level_out_of_range_is_told(regressor, level):
    with pytest.raises(ValueError, match=r"confidence_level is .*between 0 and 1"):
        regressor.predict_interval(FRAME, level)


def test_quantiles_are_in_order_and_hold_what_they_say(tmp_path):
    frame, y = table(600)
    new, truth = table(2000, seed=1)
    levels = (0.1, 0.5, 0.9)
    model = TabularRegressor(**{**SMALL, "epochs": 30, "quantiles": levels}).fit(frame, y)
    found = model.predict_quantiles(new)
    assert found.shape == (2000, 3)
    assert (np.diff(found, axis=1) >= 0).all()
    below = (truth[:, None] <= found).mean(axis=0)
    assert np.abs(below - levels).max() < 0.12
    assert np.corrcoef(model.predict(new), truth)[0, 1] > 0.8
    low, high = model.predict_interval(new, 0.8).T
    held = ((low <= truth) & (truth <= high)).mean()
    assert 0.75 < held < 0.9
    xpnn.save(model, tmp_path / "m")
    again = xpnn.load(tmp_path / "m")
    assert np.array_equal(again.predict_quantiles(new), found)
    assert np.array_equal(again.predict_interval(new), model.predict_interval(new))


def test_pinballs_are_the_mean_of_pinball_losses(target):
    xp, levels = target.xp, (0.1, 0.5, 0.7)
    rng = np.random.default_rng(0)
    o, t, w = rng.normal(size=(9, 3)), rng.normal(size=(9, 1)), rng.uniform(size=9)
    given = [target.asarray(a) for a in (o, t, w)]
    for weight in (None, w):
        value, gradient = Pinballs(levels)(*given[:2], None if weight is None else given[2], xp)
        share = (np.ones(9) if weight is None else weight)[:, None]
        share = share / share.sum() / 3
        r = t - o
        expected = np.where(r > 0, np.asarray(levels) * r, (np.asarray(levels) - 1) * r)
        target.assert_close(value, np.asarray((expected * share).sum()))
        target.assert_close(
            gradient, np.where(o > t, 1 - np.asarray(levels), -np.asarray(levels)) * share
        )


@pytest.mark.parametrize("levels", [(), (0.5, 0.1), (0.0, 0.5), (0.5, 1.0), ("a",), "low"])
def test_quantiles_out_of_range_are_told(levels):
    with pytest.raises(ValueError, match="quantiles"):
        TabularRegressor(quantiles=levels, **SMALL).fit(FRAME, Y)


def test_quantiles_need_to_be_asked_for(regressor):
    with pytest.raises(ValueError, match=r"fit TabularRegressor\(quantiles="):
        regressor.predict_quantiles(FRAME)
    with pytest.raises(ValueError, match="of one target"):
        TabularRegressor(quantiles=(0.5,), **SMALL).fit(FRAME, np.stack([Y, Y], axis=1))
    with pytest.raises(ValueError, match="a loss of their own: leave out loss='huber'"):
        TabularRegressor(quantiles=(0.5,), loss="huber", **SMALL).fit(FRAME, Y)


def test_the_temperature_is_the_most_likely_one():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, 3))
    true = np.array(
        [rng.choice(3, p=p) for p in tempered(np.exp(z) / np.exp(z).sum(1)[:, None], 1)]
    )
    sure = tempered(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), 0.5)  # twice too sure
    assert fit_temperature(sure, true) == pytest.approx(2.0, abs=0.2)
    assert fit_temperature(np.ones((3, 1)), np.zeros(3, dtype=int)) == 1.0
