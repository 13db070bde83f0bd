"""The tabular estimators: from any table to predictions, the same on every device."""

import itertools
import pickle
import time
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import cross_val_score

import xpnn
from xpnn import TabularClassifier, TabularRegressor
from xpnn.arrays.backend import to_numpy
from xpnn.tabular.blend import blend_weights
from xpnn.tabular.calibration import (
    cross_conformal_interval,
    fit_temperature,
    median_interval,
    tempered,
)
from xpnn.tabular.folds import make_folds, member_rows
from xpnn.tabular.plan import Plan, valley_epochs
from xpnn.tabular.quantiles import Pinballs
from xpnn.tabular.recipe import make_network, make_recipe
from xpnn.training.callbacks import EpochEnd

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(99)
N = 240
SMALL = {"hidden": 16, "epochs": 20, "random_state": 0}


def table(n=N, seed=0):
    """Numbers, words, truths and dates, with gaps; and what follows from them."""
    rng = np.random.default_rng(seed)
    size, colour = rng.normal(size=n), rng.choice(["red", "green", "blue"], size=n)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, size=n), unit="D")
    frame = pd.DataFrame(
        {
            "size": np.where(rng.uniform(size=n) < 0.1, np.nan, size),
            "colour": np.where(rng.uniform(size=n) < 0.1, None, colour),
            "sold": rng.uniform(size=n) < 0.5,
            "day": day,
        }
    )
    y = 3.0 * size + 2.0 * (colour == "red") + frame["sold"] + 0.1 * rng.normal(size=n)
    return frame, y.to_numpy()


FRAME, Y = table()
CLASSES = np.where(np.median(Y) < Y, "high", "low")


@pytest.fixture(scope="module")
def classifier():
    return TabularClassifier(**{**SMALL, "epochs": 60}).fit(FRAME, CLASSES)


@pytest.fixture(scope="module")
def regressor():
    return TabularRegressor(**{**SMALL, "epochs": 60}).fit(FRAME, Y)


# -- predictions ----------------------------------------------------------------------------------


def test_it_predicts_new_rows_well(classifier, regressor):
    frame, y = table(seed=1)
    assert regressor.score(frame, y) > 0.65
    assert classifier.score(frame, np.where(y > np.median(Y), "high", "low")) > 0.85


def test_scores_out_of_fold_are_those_of_new_rows(classifier, regressor):
    """Members never see the rows of their fold: noise cannot be learned."""
    noise = RNG.normal(size=N)
    fitted = TabularRegressor(**{**SMALL, "epochs": 60}).fit(FRAME, noise)
    assert fitted.validation_score_ < 0.1
    assert fitted.score(FRAME, noise) > fitted.validation_score_
    assert regressor.validation_score_ == pytest.approx(r2_score(Y, regressor.oof_prediction_))
    right = classifier.classes_[classifier.oof_prediction_.argmax(axis=1)] == CLASSES
    assert classifier.validation_score_ == pytest.approx(right.mean())
    expected = log_loss(CLASSES, classifier.oof_prediction_)
    assert classifier.validation_log_loss_ == pytest.approx(expected)


def test_a_member_has_not_seen_the_rows_of_its_fold():
    """Another target in a fold changes other members' predictions there, and not its own one's."""
    options = {**SMALL, "n_members": 3, "epochs": 4}
    one = TabularRegressor(**options).fit(FRAME, Y)
    y = Y.copy()
    fold = one._folds[0] == 0
    y[fold] = y[fold][::-1].copy()  # the same numbers, so the same units; folds go by order
    other = TabularRegressor(**options).fit(FRAME, y)
    same = (one._folds[0] == 0) & (other._folds[0] == 0) & (y == Y)
    assert np.isfinite(other.oof_prediction_).all()
    assert same.sum() >= 0
    rows = member_rows(one._folds, 3)
    for m in range(3):
        assert not set(rows[:, m]) & set(np.flatnonzero(one._folds[0] == m))


