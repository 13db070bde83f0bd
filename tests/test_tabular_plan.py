"""Which rows a member sees, how long it trains, what counts, and what a stop leaves."""

import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest
from tabular_table import FRAME, SMALL, Y, table

import xpnn
from xpnn import Dense, Network, TabularClassifier, TabularRegressor, get_backend
from xpnn.tabular import outoffold
from xpnn.tabular.blend import blend_weights
from xpnn.tabular.folds import make_folds, member_rows
from xpnn.tabular.plan import Plan, valley_epochs
from xpnn.tabular.recipe import make_network, make_recipe
from xpnn.training.callbacks import EpochEnd


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


def test_rows_out_of_fold_are_predicted_some_at_a_time(monkeypatch):
    """So that Ctrl-C is seen, and rows of a mapped file are not all in memory."""
    network = Network((Dense(3, 4, "tanh"), Dense(4, 2)), link="softmax", members=4)
    theta, buffers = network.init(0)
    x = np.random.default_rng(0).normal(size=(50, 3))
    given = network, theta, buffers, x, make_folds(x[:, 0], 4, 1, 0), get_backend("numpy")
    expected, seen = outoffold.held_predictions(*given), []
    one = outoffold.predict_in_chunks

    def noted(network, theta, buffers, x, *rest):
        seen.append(len(x))
        return one(network, theta, buffers, x, *rest)

    monkeypatch.setattr(outoffold, "predict_in_chunks", noted)
    monkeypatch.setattr(outoffold, "_AT_ONCE", 3 * 5)
    np.testing.assert_allclose(outoffold.held_predictions(*given), expected, rtol=1e-12)
    assert max(seen) <= 5
    assert sum(seen) == 50


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
    assert model.outcome_ == "finished"


def test_a_limit_shortens_the_cycles():
    """Each epoch takes a second: at most as many as fit, ending in a valley."""
    plan, last, seen = run_plan(150, 60.0)
    assert last <= 60
    assert not plan.is_over
    assert seen[-1] == last
    assert len(seen) >= 3
    _, last, seen = run_plan(150, 0.5)
    assert last == 1
    assert seen == [1]


def test_a_limit_that_shortens_nothing_leaves_a_plan_that_is_over():
    plan, last, _ = run_plan(150, 1000.0)
    assert last == 150
    assert plan.is_over
    model = TabularRegressor(**SMALL, time_limit=1e6).fit(FRAME, Y)
    assert model.outcome_ == "finished"
    assert TabularRegressor(**SMALL, time_limit=1e-9).fit(FRAME, Y).outcome_ == "stopped"


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
    assert model.outcome_ == "stopped"
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
    rng = np.random.default_rng(99)
    target = rng.normal(size=(50, 1))
    candidates = [target + rng.normal(size=(50, 1)) for _ in range(4)]

    def score(p):
        return float(((p - target) ** 2).mean())

    weights = blend_weights(candidates, score)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    blended = sum(w * c for w, c in zip(weights, candidates, strict=True))
    assert score(blended) <= min(map(score, candidates))
    assert blend_weights(candidates, lambda p: np.nan).tolist() == [0.0, 0.0, 0.0, 1.0]


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
