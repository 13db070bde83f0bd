"""Where there is little noise: longer cycles of classes, numbers without dropout."""

import itertools

import numpy as np
import pytest

from xpnn import TabularClassifier, TabularRegressor
from xpnn.tabular import run
from xpnn.tabular.plan import Plan, longer_cycles
from xpnn.training.callbacks import EpochEnd

LINES = np.array(
    [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
)


def plan_of(scores, **options):
    """A plan of 60 epochs that is run to its end, and where its valleys are."""
    found, ended = iter(scores), 0
    plan = Plan(60, lambda state: (next(found), np.zeros((1, 1, 1))), **options)
    decays = []
    for epoch in range(1, plan.most + 1):
        decays.append(plan.decay(0.02, None))
        told = plan.expected()
        if plan(EpochEnd(epoch, plan.most, {}, state=lambda: None)):
            ended = epoch
            break
    return plan, ended, decays, told


def test_where_there_is_little_noise_longer_cycles_come():
    """With a strong weight decay; the second one where the first was better by a fifth."""
    plan, ended, decays, told = plan_of([0.3, 0.2, 0.15, 0.1, 0.05, 0.03], little=0.2)
    assert [v.epoch for v in plan.valleys] == [4, 12, 28, 60, 124, 252]
    assert ended == told == plan.most == 252
    assert set(decays[:60]) == {0.02}
    assert set(decays[60:]) == {1.0}
    _, ended, decays, told = plan_of([0.3, 0.2, 0.15, 0.1], little=0.05)
    assert ended == told == 60
    assert set(decays) == {0.02}


def test_a_longer_cycle_that_is_hardly_better_does_not_count():
    plan, ended, _, _ = plan_of([0.3, 0.2, 0.15, 0.1, 0.09], little=0.2)
    assert [v.epoch for v in plan.valleys] == [4, 12, 28, 60]
    assert ended == 124
    plan, ended, _, _ = plan_of([0.3, 0.2, 0.15, 0.1, 0.05, 0.045], little=0.2)
    assert [v.epoch for v in plan.valleys] == [4, 12, 28, 60, 124]


def test_longer_cycles_come_after_a_worse_valley_but_not_where_all_is_learned():
    plan, ended, _, _ = plan_of([0.1, 0.2, 0.01], little=0.2, enough=0.02)
    assert [v.epoch for v in plan.valleys] == [4, 12, 12 + longer_cycles(60)[0]]
    assert ended == 76
    assert plan_of([0.3, 0.01], little=0.2, enough=0.02)[1] == 12


def test_a_limit_leaves_no_longer_cycle_that_does_not_fit():
    def ended(limit):
        ticks = itertools.count()
        return plan_of(
            [0.1] * 4 + [0.05, 0.02], little=0.2, limit=limit, clock=lambda: next(ticks) / 3
        )[1]

    assert ended(1000.0) == 252
    assert ended(30.0) == 60


def test_a_checkpoint_knows_of_longer_cycles():
    plan, _, _, _ = plan_of([0.3, 0.2, 0.15, 0.1, 0.09], little=0.2)
    plan.valleys, plan.shortened = [], True
    later = Plan(60, lambda state: (1.0, np.zeros((1, 1, 1))), little=0.2)
    later.load_state(*plan.save_state())
    assert later.strong
    assert later.shortened
    assert (later.longer, later.ends, later.done) == (plan.longer, plan.ends, 124)


def test_numbers_whose_error_still_falls_get_longer_cycles():
    """By a tenth at the last valley; they count as the others, without a strong weight decay."""
    plan, ended, decays, told = plan_of([0.3, 0.2, 0.15, 0.1, 0.08, 0.079], falling=0.9)
    assert [v.epoch for v in plan.valleys] == [4, 12, 28, 60, 124, 252]
    assert ended == told == 252
    assert set(decays) == {0.02}
    assert plan_of([0.3, 0.2, 0.15, 0.1, 0.095], falling=0.9)[1] == 124
    assert plan_of([0.3, 0.2, 0.15, 0.14], falling=0.9)[1] == 60
    assert plan_of([0.3, 0.2, 0.25], falling=0.9)[1] == 28


def test_numbers_get_no_longer_cycle_after_a_score_that_is_not_finite():
    scores = [0.3, 0.2, 0.15, 0.1, np.nan, 0.01]
    assert plan_of(scores, falling=0.9)[1] == 124
    assert plan_of([0.3, 0.2, 0.15, np.inf, 0.01], falling=0.9)[1] == 60


def test_a_limit_shortens_a_longer_cycle():
    """Which fitted when it began, before epochs took three times as long."""
    times = itertools.accumulate([1.0] * 80 + [3.0] * 200)
    found = [0.3, 0.2, 0.15, 0.1, 0.08, 0.07]
    plan, ended, _, _ = plan_of(found, falling=0.9, limit=150.0, clock=lambda: next(times))
    assert plan.shortened
    assert 80 < ended < 124
    assert [v.epoch for v in plan.valleys] == [4, 12, 28, 60, ended]


def test_where_numbers_have_little_noise_dropout_ends_at_a_valley():
    found = iter([0.3, 0.09, 0.12, 0.1])
    plan = Plan(60, lambda state: (next(found), np.zeros((1, 1, 1))), calm=0.1)
    dropout = []
    for epoch in range(1, 29):
        dropout.append(plan.dropout(1.0, None))
        plan(EpochEnd(epoch, plan.most, {}, state=lambda: None))
    assert dropout == [1.0] * 12 + [0.0] * 16


def test_a_smooth_function_of_few_rows_is_learned_without_dropout(monkeypatch):
    def truth(x):
        return np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]

    def error():
        model = TabularRegressor(n_members=2, epochs=150, random_state=0).fit(x, truth(x))
        assert len(model.history_["loss"]) <= 150
        return np.sqrt(np.mean((model.predict(new) - truth(new)) ** 2) / truth(new).var())

    rng = np.random.default_rng(0)
    x, new = rng.uniform(-2, 2, (300, 3)), rng.uniform(-2, 2, (500, 3))
    found = error()
    assert found < 0.115
    monkeypatch.setattr(run, "CALM", 0.0)
    assert error() > 1.2 * found