@pytest.mark.own_context
def test_the_same_model_on_every_device(target):
    """On NumPy and on the device, from one seed, within the table of tolerances."""
    options = {**SMALL, "dtype": target.dtype_name, "epochs": 5}
    X = FRAME[["size", "sold", "colour"]]
    for make, y in ((TabularClassifier, CLASSES), (TabularRegressor, Y)):
        expected = make(**options).fit(X, y)
        found = make(**options, device=target.backend.name).fit(X, y)
        method = "predict_proba" if make is TabularClassifier else "predict"
        a, b = (to_numpy(getattr(m, method)(X)) for m in (expected, found))
        scale = np.abs(a).max()
        limit = {"float64": 1e-11, "float32": 1e-3}[target.dtype_name]
        assert np.abs(a - b).max() <= limit * scale


@pytest.mark.own_context
def test_arrays_of_a_device_come_back_there(target_any):
    X = target_any.asarray(RNG.normal(size=(60, 3)))
    y = target_any.asarray(np.asarray(to_numpy(X))[:, 0])
    model = TabularRegressor(**{**SMALL, "epochs": 3}).fit(X, y)
    found = model.predict(X)
    assert type(found) is type(X)
    assert found.shape == (60,)
    codes = (to_numpy(X)[:, 0] > 0).astype(int)
    labels = TabularClassifier(**{**SMALL, "epochs": 3}).fit(X, codes).predict(X)
    assert type(labels) is type(X)


def test_the_seed_decides(regressor):
    again = clone(regressor).fit(FRAME, Y)
    assert (again.predict(FRAME) == regressor.predict(FRAME)).all()
    other = clone(regressor).set_params(random_state=1).fit(FRAME, Y)
    assert (other.predict(FRAME) != regressor.predict(FRAME)).any()


def test_a_row_is_predicted_alike_beside_any_others(regressor):
    alone = np.concatenate([regressor.predict(FRAME[i : i + 1]) for i in range(20)])
    assert np.allclose(alone, regressor.predict(FRAME)[:20], rtol=1e-12, atol=1e-12)


def test_several_targets_and_constant_ones():
    both = np.stack([Y, 1e6 * Y, np.full(N, 7.0)], axis=1)
    model = TabularRegressor(**SMALL).fit(FRAME, both)
    found = model.predict(FRAME)
    assert found.shape == (N, 3)
    assert (found[:, 2] == 7.0).all()
    assert r2_score(Y, found[:, 0]) > 0.8
    assert r2_score(1e6 * Y, found[:, 1]) > 0.8
    assert model.predict_interval(FRAME).shape == (N, 2, 3)


def test_predictions_stay_in_the_range_that_was_seen(regressor):
    far = FRAME.assign(size=1e30)
    found = regressor.predict(far)
    assert np.isfinite(found).all()
    assert found.min() >= Y.min()
    assert found.max() <= Y.max()


@pytest.mark.parametrize(
    "labels",
    [[True, False], [3, 11], ["b", "a"], [0, 1, 2], [1.0, 2.0]],
    ids=["bool", "int", "str", "three", "float"],
)
def test_labels_come_back_as_they_were(labels):
    y = np.asarray(labels)[RNG.integers(len(labels), size=60)]
    model = TabularClassifier(**{**SMALL, "epochs": 3}).fit(FRAME[:60], y)
    found = model.predict(FRAME)
    assert found.dtype == y.dtype
    assert set(found.tolist()) <= set(labels)
    assert model.classes_.tolist() == sorted(labels)
    assert np.allclose(model.predict_proba(FRAME).sum(axis=1), 1.0)
    assert np.allclose(np.exp(model.predict_log_proba(FRAME)), model.predict_proba(FRAME))


def test_weights_and_class_weights():
    """A class of weight 0 is never predicted; a class weight is a sample weight."""
    weight = (CLASSES == "high").astype(float)
    only = TabularClassifier(**SMALL).fit(FRAME, CLASSES, sample_weight=weight)
    assert set(only.predict(FRAME)) == {"high"}
    by_class = TabularClassifier(class_weight={"high": 3.0, "low": 1.0}, **SMALL)
    by_row = TabularClassifier(**SMALL)
    a = by_class.fit(FRAME, CLASSES).predict_proba(FRAME)
    b = by_row.fit(FRAME, CLASSES, sample_weight=1.0 + 2.0 * weight).predict_proba(FRAME)
    assert np.array_equal(a, b)


