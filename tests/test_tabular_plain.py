"""A second training of classes, whose numbers have no pieces, counts where it is surely better."""

from dataclasses import replace

import numpy as np
import pytest
from test_tabular_cycles import plan_of

import xpnn
from xpnn import TabularClassifier
from xpnn.network import Dense, Network, Scale
from xpnn.tabular import base, training
from xpnn.tabular.plain import widened

EPOCHS = 40
TOLD = "a second training was better"


def lengths(n=300):
    """Five lengths of one animal, which grow together: small differences tell of its kind."""
    rng = np.random.default_rng(0)
    size, kind = rng.normal(size=n), rng.integers(0, 3, n)
    X = size[:, None] * [1.0, 0.9, 1.1, 0.8, 1.2] + 0.03 * rng.normal(size=(n, 5))
    X[:, 0] += 0.12 * (kind == 1)
    X[:, 3] += 0.12 * (kind == 2)
    return X, kind


X, Y = lengths()


def fit(backend=None, **given):
    rows = (X, Y) if backend is None else (backend.asarray(X), backend.asarray(Y))
    return TabularClassifier(random_state=0, **given).fit(*rows)


def same(a, b):
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
    np.testing.assert_array_equal(a.oof_prediction_, b.oof_prediction_)
    assert (a.valleys_, a.history_) == (b.valleys_, b.history_)


@pytest.fixture(scope="module")
def chosen():
    return fit()


@pytest.fixture(scope="module")
def first():
    """The first training alone."""
    return fit(embedding="piecewise")


def test_small_differences_of_columns_that_grow_together_are_found(chosen, first, tmp_path):
    assert chosen.validation_log_loss_ < 0.9 * first.validation_log_loss_
    assert TOLD in chosen.summary()
    assert TOLD not in first.summary()
    assert chosen.network_.n_in == first.network_.n_in
    xpnn.save(chosen, tmp_path / "lengths.safetensors")
    again = xpnn.load(tmp_path / "lengths.safetensors")
    assert again.summary() == chosen.summary()
    np.testing.assert_array_equal(again.predict_proba(X), chosen.predict_proba(X))


def test_the_second_training_on_every_device(target_any, monkeypatch):
    """Of few epochs, as the double of CUDA takes long for many; within rounding of NumPy's."""
    whole = base.make_recipe
    monkeypatch.setattr(base, "make_recipe", lambda *given: replace(whole(*given), epochs=EPOCHS))
    model, there = fit(target_any, n_members=2, hidden=8), fit(n_members=2, hidden=8)
    assert TOLD in there.summary()
    assert TOLD in model.summary()
    given = target_any.to_numpy(model.predict_proba(target_any.asarray(X)))
    found = np.asarray(given, dtype=np.float64)
    assert np.abs(found - there.predict_proba(X)).mean() < 0.02


def test_where_it_is_no_better_the_first_stays():
    """Bends, which the pieces find."""
    rng = np.random.default_rng(1)
    bent = rng.uniform(-3.0, 3.0, (300, 2))
    kind = (np.cos(3.0 * bent).sum(axis=1) > 0).astype(int)
    a, b = (
        TabularClassifier(random_state=0, embedding=e).fit(bent, kind)
        for e in ("auto", "piecewise")
    )
    assert TOLD not in a.summary()
    np.testing.assert_array_equal(a.predict_proba(bent), b.predict_proba(bent))
    np.testing.assert_array_equal(a.oof_prediction_, b.oof_prediction_)


def test_more_rows_than_it_was_tried_on_have_none(first, monkeypatch):
    monkeypatch.setattr("xpnn.tabular.base.MOST_ROWS", len(X) - 1)
    same(fit(), first)


def test_who_asks_for_epochs_gets_no_more(monkeypatch):
    trained, calls = training.train_members, []
    monkeypatch.setattr(
        training, "train_members", lambda *a, **k: calls.append(a) or trained(*a, **k)
    )
    fit(epochs=12)
    assert len(calls) == 1


@pytest.mark.parametrize("failure", ["interrupted", "diverged"])
def test_the_first_stays_where_the_second_is_not_ended(first, monkeypatch, failure):
    trained, outcomes = training.train_members, []

    def second_fails(*given, **more):
        found = trained(*given, **more)
        outcomes.append(found.end.outcome)
        if len(outcomes) == 2 and failure == "diverged":
            raise training.DivergedError(3, 0.1, None)
        if len(outcomes) == 2:
            found.end.outcome = "interrupted"
        return found

    monkeypatch.setattr(training, "train_members", second_fails)
    model = fit()
    assert outcomes == ["finished", "finished"]
    same(model, first)
    assert model.outcome_ == ("interrupted" if failure == "interrupted" else "finished")


def test_after_a_kill_the_second_begins_anew(chosen, tmp_path, monkeypatch):
    trained, count = training.train_members, iter(range(4))

    def killed(*given, **more):
        if next(count) == 1:
            raise KeyboardInterrupt
        return trained(*given, **more)

    monkeypatch.setattr(training, "train_members", killed)
    model = TabularClassifier(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, checkpoint=tmp_path / "run")
    same(model.fit(X, Y, checkpoint=tmp_path / "run", resume=True), chosen)


def test_two_valleys_that_are_no_better_end_it():
    scores = [0.3, 0.25, 0.2, 0.1, 0.05, 0.04]
    assert plan_of(scores, than=0.25, little=0.5)[1] == 12
    assert plan_of(scores, than=0.26, little=0.5)[1] == 252


def test_a_wide_network_answers_as_the_plain_one():
    inputs = np.array([0, 3])
    plain, whole = (
        Network((Scale(n), Dense(n, 4, "relu"), Dense(4, 2)), link="identity", members=3)
        for n in (2, 5)
    )
    rng = np.random.default_rng(0)
    theta, rows = rng.normal(size=plain.layout.size), rng.normal(size=(7, 5))
    wide = widened(theta, plain, whole, inputs)
    found = whole.predict(wide, np.zeros(0), rows, np)
    np.testing.assert_allclose(found, plain.predict(theta, np.zeros(0), rows[:, inputs], np))
