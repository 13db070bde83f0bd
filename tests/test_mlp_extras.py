"""Members: several networks in one estimator, trained at once and asked together."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from mlp_extras import (
    CLASSES,
    CODES,
    EXTRAS,
    KINDS,
    LOSS,
    MEMBERS,
    N_IN,
    RNG,
    SHARED,
    TARGETS,
    N,
    X,
    assert_close,
    data,
    eager,
    estimator,
    host,
)
from scipy.special import expit, log_softmax, logsumexp, softmax
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import xpnn
from xpnn.network import Group

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

WEIGHT = RNG.integers(1, 4, N).astype(np.float64)


# -- members: training -------------------------------------------------------------------------


RULES = {
    "plain": {},
    "all rules": {"l1": 0.1, "alpha": 0.2, "clip_norm": 0.05, "max_norm": 0.7},
    "layer norm": {"normalization": "layer", "solver": "sgd"},
    "batch norm": {"normalization": "batch", "learning_rate": "cosine"},
}


@eager
@pytest.mark.parametrize(
    ("kind", "rules"), [(k, "plain") for k in KINDS] + [("multiclass", r) for r in RULES][1:]
)
def test_each_member_trains_as_if_alone(target_any, kind, rules):
    """From the same weights and in the same order, without dropout."""
    t, options = target_any, {**RULES[rules], "warm_start": True}
    x, y = data(t, kind)
    together = estimator(kind, members=MEMBERS, **options).initialize(x, y)
    start = [host(t, a) for a in (together.coefs_, together.intercepts_)]
    together.fit(x, y, WEIGHT)
    curves = []
    for m in range(MEMBERS):
        alone = estimator(kind, **options).initialize(x, y)
        alone.coefs_, alone.intercepts_ = ([a[m] for a in arrays] for arrays in start)
        alone.fit(x, y, WEIGHT)
        curves.append(alone.loss_curve_)
        for name in ("coefs_", "intercepts_"):
            pairs = zip(*(host(t, getattr(e, name)) for e in (together, alone)), strict=True)
            for found, expected in pairs:
                assert found.shape == (MEMBERS, *expected.shape)
                assert_close(found[m], expected, 1e3 * t.tol)
    assert_close(together.loss_curve_, np.mean(curves, axis=0), 1e3 * t.tol)
    assert np.abs(start[0][0][0] - start[0][0][1]).max() > 0.1  # weights of their own


OPTIONS = {
    "dropout": {"dropout": 0.4, "input_dropout": 0.2},
    "batch norm": {"normalization": "batch"},
    "embedding": {"embedding": "periodic", "dropout": 0.3},
    "groups": {"groups": {"bias": Group(rate=0.3)}, "solver": "adamw"},
}


@eager
@pytest.mark.parametrize("option", OPTIONS)
def test_the_first_member_is_the_network_alone(target_any, option):
    t = target_any
    x, y = data(t, "multiclass")
    found, alone = (estimator(members=k, **OPTIONS[option]).fit(x, y, WEIGHT) for k in (MEMBERS, 1))
    for name in ("coefs_", "intercepts_"):
        pairs = zip(*(host(t, getattr(e, name)) for e in (found, alone)), strict=True)
        for many, one in pairs:
            assert_close(many[0], one, 1e3 * t.tol)
            assert np.abs(many[0] - many[1]).max() > 1e-3


def test_partial_fit_and_warm_start_go_on():
    for kind in ("multiclass", "multilabel", "multi-output"):
        y = TARGETS[kind]
        whole = estimator(kind, members=MEMBERS, embedding="periodic", dropout=0.2)
        parts = clone(whole)
        classes = {"classes": [2, 5, 8]} if kind == "multiclass" else {}
        for _ in range(SHARED["max_iter"]):
            parts.partial_fit(X, y, **classes)
        whole.fit(X, y)
        for a, b in zip(whole.coefs_, parts.coefs_, strict=True):
            assert_close(b, a, 1e-9)
        before = whole.loss_
        whole.set_params(warm_start=True, max_iter=20).fit(X, y)
        assert whole.loss_ < before


@pytest.mark.parametrize("changed", [{"members": 2}, {"embedding": "periodic"}])
def test_going_on_with_another_network_is_an_error(changed):
    y = TARGETS["multiclass"]
    model = estimator(warm_start=True, members=MEMBERS).fit(X, y)
    expected = model.predict_proba(X)
    for action in (model.fit, model.partial_fit):
        model.set_params(**changed)
        with pytest.raises(ValueError, match="embedding or members has changed: the network has"):
            action(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_lbfgs_refuses_members():
    model = estimator("regression", solver="lbfgs", members=2)
    with pytest.raises(ValueError, match=r"has 2 members.* use a stochastic solver"):
        model.fit(X, TARGETS["regression"])
    assert not hasattr(model, "network_")


def own_loss(output, target, weight, xp):
    r = output - target
    return xp.sum(r * r) / (2 * r.shape[0]), r / r.shape[0]


def test_a_loss_of_ones_own_has_members(target_any):
    x, y = data(target_any, "multi-output")
    own, built_in = (
        estimator("multi-output", members=2, loss=loss).fit(x, y)
        for loss in (own_loss, "squared_error")
    )
    pairs = zip(*(host(target_any, e.coefs_) for e in (own, built_in)), strict=True)
    for found, expected in pairs:
        assert_close(found, expected, 1e3 * target_any.tol)


# -- members: predicting -----------------------------------------------------------------------


def outputs(model, target, x=X):
    """Each member's raw outputs, by NumPy in float64."""
    a = np.broadcast_to(x, (MEMBERS, *x.shape))
    layers = list(zip(*(host(target, p) for p in (model.coefs_, model.intercepts_)), strict=True))
    for i, (w, b) in enumerate(layers):
        a = a @ w + b[:, None, :]
        a = a if i == len(layers) - 1 else np.tanh(a)
    return a