def test_a_row_without_weight_is_as_if_it_was_not_there():
    """In range, intervals, encoding and folds; its prediction is that of new rows."""
    weight = np.ones(N)
    weight[:60] = 0.0
    y = np.where(weight > 0, Y, 1e4)
    frame = FRAME.assign(size=np.where(weight > 0, FRAME["size"], 1e9))
    with_rows = TabularRegressor(**SMALL).fit(frame, y, sample_weight=weight)
    without = TabularRegressor(**SMALL).fit(frame[60:], y[60:], sample_weight=weight[60:])
    new, _ = table(seed=1)
    close = {"rtol": 1e-3, "atol": 1e-3}  # the mean of y adds in another order
    assert np.allclose(with_rows.predict_interval(new), without.predict_interval(new), **close)
    assert np.allclose(with_rows.oof_prediction_[60:], without.oof_prediction_, **close)
    assert np.allclose(with_rows.oof_prediction_[:60], without.predict(frame[:60]), **close)


@pytest.mark.parametrize("unit", [1e-300, 1e-46, 1e39, 1e300])
def test_a_common_factor_of_weights_means_nothing(unit):
    options = {**SMALL, "epochs": 3}
    expected = TabularRegressor(**options).fit(FRAME, Y, sample_weight=np.ones(N))
    found = TabularRegressor(**options).fit(FRAME, Y, sample_weight=np.full(N, unit))
    assert np.array_equal(found.predict(FRAME), expected.predict(FRAME))


@pytest.mark.parametrize("unit", [1e-250, 1e-14, 1e150, 1e300])
def test_targets_of_any_size_are_learned(unit):
    options = {**SMALL, "epochs": 10}
    expected = TabularRegressor(**options).fit(FRAME, Y).predict(FRAME)
    found = TabularRegressor(**options).fit(FRAME, Y * unit).predict(FRAME)
    assert np.allclose(found / unit, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "weights", [{"high": 0, "low": 0}, {"high": -1, "low": 1}, {"high": np.nan, "low": 1}]
)
def test_class_weights_that_cannot_be_are_told(weights):
    with pytest.raises(ValueError, match=r"must be finite and at least 0|no row of these"):
        TabularClassifier(class_weight=weights, **SMALL).fit(FRAME, CLASSES)


def test_missing_labels_are_told_with_their_row():
    labels = CLASSES.astype(object)
    labels[7] = None
    for y in (labels, pd.Series(labels)):
        with pytest.raises(ValueError, match="no label in row 7"):
            TabularClassifier(**SMALL).fit(FRAME, y)
    truth = pd.Series(CLASSES == "high", dtype="boolean")
    model = TabularClassifier(**{**SMALL, "epochs": 2}).fit(FRAME, truth)
    assert model.classes_.dtype == bool


def test_it_works_in_searches_and_pipelines():
    scores = cross_val_score(TabularRegressor(**{**SMALL, "epochs": 8}), FRAME, Y, cv=2)
    assert scores.shape == (2,)
    assert scores.min() > 0.3


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_very_small_tables(n):
    """Something is predicted, whatever the number of rows."""
    model = TabularRegressor(**SMALL).fit(FRAME[:n], Y[:n])
    assert np.isfinite(model.predict(FRAME)).all()
    y = np.asarray(["a", "b"] * n)[:n]
    assert TabularClassifier(**SMALL).fit(FRAME[:n], y).predict_proba(FRAME).shape == (N, 2)


def test_a_table_that_says_nothing():
    X = pd.DataFrame({"same": np.ones(40), "empty": [None] * 40})
    model = TabularRegressor(**SMALL).fit(X, Y[:40])
    assert np.allclose(model.predict(X), Y[:40].mean(), atol=0.5 * Y[:40].std())
    assert set(model.encoding_.left_out) == {"same", "empty"}


# -- out of fold ----------------------------------------------------------------------------------


def test_importances_find_what_the_target_follows_from(regressor):
    found = regressor.feature_importance()
    assert next(iter(found)) == "size"
    assert set(found) == set(FRAME.columns)
    assert found["size"][0] > 5 * abs(found["day"][0])
    copy = pickle.loads(pickle.dumps(regressor))
    assert copy.feature_importance() == found
    of_rows = copy.feature_importance(FRAME, Y, n_repeats=2)
    assert next(iter(of_rows)) == "size"
    assert of_rows["size"][0] > found["size"][0] / 3
    with pytest.raises(ValueError, match="n_repeats is 0"):
        copy.feature_importance(FRAME, Y, n_repeats=0)
    del copy.importance_
    with pytest.raises(ValueError, match="training rows are not there"):
        copy.feature_importance()


