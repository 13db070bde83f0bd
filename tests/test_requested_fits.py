"""What scikit-learn's users asked of fits: rows held out, monitoring, going on, callbacks."""

import copy
import math

import numpy as np
import pytest
from iris import RNG, T, X, Y, classifier, regressor
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# -- #18748, #18507 validation data ------------------------------------------------------------


def test_validation_data_18748_18507(target_any):
    t = target_any
    held = (t.asarray(X[::3]), t.asarray(Y[::3]))
    model = classifier(max_iter=6).fit(t.asarray(X), t.asarray(Y), validation_data=held)
    assert len(model.validation_loss_curve_) == len(model.history_["val_score"]) == 6
    host = classifier(max_iter=6, dtype="float64").fit(X, Y, validation_data=(X[::3], Y[::3]))
    np.testing.assert_allclose(
        model.validation_loss_curve_, host.validation_loss_curve_, rtol=t.loss_tol
    )
    expected = log_loss(Y[::3], host.predict_proba(X[::3]))
    assert host.validation_loss_curve_[-1] == pytest.approx(expected)
    assert host.history_["val_score"][-1] == accuracy_score(Y[::3], host.predict(X[::3]))
    assert host.loss_curve_ == classifier(max_iter=6, dtype="float64").fit(X, Y).loss_curve_


def test_validation_data_weights_count():
    weight = RNG.uniform(0, 1, 50)
    held = (X[::3], Y[::3], weight)
    model = classifier(max_iter=3).fit(X, Y, validation_data=held)
    expected = log_loss(Y[::3], model.predict_proba(X[::3]), sample_weight=weight)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected)


def test_early_stopping_on_ones_own_rows():
    held = (X[::2], Y[::2])
    model = classifier(early_stopping=True, max_iter=60).fit(X[1::2], Y[1::2], validation_data=held)
    assert model.best_validation_score_ == model.score(*held)


# -- #24411 what is monitored ------------------------------------------------------------------


def auc(estimator, x, y):
    return roc_auc_score(y, estimator.predict_proba(x), multi_class="ovr")


@pytest.mark.parametrize("monitor", ["neg_log_loss", "roc_auc_ovr", "balanced_accuracy", auc])
def test_monitor_24411(monitor, target_any):
    t = target_any
    x, y = t.asarray(X), t.asarray(Y)
    model = classifier(monitor=monitor, early_stopping=True, max_iter=8)
    model.fit(x, y, validation_data=(t.asarray(X[::2]), t.asarray(Y[::2])))
    name = "val_monitor" if monitor is auc else f"val_{monitor}"
    assert model.validation_scores_ == model.history_[name]
    assert model.best_validation_score_ == max(model.history_[name])
    p = t.to_numpy(model.predict_proba(t.asarray(X[::2])))
    if monitor == "neg_log_loss":
        assert -log_loss(Y[::2], p) == pytest.approx(model.best_validation_score_, rel=1e-4)


@pytest.mark.parametrize("monitor", ["loss", "val_loss", "val_score"])
def test_monitor_built_in(monitor):
    held = (X[::2], Y[::2])
    model = classifier(monitor=monitor, early_stopping=True, max_iter=300, n_iter_no_change=3)
    model.fit(X[1::2], Y[1::2], validation_data=held)
    curve = np.array(model.history_[monitor])
    best = curve.argmax() if monitor == "val_score" else curve.argmin()
    assert model.history_["val_score"][best] == model.score(*held)  # its weights are restored


def test_monitor_of_a_regressor():
    model = regressor(monitor="neg_mean_absolute_error", early_stopping=True).fit(X, T)
    assert model.validation_scores_ == model.history_["val_neg_mean_absolute_error"]


@pytest.mark.parametrize("params", [{"monitor": "ghost"}, {"monitor": "val_loss"}])
def test_monitor_errors(params):
    if params["monitor"] == "ghost":
        with pytest.raises(ValueError, match=r"neither 'auto'.*nor a scorer of scikit-learn"):
            classifier(early_stopping=True, **params).fit(X, Y)
    else:
        with pytest.raises(ValueError, match="there are none: pass validation_data"):
            classifier(**params).fit(X, Y)


# -- #25693, #12505 partial_fit ----------------------------------------------------------------


def test_partial_fit_with_early_stopping_25693():
    held = (X[::2], Y[::2])
    model = classifier(early_stopping=True, n_iter_no_change=4, learning_rate_init=0.05)
    for _ in range(300):
        model.partial_fit(X[1::2], Y[1::2], classes=[0, 1, 2], validation_data=held)
        if model.converged_:
            break
    scores = model.validation_scores_
    assert 5 < len(scores) < 300
    assert max(scores[-5:]) < max(scores) + model.tol
    assert model.score(*held) == max(scores) == model.best_validation_score_
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        model.partial_fit(X, Y)


def test_partial_fit_goes_on_from_the_last_weights_until_it_has_converged():
    held = (X[::2], Y[::2])
    a, b = classifier(early_stopping=True), classifier()
    for _ in range(6):
        a.partial_fit(X, Y, classes=[0, 1, 2], validation_data=held)
        b.partial_fit(X, Y, classes=[0, 1, 2])
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])


@pytest.mark.slow
def test_multilabel_partial_fit_12505():
    x, y = make_multilabel_classification(100, 6, n_classes=3, random_state=0)
    model = classifier(learning_rate_init=0.05).partial_fit(x[:50], y[:50])
    for _ in range(200):
        model.partial_fit(x[50:], y[50:]).partial_fit(x[:50], y[:50])
    assert model.predict(x).shape == (100, 3)
    assert model.score(x, y) > 0.6


# -- #27676 callbacks --------------------------------------------------------------------------


def test_plain_callbacks_27676():
    seen = []
    model = classifier(callbacks=[seen.append, lambda end: end.epoch == 4]).fit(X, Y)
    assert model.n_iter_ == len(seen) == 4
    assert [end.metrics["loss"] for end in seen] == model.loss_curve_


# -- #19701 initialize -------------------------------------------------------------------------


def test_initialize_19701(target_any):
    t = target_any
    x, y = t.asarray(X), t.asarray(Y)
    model = classifier(warm_start=True, max_iter=1).initialize(x, y)
    assert (model.n_iter_, model.t_, model.loss_curve_) == (0, 0, [])
    t.assert_here(model.predict_proba(x))
    with t.backend.device_context():
        model.coefs_ = [w * 0 for w in model.coefs_]
    np.testing.assert_allclose(t.to_numpy(model.predict_proba(x)), 1 / 3, rtol=1e-6)
    before = copy.copy(model)
    model.fit(x, y)
    assert model.loss_curve_[0] == pytest.approx(math.log(3), rel=0.05)
    assert (t.to_numpy(before.coefs_[0]) == 0).all()


def test_initialize_draws_the_weights_that_fit_would():
    a = classifier().initialize(X, Y).partial_fit(X, Y)
    b = classifier(max_iter=1).fit(X, Y)
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])


def test_initialize_with_classes():
    model = classifier().initialize(X[:5], Y[:5], classes=["no", "some", "yes"][:0] or [0, 1, 2])
    assert model.classes_.tolist() == [0, 1, 2]
    model.partial_fit(X, Y)
