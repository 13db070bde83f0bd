"""Going on with a fit: warm starts, partial fits, rows held out, and what ends a fit early."""

import os
import signal
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from small_fits import KINDS, N, cubed_error, estimator, features, fitted, targets

from xpnn import DivergedError

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# -- going on ----------------------------------------------------------------------------------


def test_warm_start_goes_on():
    x, y = features(), targets("regression")
    whole = estimator("regression", solver="sgd", momentum=0.0, max_iter=6).fit(x, y)
    model = estimator("regression", solver="sgd", momentum=0.0, max_iter=3, warm_start=True)
    model.fit(x, y).fit(x, y)
    for a, b in zip(whole.coefs_, model.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.loss_curve_ == whole.loss_curve_
    assert (model.n_iter_, whole.n_iter_) == (3, 6)
    model.set_params(warm_start=False).fit(x, y)
    assert model.loss_curve_ == whole.loss_curve_[:3]


def test_warm_start_takes_over_changed_parameters():
    x, y = features(), targets("multiclass")
    model = estimator("multiclass", warm_start=True).fit(x, y)
    before = model.coefs_
    model.set_params(dropout=0.5, activation="tanh", loss="hinge", max_iter=1).fit(x, y)
    layer = model.network_.layers[0]
    assert (layer.dropout, layer.activation.name) == (0.5, "tanh")
    assert model.out_activation_ == "identity"
    assert np.abs(model.coefs_[0] - before[0]).max() < 0.1  # it went on
    model.set_params(dtype="float32").fit(x, y)
    assert {a.dtype.name for a in [*model.coefs_, model.decision_function(x)]} == {"float32"}


@pytest.mark.parametrize("changed", [{"hidden_layer_sizes": (7,)}, {"normalization": "batch"}])
def test_warm_start_cannot_change_the_weights_there_are(changed):
    x, y = features(), targets("multiclass")
    model = estimator("multiclass", warm_start=True).fit(x, y)
    expected = model.predict_proba(x)
    for action in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="has changed: the network has parameters of shapes"):
            model.set_params(**changed) and action(x, y)
    np.testing.assert_array_equal(model.predict_proba(x), expected)
    model.set_params(warm_start=False).fit(x, y)


def test_warm_start_moves_to_a_device_with_float32_alone():
    pytest.importorskip("array_api_strict")
    x, y = features(), targets("regression")
    model = estimator("regression", warm_start=True).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(device="array_api_strict:no_float64").fit(x, y)
    assert model.coefs_[0].dtype == np.float32


def test_assigned_coefs_have_no_score_yet():
    x, y = features(), targets("binary")
    model = estimator("binary", early_stopping=True, warm_start=True, max_iter=4).fit(x, y)
    model.coefs_ = [0 * w for w in model.coefs_]
    model.fit(x, y)
    assert np.abs(model.coefs_[0]).max() > 0  # not taken for the best, which were others


def test_warm_start_under_early_stopping_keeps_the_best(target_any):
    t = target_any
    x, y = t.asarray(features()), t.asarray(targets("binary"))
    model = estimator("binary", early_stopping=True, warm_start=True, max_iter=8).fit(x, y)
    best = model.best_validation_score_
    model.set_params(learning_rate_init=50.0).fit(x, y)  # spoils it
    assert model.best_validation_score_ >= best
    assert len(model.validation_scores_) == len(model.loss_curve_)