def test_importances_of_classes(classifier):
    assert next(iter(classifier.feature_importance(n_repeats=2))) == "size"
    assert next(iter(classifier.feature_importance(FRAME, CLASSES, n_repeats=2))) == "size"


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


def test_the_temperature_is_the_most_likely_one():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, 3))
    true = np.array(
        [rng.choice(3, p=p) for p in tempered(np.exp(z) / np.exp(z).sum(1)[:, None], 1)]
    )
    sure = tempered(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), 0.5)  # twice too sure
    assert fit_temperature(sure, true) == pytest.approx(2.0, abs=0.2)
    assert fit_temperature(np.ones((3, 1)), np.zeros(3, dtype=int)) == 1.0


@pytest.mark.parametrize(("n", "folds", "repeats"), [(10, 5, 1), (11, 3, 4), (2, 2, 1), (7, 5, 2)])
def test_folds_share_rows_and_classes(n, folds, repeats):
    codes = np.arange(n) % 2
    found = make_folds(codes, folds, repeats, seed=3)
    assert found.shape == (repeats, n)
    for repeat in found:
        sizes = np.bincount(repeat, minlength=folds)
        assert sizes.max() - sizes.min() <= 1
        of_ones = np.bincount(repeat[codes == 1], minlength=folds)
        assert of_ones.max() - of_ones.min() <= 1
    rows = member_rows(found, folds)
    for m, (repeat, fold) in enumerate(itertools.product(range(repeats), range(folds))):
        assert set(rows[:, m]) == set(np.flatnonzero(found[repeat] != fold))


def test_blending_is_no_worse_than_the_best():
    target = RNG.normal(size=(50, 1))
    candidates = [target + RNG.normal(size=(50, 1)) for _ in range(4)]

    def score(p):
        return float(((p - target) ** 2).mean())

    weights = blend_weights(candidates, score)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    blended = sum(w * c for w, c in zip(weights, candidates, strict=True))
    assert score(blended) <= min(map(score, candidates))
    assert blend_weights(candidates, lambda p: np.nan).tolist() == [0.0, 0.0, 0.0, 1.0]


# -- time and interruption ------------------------------------------------------------------------


def ticking(step):
    """A clock that goes on by `step` a look."""
    counter = itertools.count()
    return lambda: step * next(counter)


def run_plan(epochs, limit, step=1.0):
    seen = []
    plan = Plan(epochs, lambda state: (1.0, seen.append(state)), limit, ticking(step))
    for epoch in range(1, epochs + 1):
        if plan(EpochEnd(epoch, epochs, {}, state=lambda e=epoch: e)):
            break
    return plan, epoch, seen


def test_valleys_are_where_epochs_end():
    assert valley_epochs(150) == [10, 30, 70, 150]
    for epochs in range(1, 40):
        assert valley_epochs(epochs)[-1] == epochs
        assert valley_epochs(epochs)[0] >= 1
    plan, last, seen = run_plan(150, None)
    assert last == 150
    assert seen == [10, 30, 70, 150]
    assert len(plan.valleys) == 4


def test_a_valley_that_is_much_worse_is_the_last():
    scores = iter([1.0, 1.05, 1.2, 0.1])
    plan = Plan(150, lambda state: (next(scores), np.zeros((1, 1, 1))))
    ended = [e for e in range(1, 151) if plan(EpochEnd(e, 150, {}, state=lambda: None))]
    assert ended[0] == 70
    assert [v.score for v in plan.valleys] == [1.0, 1.05, 1.2]


def test_where_nothing_is_left_to_learn_training_ends():
    for enough, last in ((0.1, 30), (0.0, 150)):
        found = iter([(s, np.zeros((1, 1, 1))) for s in (0.1, 0.05, 0.04, 0.03)])
        plan = Plan(150, lambda state, found=found: next(found), enough=enough)
        ended = [e for e in range(1, 151) if plan(EpochEnd(e, 150, {}, state=lambda: None))]
        assert ended[0] == last
    certain = {"a": np.repeat(["u", "v"], 200)}
    model = TabularClassifier(random_state=0).fit(certain, np.repeat([0, 1], 200))
    scores = [score for score, _ in model.valleys_.values()]
    assert [s < 1e-4 for s in scores] == [False] * (len(scores) - 1) + [True]
    assert len(model.history_["loss"]) < model.recipe_.epochs