def boards():
    """All boards on which a game of noughts and crosses ends, and whether x has won."""
    found = set()

    def play(board, player):
        won = [bool((board[LINES] == p).all(axis=1).any()) for p in (1, 2)]
        if any(won) or board.all():
            found.add((*board.tolist(), won[0]))
            return
        for place in np.flatnonzero(board == 0):
            after = board.copy()
            after[place] = player
            if (after.tobytes(), 3 - player) not in seen:
                seen.add((after.tobytes(), 3 - player))
                play(after, 3 - player)

    seen = set()
    play(np.zeros(9, dtype=np.int8), 1)
    rows = np.array(sorted(found))
    return np.array([" xo"[v] for v in rows[:, :9].ravel()]).reshape(-1, 9), rows[:, 9]


@pytest.mark.slow
def test_a_rule_without_noise_is_found():
    """Few boards are full without a winner, and most of these are missed at first."""
    X, y = boards()
    assert (len(X), y.sum()) == (958, 626)
    rows = np.random.default_rng(0).permutation(958)
    train, test = rows[:760], rows[760:]
    model = TabularClassifier(random_state=0).fit(X[train], y[train])
    assert model.score(X[test], y[test]) > 0.98
    assert len(model.history_["loss"]) > model.recipe_.epochs
    scores = [score for score, _ in model.valleys_.values()]
    assert scores[-1] < 0.8 * min(scores[:4])  # it would not count


def test_epochs_are_the_most_there_are():
    """Those that a user asks for; the summary says how many came after the last that counts."""
    X = np.repeat(np.eye(4), 20, axis=0)
    model = TabularClassifier(epochs=4, random_state=0).fit(X, X.argmax(axis=1) > 1)
    assert len(model.history_["loss"]) <= 4
    assert not model.recipe_.longer
    assert "do not count" not in model.summary()
    model.history_["loss"] += [0.1] * 6
    after = len(model.history_["loss"]) - max(model.valleys_)
    told = f"the {after} after epoch {max(model.valleys_)} were hardly better: they do not count"
    assert told in model.summary()