@pytest.mark.long_to_compile
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_the_members_mean(target, kind):
    t = target
    x, y = data(t, kind)
    model = estimator(kind, members=MEMBERS).fit(x, y)
    raw, truth = outputs(model, t), TARGETS[kind]
    predicted = t.to_numpy(model.predict(x))
    tol = 10 * t.tol
    if kind not in CLASSES:
        expected = np.exp(raw) if kind == "rates" else raw
        expected = expected.mean(axis=0)
        expected = expected if kind == "multi-output" else expected[:, 0]
        assert_close(predicted, expected, tol)
        spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
        r2 = np.mean(1 - ((truth - expected) ** 2).sum(axis=0) / spread)
        assert model.score(x, y) == pytest.approx(r2, rel=t.loss_tol, abs=t.loss_tol)
        return
    decision = t.to_numpy(model.decision_function(x)).astype(float)
    labels = np.unique(truth)
    if kind in LOSS:
        expected = raw.mean(axis=0)
        assert_close(decision, expected if kind == "margins" else expected[:, 0], tol)
        assert not hasattr(model, "predict_proba")
    else:
        p = (softmax(raw, axis=-1) if kind == "multiclass" else expit(raw)).mean(axis=0)
        if kind == "binary":
            p = np.concatenate([1 - p, p], axis=1)
        probability = t.to_numpy(model.predict_proba(x))
        assert_close(probability, p, tol)
        assert_close(np.exp(t.to_numpy(model.predict_log_proba(x))), p, tol)
        logits = {"multiclass": np.log(p), "multilabel": np.log(p / (1 - p))}
        logits["binary"] = np.log(p[:, 1] / p[:, 0])
        assert_close(decision, logits[kind], tol)
    if kind in ("multiclass", "margins"):
        np.testing.assert_array_equal(predicted, labels[decision.argmax(axis=1)])
    elif kind == "multilabel":
        np.testing.assert_array_equal(predicted, decision > 0)
    else:
        np.testing.assert_array_equal(predicted, labels[(decision > 0).astype(int)])
    right = (predicted == truth).reshape(N, -1).all(axis=1)
    assert model.score(x, y, WEIGHT) == pytest.approx((right * WEIGHT).sum() / WEIGHT.sum())
    assert 0.3 < model.score(x, y) <= 1


@pytest.mark.parametrize("kind", ["multiclass", "binary", "multilabel"])
def test_tiny_probabilities_have_exact_logarithms(target, kind):
    """Logits of hundreds, and members that are sure of opposite classes."""
    t = target
    x, y = data(t, kind)
    model = estimator(kind, members=MEMBERS, hidden_layer_sizes=()).initialize(x, y)
    model.coefs_ = [800 * w for w in host(t, model.coefs_)]
    raw = outputs(model, t)
    log_p = log_softmax(raw, axis=-1) if kind == "multiclass" else -np.logaddexp(0, -raw)
    expected = logsumexp(log_p, axis=0) - np.log(MEMBERS)
    found = t.to_numpy(model.predict_log_proba(x))
    assert_close(found[:, 1:] if kind == "binary" else found, expected, 10 * t.tol)
    assert expected.min() < -300
    assert np.isfinite(t.to_numpy(model.decision_function(x))).all()


def test_many_rows_and_a_class_alone():
    model = estimator(members=MEMBERS).fit(X, TARGETS["multiclass"])
    many = np.tile(X, (40, 1))
    assert_close(model.predict_proba(many)[-N:], model.predict_proba(X), 1e-12)
    alone = estimator(members=MEMBERS).fit(X, np.full(N, 9))
    assert set(alone.predict(X)) == {9}
    np.testing.assert_array_equal(alone.predict_proba(X), np.ones((N, 1)))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression", "rates"])