def test_a_limit_shortens_the_cycles():
    """Each epoch takes a second: at most as many as fit, ending in a valley."""
    _plan, last, seen = run_plan(150, 60.0)
    assert last <= 60
    assert seen[-1] == last
    assert len(seen) >= 3
    _, last, seen = run_plan(150, 0.5)
    assert last == 1
    assert seen == [1]


def test_time_limit_is_kept_and_never_an_error():
    frame, y = table(3000)
    begin = time.perf_counter()
    model = TabularRegressor(time_limit=0.5, random_state=0).fit(frame, y)
    assert time.perf_counter() - begin < 10  # unlimited it takes longer by far
    assert len(model.history_["loss"]) < make_recipe(3000, None, None, True, False).epochs
    assert TabularRegressor(time_limit=1e-9, random_state=0).fit(FRAME, Y).score(FRAME, Y) > -1


def test_a_callback_stops_with_what_there_is():
    model = TabularRegressor(**{**SMALL, "callbacks": lambda end: end.epoch == 3}).fit(FRAME, Y)
    assert len(model.history_["loss"]) == 3
    assert np.isfinite(model.predict(FRAME)).all()


def test_what_training_ended_with_counts_too():
    """A stop in the middle of a cycle loses nothing that is better out of fold."""
    valleys = TabularRegressor(
        **{**SMALL, "epochs": 60, "callbacks": lambda end: end.epoch == 11}
    ).fit(FRAME, Y)
    assert [epoch for epoch in valleys.valleys_ if epoch] == [4, 11]  # 0 is a linear model
    plan = Plan(60, lambda state: (1.0, np.zeros((1, 1, 1))))
    assert [v.epoch for v in plan.finish(SimpleNamespace(step=7))] == [0]
    assert len(plan.finish(SimpleNamespace(step=7))) == 1  # it has been looked at
    assert [v.epoch for v in plan.finish(SimpleNamespace(step=9))] == [0, 1]


def test_time_is_looked_at_between_steps():
    frame, y = table(3000)
    clock = {"spent": 0.0}
    plan = Plan(10, lambda state: (1.0, np.zeros((1, 1, 1))), 1.0, lambda: clock["spent"])
    assert not plan.late()
    clock["spent"] = 1.1
    assert plan.late()
    model = TabularRegressor(time_limit=1e-6, random_state=0).fit(frame, y)
    assert model.outcome_ == "stopped"
    assert not model.history_.get("loss")  # not even an epoch


def test_a_divergence_leaves_the_estimator_as_it_was_or_whole(monkeypatch):
    from xpnn.training import loop

    model = TabularRegressor(**{**SMALL, "epochs": 4}).fit(FRAME, Y)
    before = model.predict(FRAME)
    look = loop._Run.read_metrics

    def broken(first):
        def read(run):
            if len(run.state.history.get("loss", ())) >= first:
                run.state.theta[:] = np.nan
            return look(run)

        return read

    monkeypatch.setattr(loop._Run, "read_metrics", broken(0))
    with pytest.raises(xpnn.DivergedError):
        model.fit(FRAME[["size"]], Y)
    assert np.array_equal(model.predict(FRAME), before)
    monkeypatch.setattr(loop._Run, "read_metrics", broken(1))
    with pytest.warns(UserWarning, match="What was best before is kept"):
        model.set_params(epochs=50).fit(FRAME[["size"]], Y)
    assert np.isfinite(model.predict(FRAME[["size"]])).all()


def test_progress_is_shown(capsys):
    TabularRegressor(verbose=True, **SMALL).fit(FRAME, Y)
    assert "epoch 20/20" in capsys.readouterr().err


# -- input ----------------------------------------------------------------------------------------