def test_partial_fit_is_an_epoch_at_a_time():
    for kind in KINDS:
        x, y = features(), targets(kind)
        model, classes = estimator(kind), None
        if kind in ("binary", "multiclass"):
            classes = {"classes": np.unique(y)}
        for _ in range(3):
            model.partial_fit(x, y, **(classes or {}))
        whole = estimator(kind, max_iter=3).fit(x, y)
        for a, b in zip(model.coefs_, whole.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
        assert model.loss_curve_ == whole.loss_curve_
        assert model.t_ == 3 * N


def test_partial_fit_with_classes_that_come_later():
    x, y = features(), targets("multiclass")
    model = estimator().partial_fit(x[y == 2], y[y == 2], classes=[8, 2, 5])
    assert model.classes_.tolist() == [2, 5, 8]
    assert model.predict_proba(x).shape == (N, 3)
    model.partial_fit(x, y, classes=[2, 5, 8])
    assert set(model.predict(x)) <= {2, 5, 8}


# -- validation --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_validation_data(target_any, kind):
    t = target_any
    x, y = t.asarray(features()), t.asarray(targets(kind))
    held = t.asarray(features(9)[:20]), t.asarray(targets(kind)[:20])
    weight = t.asarray(np.linspace(1, 2, 20))
    model = estimator(kind).fit(x, y, validation_data=(*held, weight))
    plain = estimator(kind).fit(x, y)
    for a, b in zip(model.coefs_, plain.coefs_, strict=True):
        np.testing.assert_array_equal(t.to_numpy(a), t.to_numpy(b))  # it only looks
    assert len(model.history_["val_score"]) == model.n_iter_
    last = model.score(*held, weight)
    assert model.history_["val_score"][-1] == pytest.approx(last, rel=t.loss_tol)


def test_early_stopping_holds_rows_out():
    model = estimator("binary", early_stopping=True, validation_fraction=0.25, max_iter=30)
    model.fit(features(), targets("binary"))
    assert model.t_ == 36 * model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_)
    given = estimator("binary", early_stopping=True, max_iter=30).fit(
        features(), targets("binary"), validation_data=(features(), targets("binary"))
    )
    assert given.t_ == N * given.n_iter_
    assert given.score(features(), targets("binary")) == given.best_validation_score_


def test_convergence_warning_is_scikit_learns():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(4\) reached"):
        fitted()


def test_verbose_prints_what_scikit_learn_prints(capsys):
    model = estimator("binary", early_stopping=True, verbose=True, max_iter=2)
    model.fit(features(), targets("binary"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"Iteration 1, loss = {model.loss_curve_[0]:.8f}",
        f"Validation score: {model.validation_scores_[0]:f}",
    ]


# -- interruptions -----------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 2])
def test_ctrl_c_keeps_the_weights_so_far(epoch):
    """Also in the first epoch, when there is no loss yet."""
    calls = []

    def loss(output, target, weight, xp):
        calls.append(1)
        if len(calls) == 3 * epoch + 2:
            os.kill(os.getpid(), signal.SIGINT)
        return cubed_error(output, target, weight, xp)

    model = estimator("regression", loss=loss, max_iter=9)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(features(), targets("regression"))
    assert model.n_iter_ == len(model.loss_curve_) == epoch
    assert len(calls) == 3 * epoch + 2
    fresh = estimator("regression", loss=cubed_error, max_iter=1, learning_rate_init=1e-12)
    start = fresh.fit(features(), targets("regression")).coefs_[0]
    assert not np.allclose(model.coefs_[0], start)
    assert model.predict(features()).shape == (N,)
    model.set_params(loss=cubed_error).partial_fit(features(), targets("regression"))
    assert len(model.loss_curve_) == epoch + 1


def test_divergence_keeps_the_last_good_epoch():
    x, y = features(), targets("regression")
    count = []

    def loss(output, target, weight, xp):
        count.append(1)
        value, gradient = cubed_error(output, target, weight, xp)
        return value, gradient * (np.nan if len(count) == 8 else 1.0)  # in the third epoch

    model = estimator("regression", loss=loss, max_iter=9)
    with pytest.raises(DivergedError, match=r"^Solver produced non-finite parameter weights") as e:
        model.fit(x, y)
    assert e.value.epoch == 3
    good = estimator("regression", loss=cubed_error, max_iter=2).fit(x, y)
    np.testing.assert_array_equal(model.predict(x), good.predict(x))


def test_divergence_under_early_stopping_warns_and_restores():
    count = []

    def loss(output, target, weight, xp):
        count.append(output.shape[0])
        value, gradient = cubed_error(output, target, weight, xp)
        return value, gradient * (np.nan if count.count(11) == 2 else 1.0)

    model = estimator("regression", loss=loss, max_iter=9, early_stopping=True)
    with pytest.warns(UserWarning, match="Solver produced non-finite parameter weights"):
        model.fit(features(), targets("regression"))
    assert np.isfinite(model.predict(features())).all()
    assert np.isnan(model.validation_scores_[-1])
    assert np.isfinite(model.validation_scores_[:-1]).all()
    assert len(model.validation_scores_) == 2