def test_the_validation_score_is_that_of_the_mean(target_any, kind):
    """And the validation loss is the mean of the members' own."""
    t = target_any
    x, y = data(t, kind)
    model = estimator(kind, members=MEMBERS).fit(x, y, validation_data=(x, y, WEIGHT))
    history = model.history_
    rel = t.loss_tol
    assert history["val_score"][-1] == pytest.approx(model.score(x, y, WEIGHT), rel=rel)
    raw, truth = outputs(model, t), TARGETS[kind]
    if kind == "multiclass":
        losses = -log_softmax(raw, axis=-1)[:, np.arange(N), CODES]
    elif kind == "multilabel":
        losses = (np.logaddexp(0, raw) - raw * truth).sum(axis=-1)
    elif kind == "regression":
        losses = 0.5 * (raw[:, :, 0] - truth) ** 2
    else:
        log = np.log(np.maximum(truth, 1e-37))
        losses = np.exp(raw[:, :, 0]) + truth * (log - raw[:, :, 0] - 1)
    expected = np.mean(losses @ WEIGHT / WEIGHT.sum())
    assert history["val_loss"][-1] == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("monitor", ["auto", "val_loss", "neg_log_loss"])
def test_early_stopping_and_scorers_see_the_mean(monitor):
    model = estimator(members=MEMBERS, early_stopping=True, monitor=monitor, max_iter=60)
    model.set_params(n_iter_no_change=5, learning_rate_init=0.1, validation_fraction=0.3)
    held = X[:15], TARGETS["multiclass"][:15]
    model.fit(X, TARGETS["multiclass"], validation_data=held)
    curve = {"auto": "val_score", "neg_log_loss": "val_neg_log_loss"}.get(monitor, monitor)
    values = model.history_[curve]
    if monitor == "auto":
        assert model.score(*held) == pytest.approx(max(values))
        assert model.best_validation_score_ == max(values)
    elif monitor == "neg_log_loss":
        p = model.predict_proba(held[0])[np.arange(15), CODES[:15]]
        assert np.log(p).mean() == pytest.approx(max(values))
    assert len(values) < 60


def test_a_search_over_the_extras():
    grid = {"members": [1, 2], "embedding": [None, "periodic"]}
    search = GridSearchCV(estimator("regression"), grid, cv=2).fit(X, TARGETS["regression"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- weights, copies and files -----------------------------------------------------------------


def test_weights_of_members_are_assignable(target_any):
    t = target_any
    x, y = data(t, "multi-output")
    model = estimator("multi-output", members=MEMBERS, hidden_layer_sizes=()).initialize(x, y)
    w, b = RNG.normal(size=(MEMBERS, N_IN, 2)), RNG.normal(size=(MEMBERS, 2))
    model.coefs_, model.intercepts_[0] = [w], t.asarray(b)
    assert_close(t.to_numpy(model.predict(x)), X @ w.mean(axis=0) + b.mean(axis=0), 10 * t.tol)
    with pytest.raises(ValueError, match=r"coefs_ must have the shapes \[\(3, 4, 2\)\], got"):
        model.coefs_ = [w[0]]


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "multi-output"])
def test_a_file_a_pickle_and_a_copy_go_on(tmp_path, kind):
    y = TARGETS[kind]
    model = estimator(kind, **EXTRAS).fit(X, y)
    xpnn.save(model, tmp_path / "m")
    again = xpnn.load(tmp_path / "m"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)
    expected = model.predict(X)
    trained = copy.deepcopy(model).partial_fit(X, y)
    for other in again:
        assert other.get_params() == model.get_params()
        assert other.network_ == model.network_
        np.testing.assert_array_equal(other.predict(X), expected)
        other.partial_fit(X, y)
        for a, b in zip(other.coefs_, trained.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    np.testing.assert_array_equal(fresh.fit(X, y).predict(X), expected)


def test_a_file_from_before_them_has_their_defaults():
    model = xpnn.load(Path(__file__).parent / "data" / "model_version_1.safetensors")
    assert (model.embedding, model.members, model.groups) == (None, 1, None)


@pytest.mark.long_to_compile
@pytest.mark.parametrize("kind", ["multiclass", "rates"])
def test_moving_to_a_device_and_back(target, kind):
    t, method = target, "predict_proba" if kind == "multiclass" else "predict"
    model = estimator(kind, **EXTRAS).fit(X, TARGETS[kind])
    expected = getattr(model, method)(X)
    model.to_device(t.backend)
    found = getattr(model, method)(t.asarray(X))
    t.assert_here(found, model._dtype)
    assert_close(t.to_numpy(found), expected, 10 * t.tol)
    for a in model.coefs_:
        t.assert_here(a, model._dtype)
    model.to_device("numpy")
    assert_close(getattr(model, method)(X), expected, 10 * t.tol)


def test_work_elsewhere_comes_back(target_any):
    t = target_any
    about = {"device": t.backend.name, "dtype": t.dtype_name, "early_stopping": True}
    model = estimator(**{**EXTRAS, **about}).fit(X, TARGETS["multiclass"])
    assert type(model.predict_proba(X)) is np.ndarray
    assert model.score(X, TARGETS["multiclass"]) > 0.3