def test_columns_that_differ_between_fit_and_predict(regressor):
    """Types may differ, as long as values can be read in the same way."""
    text = FRAME.assign(
        size=FRAME["size"].map(lambda v: "" if np.isnan(v) else repr(v)),
        sold=FRAME["sold"].map({True: "true", False: "false"}),
        day=FRAME["day"].dt.strftime("%Y-%m-%d"),
        colour=pd.Categorical(FRAME["colour"]),
    )
    assert np.allclose(regressor.predict(text), regressor.predict(FRAME))
    with pytest.raises(ValueError, match="'size' should be numbers, got 'large' in row 1"):
        regressor.predict(FRAME.astype({"size": object}).assign(size="large"))


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dict"])
def test_any_library_of_tables(regressor, library):
    if library == "dict":
        X = {name: FRAME[name].to_numpy() for name in FRAME}
    elif library == "polars":
        X = pytest.importorskip("polars").from_pandas(FRAME)
    else:
        X = pytest.importorskip("pyarrow").Table.from_pandas(FRAME)
    again = clone(regressor).fit(X, Y)
    assert np.allclose(again.predict(X), regressor.predict(FRAME))


def test_columns_go_by_place_where_there_are_no_names():
    X = RNG.normal(size=(60, 3))
    options = {**SMALL, "epochs": 3}
    plain = TabularRegressor(**options).fit(X, X[:, 0])
    numbered = TabularRegressor(**options).fit(pd.DataFrame(X), X[:, 0])
    assert np.array_equal(numbered.predict(X), plain.predict(X))
    assert np.array_equal(plain.predict(pd.DataFrame(X)), plain.predict(X))
    assert np.array_equal(pickle.loads(pickle.dumps(numbered)).predict(X), plain.predict(X))
    twice = pd.DataFrame(X, columns=["a", "a", "b"])
    model = TabularRegressor(**options).fit(twice, X[:, 0])
    assert model.feature_names_in_.tolist() == ["a", "a_2", "b"]
    assert np.array_equal(model.predict(twice), plain.predict(X))
    with pytest.raises(ValueError, match="Names of columns are the same"):
        model.fit({1: X[:, 0], "1": X[:, 1]}, X[:, 0])


def test_names_are_checked(regressor):
    assert regressor.feature_names_in_.tolist() == list(FRAME.columns)
    assert regressor.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        regressor.predict(FRAME[["colour", "size", "sold", "day"]])
    with pytest.raises(ValueError, match="lacks the column 'colour'"):
        regressor.predict({name: FRAME[name] for name in ("size", "sold", "day")})


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"n_members": 1}, "'n_members' parameter"),
        ({"hidden": -3}, "'hidden' parameter"),
        ({"embedding": "wavelets"}, "'embedding' parameter"),
        ({"time_limit": 0}, "'time_limit' parameter"),
        ({"epochs": 0}, "'epochs' parameter"),
        ({"loss": "hinge"}, "'loss' parameter"),
        ({"dtype": None}, "'dtype' parameter"),
    ],
)
def test_parameters_out_of_range_are_told(params, expected):
    with pytest.raises(ValueError, match=expected):
        TabularRegressor(**params).fit(FRAME, Y)


def test_what_goes_wrong_leaves_the_estimator_as_it_was(regressor):
    copy = pickle.loads(pickle.dumps(regressor))
    before = copy.predict(FRAME)
    for X, y, expected in (
        (FRAME[:0], Y[:0], "0 sample"),
        (FRAME, Y[:-1], "inconsistent numbers of samples"),
        (np.ones(5), Y[:5], "Expected 2D array"),
        (FRAME, Y * np.nan, "NaN"),
    ):
        with pytest.raises(ValueError, match=expected):
            copy.fit(X, y)
    with pytest.raises(TypeError, match=r"Sparse.*X\.toarray\(\)"):
        copy.fit(scipy.sparse.eye(5, format="csr"), np.ones(5))
    assert (copy.predict(FRAME) == before).all()


def test_several_labels_a_row_are_told():
    with pytest.raises(ValueError, match="labels a row"):
        TabularClassifier().fit(FRAME, np.eye(2, dtype=int)[RNG.integers(2, size=N)])


# -- files ----------------------------------------------------------------------------------------


