"""Ctrl-C in a tabular fit: some rows judge what there is, the others when somebody asks."""

import os
import pickle
import signal

import numpy as np
import pytest
from tabular_table import CLASSES, FRAME, SMALL, N, Y

import xpnn
from xpnn import TabularClassifier, TabularRegressor
from xpnn.tabular import outoffold, training

JUDGES = 60


@pytest.fixture
def seen(monkeypatch):
    """How many rows each look has predicted."""
    found, predicted = [], outoffold.predict_in_chunks

    def noted(network, theta, buffers, x, *rest):
        found.append(len(x))
        return predicted(network, theta, buffers, x, *rest)

    monkeypatch.setattr(training, "JUDGES", JUDGES)
    monkeypatch.setattr(outoffold, "predict_in_chunks", noted)
    return found


def interrupted(estimator, epoch, seen, **given):
    """A fit that Ctrl-C ends after so many epochs."""

    def press(end):
        if end.epoch == epoch:
            seen.clear()
            os.kill(os.getpid(), signal.SIGINT)

    model = estimator(**{**SMALL, "epochs": 60, "callbacks": press})
    with pytest.warns(UserWarning, match="interrupted by user"):
        return model.fit(FRAME, CLASSES if estimator is TabularClassifier else Y, **given)


@pytest.mark.parametrize("epoch", [2, 11, 12])
def test_ctrl_c_waits_for_a_look_at_some_rows_alone(seen, epoch):
    """In the first cycle, in a later one, and at the end of one, before it is judged."""
    model = interrupted(TabularRegressor, epoch, seen)
    assert sum(seen) == JUDGES
    before = len(seen)
    assert model.outcome_ == "interrupted"
    assert np.isfinite(model.predict(FRAME)).all()
    assert len(seen) == before
    assert model.oof_prediction_.shape == (N,)
    assert len(seen) > before


@pytest.mark.parametrize("checkpoint", [False, True])
def test_ctrl_c_ends_a_look_between_two_pieces(seen, monkeypatch, tmp_path, checkpoint):
    """But with a checkpoint, which would go on from there to other bits."""
    noted = outoffold.predict_in_chunks

    def press(*args):
        if len(seen) == 2 and not pressed:  # in the look at the first valley
            pressed.append(os.kill(os.getpid(), signal.SIGINT))
        return noted(*args)

    pressed = []
    monkeypatch.setattr(outoffold, "predict_in_chunks", press)
    model = TabularRegressor(**{**SMALL, "epochs": 60})
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(FRAME, Y, checkpoint=tmp_path / "folder" if checkpoint else None)
    assert len(model.history_["loss"]) == 4
    assert list(model.valleys_) == [4]
    assert sum(seen) == (N if checkpoint else 3 * N // 5 + JUDGES)


@pytest.mark.parametrize("estimator", [TabularRegressor, TabularClassifier])
def test_what_is_asked_for_later_is_of_all_rows(seen, estimator):
    model = interrupted(estimator, 11, seen)
    names = {"_held", "oof_prediction_", "validation_score_"}
    assert not names & set(vars(model))
    held = sum(
        kept.weight
        * outoffold.held_predictions(
            model.network_, kept.theta, kept.buffers, model._task.x, model._folds, model._backend
        )
        for kept in model._kept()
    )
    score = model.validation_score_
    np.testing.assert_array_equal(model._held, held)
    assert names <= set(vars(model))
    if estimator is TabularClassifier:
        right = model.oof_prediction_.argmax(axis=1) == (CLASSES == "low")
        assert score == right.mean()
    else:
        left = np.sum((model.oof_prediction_ - Y) ** 2)
        assert score == pytest.approx(1 - left / np.sum((Y - Y.mean()) ** 2))


def test_what_ended_training_counts_where_some_rows_say_so(seen):
    """Eleven epochs are better than the four of the first valley."""
    model = interrupted(TabularRegressor, 11, seen)
    assert model.valleys_[11][0] < model.valleys_[4][0]
    assert model.valleys_[11][1] > 0
    assert model.validation_score_ > 0.5


def test_copies_and_files_of_an_interrupted_fit_are_whole(seen, tmp_path):
    model = interrupted(TabularClassifier, 11, seen)
    copied = pickle.loads(pickle.dumps(model.set_params(callbacks=None)))
    assert copied.temperature_ == model.temperature_
    model = interrupted(TabularRegressor, 11, seen)
    xpnn.save(model.set_params(callbacks=None), tmp_path / "model.xpnn")
    loaded = xpnn.load(tmp_path / "model.xpnn")
    expected = model.predict_interval(FRAME)
    np.testing.assert_allclose(loaded.predict_interval(FRAME), expected, rtol=1e-6)


def test_an_interrupted_fit_forgets_the_one_before(seen):
    model = interrupted(TabularRegressor, 11, seen)
    score = model.validation_score_
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(FRAME, -1000.0 * Y + 1.0)
    assert model.oof_prediction_.min() < -1000.0
    assert model.validation_score_ == pytest.approx(score, abs=0.05)


def test_a_whole_fit_after_it_has_nothing_left_to_judge(seen):
    model = interrupted(TabularRegressor, 11, seen).set_params(callbacks=None, epochs=2)
    looks = []
    for fitted in (TabularRegressor(**model.get_params()), model):
        seen.clear()
        fitted.fit(FRAME, Y, sample_weight=np.arange(N) % 5 > 0)
        looks.append(list(seen))
    assert looks[0] == looks[1]
    found = model.oof_prediction_
    pickle.dumps(model)
    assert seen == looks[1]
    assert model.oof_prediction_ is found
    assert found.shape == (N,)


def test_rows_without_weight_are_predicted_after_ctrl_c_too(seen):
    model = interrupted(TabularRegressor, 11, seen, sample_weight=np.arange(N) % 5 > 0)
    assert model.oof_prediction_.shape == (N,)
    assert np.isfinite(model.oof_prediction_).all()


def test_an_unfitted_estimator_has_no_judgement():
    for name in ("oof_prediction_", "validation_score_", "_held"):
        assert not hasattr(TabularRegressor(), name)
    with pytest.raises(AttributeError, match="no attribute 'temperature_'"):
        _ = TabularClassifier().temperature_