def test_files_and_pickles_hold_everything(classifier, regressor, tmp_path):
    for model, methods in (
        (classifier, ("predict", "predict_proba")),
        (regressor, ("predict", "predict_interval")),
    ):
        xpnn.save(model, tmp_path / "model.safetensors")
        for again in (
            xpnn.load(tmp_path / "model.safetensors"),
            pickle.loads(pickle.dumps(model)),
        ):
            for method in methods:
                assert np.array_equal(getattr(again, method)(FRAME), getattr(model, method)(FRAME))
            assert again.validation_score_ == model.validation_score_
            assert again.encoding_ == model.encoding_
            assert again.recipe_ == model.recipe_
            assert np.array_equal(again.oof_prediction_, model.oof_prediction_)
            assert again.get_params() == model.get_params()


def test_a_file_that_does_not_fit_together_is_damaged(regressor, tmp_path):
    from xpnn.files.record import ModelFileError, read_record, write_record

    path = tmp_path / "model.safetensors"
    xpnn.save(regressor, path)
    header, arrays = read_record(path)
    inner = header["estimator"]
    short = {**arrays, "theta_0": arrays["theta_0"][:-1]}
    fewer = {**inner["encoding"], "columns": inner["encoding"]["columns"][:-1]}
    for changed, own in (
        ({}, short),
        ({"weights": []}, arrays),
        ({"encoding": fewer}, arrays),
        ({"recipe": {**inner["recipe"], "folds": 4}}, arrays),
    ):
        write_record(path, {**header, "estimator": {**inner, **changed}}, own)
        with pytest.raises(ModelFileError, match="damaged"):
            xpnn.load(path)


@pytest.mark.own_context
def test_moving_to_a_device(target_any, regressor):
    model = pickle.loads(pickle.dumps(regressor)).to_device(target_any.backend.name)
    assert np.allclose(
        to_numpy(model.predict(FRAME)), regressor.predict(FRAME), rtol=1e-4, atol=1e-4
    )
    assert np.allclose(pickle.loads(pickle.dumps(model)).predict(FRAME), model.predict(FRAME))


# -- the network is a plain one -------------------------------------------------------------------


def test_recipes_grow_with_the_rows():
    small, large = (make_recipe(n, None, None, True, False) for n in (300, 20_000))
    assert small.hidden < large.hidden
    assert small.batch_size < large.batch_size
    assert make_recipe(100, 20, (8,), True, True).members == 20
    network = make_network(large, 12, 4, 1, "identity")
    assert [layer.kind for layer in network.layers] == [
        "periodic_embedding",
        "scale",
        "dense",
        "dense",
        "dense",
    ]
    assert network.layers[0].passed == 8
    assert network.members == 5


def test_what_an_embedding_has_learned_can_be_seen():
    regressor = TabularRegressor(**SMALL, embedding="both").fit(FRAME, Y)
    grid, functions = regressor.embedded("size", member=1)
    assert grid.shape == (200,)
    assert functions.shape == (200, 3)
    layer = regressor.network_.layers[0]
    theta = regressor._arrays[f"theta_{int(np.argmax(regressor._weights))}"].astype(float)
    parts = regressor.network_.layout.by_layer(theta, np, 5)[0]
    z = regressor.encoding_.columns[0].spread(grid)
    f, c, v, b = (parts[k][1, 0] for k in ("frequency", "phase", "weight", "bias"))
    expected = np.cos(2 * np.pi * f * z[:, None] + c) @ v + b
    assert np.allclose(functions, expected)
    assert layer.kind == "periodic_embedding"
    with pytest.raises(ValueError, match=r"'colour' has no embedding: size, .* has. Num"):
        regressor.embedded("colour")
    with pytest.raises(ValueError, match="expected a number from 0 to 4"):
        regressor.embedded("size", member=5)


def test_without_embedding():
    model = TabularRegressor(**SMALL, embedding=None).fit(FRAME, Y)
    assert model.network_.layers[0].kind == "scale"
    assert model.score(FRAME, Y) > 0.5


def test_it_runs_compiled(caplog):
    from xpnn.steps.compiled import library

    if library() is None:
        pytest.skip("no compiled library")
    with caplog.at_level("DEBUG", logger="xpnn"):
        TabularRegressor(**{**SMALL, "epochs": 1}).fit(FRAME, Y)
    assert "CompiledMembers on numpy" in caplog.text
